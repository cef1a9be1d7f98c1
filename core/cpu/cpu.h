/*
 * cpu.h -- the fast ops of this machine: CBLAS for matrix products, OpenMP over rows, loops the compiler vectorises
 *
 * The contract of every op (shapes, accumulate or overwrite, in place) is core/ops.h; this header only lists who
 * implements what.  What the files agree on:
 *   threads   an op splits its work so that each number is computed by one thread in an order that does not depend
 *             on how many there are; every sgemm is of one thread: products are cut into tiles by their shape
 *             (cpu_product), inside cpu_rq the threads take rows; cpu_attention and cpu_panel have tiles of its own (tile.h)
 *   memory    nothing is allocated; tiles lie on the stack, some 256 KiB at most, half a MiB of a product or of grouped heads,
 *             1.4 of a product in leaves; of one that threads share, 6 MiB of buffers are static
 *   absent    code_count, code_update, given_codes, linear_rows, local_ids, nearest_bid, nearest_won, sigmoid_contrast, soft_targets, take_codes,
 *             xent_soft_...: small, the
 *             reference serves
 *
 * Local.  Tests: tests/core/test_ops.c (cpu vs reference), tests/core/test_threads.c (equal bits), tests/core/test_simd.c; speed: tests/bench/bench_ops.c
 */
#pragma once
#include "core/blas.h"
#include "core/ops.h"

#include <math.h>

extern const Ops cpu_ops;       /* of the vectors that this is compiled for (cpu_table.c); the Makefile calls it cpu_ops_LEVEL (core/vectors.h) */

enum { PARALLEL = 32768 };      /* fewer elements than this are not worth waking threads for */

/* cpu_linear.c */
void cpu_linear_fwd(float *out, const float *x, const Linear *w, int64_t N);
void cpu_linear_pack(Linear *w, float *room);
void cpu_linear_dx(float *dx, const LinearTerm *term, int terms, int64_t N, bool add);
void cpu_linear_dw(Linear *dw, const float *dout, const float *x, int64_t N);

/* cpu_product.c */
void cpu_product(float *c, int ldc, const float *a, int lda, bool ta, const float *b, int ldb, bool tb, int64_t M, int N, int K,
                 float alpha, float beta);
/* cpu_panel.c: whether panels (panel.h) are faster than sgemm */
bool panel_shape(bool ta, int64_t M, int64_t N, int64_t K, float beta);
/* cpu_gram.c */
void cpu_gram(float *c, const float *a, bool ta, int M, int K);
/* cpu_norm.c */
void cpu_rmsnorm_fwd(float *out, float *rstd, const float *x, const float *w, int64_t N, int C, float eps);
void cpu_add_rmsnorm_fwd(float *sum, float *out, float *rstd, const float *a, const float *b, const float *w, int64_t N, int C, float eps);
void cpu_rmsnorm_bwd(float *dx, float *dw, const float *dout, const float *x, const float *rstd, const float *w, int64_t N, int C, int64_t leaf, bool add);
void cpu_rmsnorm_dw(float *dw, const float *dout, const float *x, const float *rstd, int64_t N, int H, int C, int groups);
void cpu_layernorm_fwd(float *out, float *mean, float *rstd, const float *x, const float *w, const float *bias, int64_t N, int C, float eps);
void cpu_add_layernorm_fwd(float *sum, float *out, float *mean, float *rstd, const float *a, const float *b, const float *w,
                           const float *bias, int64_t N, int C, float eps);
void cpu_layernorm_bwd(float *dx, float *dw, float *dbias, const float *dout, const float *x, const float *mean,
                       const float *rstd, const float *w, int64_t N, int C, int64_t leaf, bool add);
void cpu_l2norm_fwd(float *out, float *norm, const float *x, int64_t N, int C, float eps);
void cpu_l2norm_bwd(float *dx, const float *dout, const float *out, const float *norm, int64_t N, int C, float eps);

/* cpu_act.c */
void cpu_gelu_fwd(float *out, const float *x, int64_t n, int kind);
void cpu_gelu_bwd(float *dx, float *act, const float *dout, const float *x, int64_t n, int kind);
void cpu_swiglu_fwd(float *out, const float *gate, const float *up, int64_t n);
void cpu_swiglu_bwd(float *dgate, float *dup, float *act, const float *dout, const float *gate, const float *up, int64_t n);
void cpu_add_fwd(float *out, const float *a, const float *b, int64_t n);
void cpu_scale(float *x, int64_t n, float factor);

/* cpu_rows.c */
void cpu_add_rows_fwd(float *x, const float *w, const int32_t *pos, int64_t N, int C);
void cpu_add_rows_bwd(float *dw, const float *dout, const int32_t *pos, int64_t N, int C);
void cpu_embed_fwd(float *out, const float *table, const int32_t *id, int64_t N, int C, int rows);
void cpu_embed_bwd(float *dtable, const float *dout, const int32_t *id, int64_t N, int C, int rows);
void cpu_gather(float *out, const float *x, const int32_t *row, int64_t n, int C);
void cpu_scatter(float *x, const float *in, const int32_t *row, int64_t n, int C);
void cpu_scatter_add(float *x, const float *in, const int32_t *row, int64_t n, int C);
void cpu_rope(float *x, const int32_t *pos, int64_t N, int H, int D, const double *freq, int sign);
void cpu_patches(float *out, const uint8_t *pixels, int tile0, int tiles, int size, int scaled, int tile, int patch, int kind,
                 const Colours *colours);
void cpu_area_mean(float *out, const float *x, int tile0, int tiles, int s, int side, int C, int wide, int at);

/* cpu_attention.c */
void cpu_attention_fwd(float *att, float *lse, const float *q, const float *k, const float *v, int B, const int32_t *qstart,
                       const int32_t *kstart, int H, int K, int D, int mask);
/* cpu_attentionback.c */
void cpu_attention_bwd(float *dq, float *dk, float *dv, const float *datt, const float *att, const float *lse,
                       const float *q, const float *k, const float *v, int B, const int32_t *qstart,
                       const int32_t *kstart, int H, int K, int D, int mask, int leaves);

/* cpu_depth.c */
void cpu_depth_attention_fwd(float *att, float *prob, const float *q, const float *k, const float *v, int Q, int64_t N, int H, int D);
void cpu_depth_attention_bwd(float *dq, float *dk, float *dv, const float *datt, const float *prob, const float *q,
                             const float *k, const float *v, int Q, int64_t N, int H, int D);

/* cpu_loss.c */
void cpu_xent_max(float *max, const float *z, int64_t N, int Vl);
void cpu_xent_sum(float *sum, float *target, const float *z, const float *max, const int32_t *y, int64_t N, int Vl, int v0, int leaves);
void cpu_xent_bwd(float *z, const float *max, const float *sum, const int32_t *y, int64_t N, int Vl, int v0, float scale);
void cpu_xent_loss(double *loss, const float *max, const float *sum, const float *target, int64_t N);

/* cpu_rq.c */
void cpu_nearest(int32_t *code, float *dist, const float *x, const float *e, int64_t N, int C, int S, int leaves);
void cpu_nearest_m(int32_t *id, float *d, const float *e, int S, int C, int m);
void cpu_residual(float *x, const float *e, const int32_t *code, int64_t N, int C, int S);
void cpu_code_stats(float *count, float *sum, const float *x, const int32_t *code, int64_t N, int C, int S);

/* cpu_sums.c */
void cpu_sumsq_blocks(double *out, const float *x, int64_t n, int block, int first, bool split);
void cpu_sum_tree(float *out, float *const *x, const Addition *add, int additions, int64_t n);

void cpu_fixed_add(int64_t *out, const int64_t *sum, const float *x, int64_t n, float limit);
void cpu_fixed_join(int64_t *out, const int64_t *a, const int64_t *b, int64_t n);
void cpu_fixed_round(float *out, const int64_t *sum, int64_t n);

/* cpu_noise.c */
void cpu_noise(float *out, const uint64_t *stream, const int64_t *key, int64_t N, int C, uint64_t seed);
void cpu_noise_mix(float *out, const float *x, const float *noise, const int32_t *row, const double *kept, int64_t N, int C);
void cpu_mse(double *loss, float *dx, const float *x, const float *want, int64_t N, int C, float scale);

/* cpu_state.c */
void cpu_draw(float *x, int64_t rows, int64_t cols, int64_t first, int64_t stride, int kind, double size, uint64_t seed, uint64_t stream);
void cpu_hash(uint64_t *sum, const float *x, int64_t rows, int64_t cols, int64_t first, int64_t stride, uint64_t stream);

/* cpu_pass.c */
void cpu_zero(float *x, int64_t n);
void cpu_copy(float *out, const float *x, int64_t n);
void cpu_fill(float *x, int64_t n, float value);
void cpu_to_bf16(uint16_t *out, const float *x, int64_t n);
void cpu_from_bf16(float *out, const uint16_t *x, int64_t n);

/* cpu_optim.c */
void cpu_sumsq(double *out, const float *x, int64_t n);
void cpu_blend(float *y, const float *x, int64_t n, float a, float b);
void cpu_adamw(float *w, float *m, float *v, const float *g, int64_t n, float lr, float beta1, float beta2, float eps,
               float decay, int64_t step, float gscale);
