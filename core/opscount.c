#include "core/opscount.h"

#include "core/prof.h"

#define UNUSED __attribute__((unused))

/* So many floats (or ids) pass. */
static void pass(int64_t n) { prof_bytes += 4.0 * (double)n; }

static int64_t if_any(const void *p, int64_t n) { return p ? n : 0; }

/* ---- linear ---- */

static void linear_fwd(UNUSED float *out, UNUSED const float *x, const Linear *w, int64_t N)
{
    prof_gemm(N, w->O, w->I);
    pass((w->add ? 2 : 1) * N * w->O + N * w->I + (int64_t)w->O * w->I + if_any(w->b, w->O));
}

static void linear_dx(UNUSED float *dx, const LinearTerm *term, int terms, int64_t N, bool add)
{
    for (int i = 0; i < terms; i++) {
        const Linear *w = term[i].w;
        prof_gemm(N, w->I, w->O);
        pass(N * w->O + (add || i > 0 ? 2 : 1) * N * w->I + (int64_t)w->O * w->I);
    }
}

static void linear_dw(Linear *dw, UNUSED const float *dout, UNUSED const float *x, int64_t N)
{
    if (dw->w)
        prof_gemm(dw->O, dw->I, N);
    pass((dw->w || dw->b ? N * dw->O : 0) + if_any(dw->w, N * dw->I + 2 * (int64_t)dw->O * dw->I) + if_any(dw->b, 2 * dw->O));
}

static void linear_pack(Linear *w, UNUSED float *room)
{
    pass(4 * (int64_t)w->O * w->I);
    w->packed = true;
}

static void linear_rows(UNUSED float *out, const Linear *w, UNUSED const int32_t *id, int64_t N) { pass(2 * N * w->I + N); }

/* The real ones count no flops either: dist/pblas.c knows what its products are for. */
static void product(UNUSED float *c, UNUSED int ldc, UNUSED const float *a, UNUSED int lda, UNUSED bool ta, UNUSED const float *b,
                    UNUSED int ldb, UNUSED bool tb, int64_t M, int N, int K, UNUSED float alpha, float beta)
{
    pass(M * K + (int64_t)K * N + (beta == 0 ? 1 : 2) * M * N);
}

static void gram(UNUSED float *c, UNUSED const float *a, UNUSED bool ta, int M, int K)
{
    prof_gram(M, K);
    pass((int64_t)M * K + (int64_t)M * M);
}

/* ---- normalisation ---- */

static void rmsnorm_fwd(UNUSED float *out, UNUSED float *rstd, UNUSED const float *x, UNUSED const float *w, int64_t N, int C, UNUSED float eps)
{
    pass(2 * N * C + N + C);
}

static void add_rmsnorm_fwd(UNUSED float *sum, UNUSED float *out, UNUSED float *rstd, UNUSED const float *a, UNUSED const float *b,
                            UNUSED const float *w, int64_t N, int C, UNUSED float eps)
{
    pass(4 * N * C + N + C);
}

static void rmsnorm_bwd(float *dx, float *dw, UNUSED const float *dout, UNUSED const float *x, UNUSED const float *rstd,
                        UNUSED const float *w, int64_t N, int C, UNUSED int64_t leaf, bool add)
{
    pass(2 * N * C + N + C + if_any(dx, (add ? 2 : 1) * N * C) + if_any(dw, 2 * C));
}

static void rmsnorm_dw(UNUSED float *dw, UNUSED const float *dout, UNUSED const float *x, UNUSED const float *rstd, int64_t N, int H, int C,
                       int groups)
{
    pass(2 * N * H * C + N * H + 2 * (int64_t)groups * C);
}

static void layernorm_fwd(UNUSED float *out, UNUSED float *mean, UNUSED float *rstd, UNUSED const float *x, UNUSED const float *w,
                          const float *bias, int64_t N, int C, UNUSED float eps)
{
    pass(2 * N * C + 2 * N + C + if_any(bias, C));
}

static void add_layernorm_fwd(UNUSED float *sum, UNUSED float *out, UNUSED float *mean, UNUSED float *rstd, UNUSED const float *a,
                              UNUSED const float *b, UNUSED const float *w, const float *bias, int64_t N, int C, UNUSED float eps)
{
    pass(4 * N * C + 2 * N + C + if_any(bias, C));
}

static void layernorm_bwd(float *dx, float *dw, float *dbias, UNUSED const float *dout, UNUSED const float *x, UNUSED const float *mean,
                          UNUSED const float *rstd, UNUSED const float *w, int64_t N, int C, UNUSED int64_t leaf, bool add)
{
    pass(2 * N * C + 2 * N + C + if_any(dx, (add ? 2 : 1) * N * C) + if_any(dw, 2 * C) + if_any(dbias, 2 * C));
}

static void l2norm_fwd(UNUSED float *out, UNUSED float *norm, UNUSED const float *x, int64_t N, int C, UNUSED float eps)
{
    pass(2 * N * C + N);
}

static void l2norm_bwd(UNUSED float *dx, UNUSED const float *dout, UNUSED const float *out, UNUSED const float *norm, int64_t N, int C,
                       UNUSED float eps)
{
    pass(3 * N * C + N);
}

/* ---- elementwise ---- */

static void gelu_fwd(UNUSED float *out, UNUSED const float *x, int64_t n, UNUSED int kind) { pass(2 * n); }
static void gelu_bwd(UNUSED float *dx, float *act, UNUSED const float *dout, UNUSED const float *x, int64_t n, UNUSED int kind)
{
    pass(3 * n + if_any(act, n));
}
static void swiglu_fwd(UNUSED float *out, UNUSED const float *gate, UNUSED const float *up, int64_t n) { pass(3 * n); }
static void swiglu_bwd(UNUSED float *dgate, UNUSED float *dup, float *act, UNUSED const float *dout, UNUSED const float *gate,
                       UNUSED const float *up, int64_t n)
{
    pass(5 * n + if_any(act, n));
}
static void add_fwd(UNUSED float *out, UNUSED const float *a, UNUSED const float *b, int64_t n) { pass(3 * n); }
static void scale(UNUSED float *x, int64_t n, UNUSED float factor) { pass(2 * n); }
static void blend(UNUSED float *y, UNUSED const float *x, int64_t n, UNUSED float a, UNUSED float b) { pass(3 * n); }
static void fill(UNUSED float *x, int64_t n, UNUSED float value) { pass(n); }
static void zero(UNUSED float *x, int64_t n) { pass(n); }
static void copy(UNUSED float *out, UNUSED const float *x, int64_t n) { pass(2 * n); }

/* ---- rows ---- */

static void add_rows_fwd(UNUSED float *x, UNUSED const float *w, UNUSED const int32_t *pos, int64_t N, int C) { pass(3 * N * C + N); }
static void add_rows_bwd(float *dw, UNUSED const float *dout, UNUSED const int32_t *pos, int64_t N, int C)
{
    pass(if_any(dw, 3 * N * C + N));
}
static void embed_fwd(UNUSED float *out, UNUSED const float *table, UNUSED const int32_t *id, int64_t N, int C, UNUSED int rows)
{
    pass(2 * N * C + N);
}
static void embed_bwd(float *dtable, UNUSED const float *dout, UNUSED const int32_t *id, int64_t N, int C, UNUSED int rows)
{
    pass(if_any(dtable, 3 * N * C + N));
}
static void gather(UNUSED float *out, UNUSED const float *x, UNUSED const int32_t *row, int64_t n, int C) { pass(2 * n * C + n); }
static void scatter(UNUSED float *x, UNUSED const float *in, UNUSED const int32_t *row, int64_t n, int C) { pass(2 * n * C + n); }
static void scatter_add(UNUSED float *x, UNUSED const float *in, UNUSED const int32_t *row, int64_t n, int C) { pass(3 * n * C + n); }

/* ---- attention ---- */

static int64_t visible_pairs(int B, const int32_t *qstart, const int32_t *kstart, int mask)
{
    int64_t pairs = 0;
    for (int b = 0; b < B; b++) {
        const int64_t tq = qstart[b + 1] - qstart[b], tk = kstart[b + 1] - kstart[b];
        const int64_t first = max64(1, tk - tq + 1), rows = max64(0, min64(tq, tk));
        pairs += mask == FULL ? tq * tk : rows * (first + tk) / 2;
    }
    return pairs;
}

static void attention_fwd(UNUSED float *att, UNUSED float *lse, UNUSED const float *q, UNUSED const float *k, UNUSED const float *v, int B,
                          const int32_t *qstart, const int32_t *kstart, int H, int K, int D, int mask)
{
    const int64_t Nq = qstart[B], Nk = kstart[B];
    prof_gemm(visible_pairs(B, qstart, kstart, mask), 2 * H, D);
    pass(2 * Nq * H * D + 2 * Nk * K * D + Nq * H);
}

static void attention_bwd(float *dq, float *dk, float *dv, UNUSED const float *datt, UNUSED const float *att, UNUSED const float *lse,
                          UNUSED const float *q, UNUSED const float *k, UNUSED const float *v, int B, const int32_t *qstart,
                          const int32_t *kstart, int H, int K, int D, int mask, UNUSED int leaves)
{
    const int64_t Nq = qstart[B], Nk = kstart[B];
    prof_gemm(visible_pairs(B, qstart, kstart, mask), (2 + !!dq + !!dk + !!dv) * H, D);
    pass((3 + !!dq) * Nq * H * D + (2 + !!dk + !!dv) * Nk * K * D + Nq * H);
}

static void depth_attention_fwd(UNUSED float *att, UNUSED float *prob, UNUSED const float *q, UNUSED const float *k, UNUSED const float *v,
                                int Q, int64_t N, int H, int D)
{
    prof_gemm(N * H, Q * (Q + 1), D);
    pass(N * H * Q * (4 * D + Q));
}

static void depth_attention_bwd(float *dq, float *dk, float *dv, UNUSED const float *datt, UNUSED const float *prob,
                                UNUSED const float *q, UNUSED const float *k, UNUSED const float *v, int Q, int64_t N, int H, int D)
{
    prof_gemm(N * H, 2 * Q * (Q + 1), D);
    pass(N * H * Q * ((4 + !!dq + !!dk + !!dv) * D + Q));
}

static void rope(UNUSED float *x, UNUSED const int32_t *pos, int64_t N, int H, int D, UNUSED const double *freq, UNUSED int sign)
{
    pass(2 * N * H * D + N);
}

/* ---- pictures ---- */

static void patches(UNUSED float *out, UNUSED const uint8_t *pixels, UNUSED int tile0, int tiles, int size, int scaled, int tile, int patch,
                    UNUSED int kind, UNUSED const Colours *colours)
{
    const int64_t s = scaled / tile, side = tile / patch * patch;
    pass(tiles * side * side * 3);
    prof_bytes += 3.0 * size * size * tiles / (double)(s * s);
}

static void area_mean(UNUSED float *out, UNUSED const float *x, UNUSED int tile0, int tiles, int s, int side, int C, UNUSED int wide,
                      UNUSED int at)
{
    const int64_t n = (int64_t)tiles * side * side * C;
    pass(n + 2 * n / (s * s));
}

/* ---- losses ---- */

static void xent_max(UNUSED float *max, UNUSED const float *z, int64_t N, int Vl) { pass(N * Vl + N); }
static void xent_sum(UNUSED float *sum, UNUSED float *target, UNUSED const float *z, UNUSED const float *max, UNUSED const int32_t *y,
                     int64_t N, int Vl, UNUSED int v0, UNUSED int leaves)
{
    pass(N * Vl + 4 * N);
}
static void xent_bwd(UNUSED float *z, UNUSED const float *max, UNUSED const float *sum, const int32_t *y, int64_t N, int Vl,
                     UNUSED int v0, UNUSED float factor)
{
    pass(2 * N * Vl + 2 * N + if_any(y, N));
}
static void xent_soft_target(UNUSED float *target, UNUSED const float *z, UNUSED const int32_t *y, const XentSoft *soft, int64_t N,
                             UNUSED int Vl, UNUSED int v0, UNUSED int leaves)
{
    pass(3 * N * soft->m + 2 * N);
}
static void xent_soft_bwd(UNUSED float *z, UNUSED const int32_t *y, const XentSoft *soft, int64_t N, UNUSED int Vl, UNUSED int v0,
                          UNUSED float factor)
{
    pass(4 * N * soft->m + N);
}
static void xent_loss(double *loss, UNUSED const float *max, UNUSED const float *sum, UNUSED const float *target, int64_t N)
{
    pass(3 * N);
    *loss = 0;
}
static void sigmoid_contrast(double *loss, UNUSED float *z, float *dlogscale, float *dbias, UNUSED const float *logscale,
                             UNUSED const float *bias, int B, UNUSED float factor)
{
    pass((dlogscale ? 2 : 1) * (int64_t)B * B + 2 + if_any(dlogscale, 2) + if_any(dbias, 2));
    *loss = 0;
}
static void mse(double *loss, float *dx, UNUSED const float *x, UNUSED const float *want, int64_t N, int C, UNUSED float factor)
{
    pass(2 * N * C + if_any(dx, N * C));
    *loss = 0;
}

/* ---- diffusion: streams, keys and shares are twice as wide ---- */

static void noise(UNUSED float *out, UNUSED const uint64_t *stream, UNUSED const int64_t *key, int64_t N, int C, UNUSED uint64_t seed)
{
    pass(N * C + 4 * N);
}
static void noise_mix(UNUSED float *out, UNUSED const float *x, UNUSED const float *noise, UNUSED const int32_t *row, UNUSED const double *kept,
                      int64_t N, int C)
{
    pass(3 * N * C + 3 * N);
}

/* ---- residual quantization ---- */

static void nearest(UNUSED int32_t *code, float *dist, UNUSED const float *x, UNUSED const float *e, int64_t N, int C, int S, UNUSED int leaves)
{
    prof_gemm(N, S, C);
    pass(N * C + (int64_t)S * C + N + if_any(dist, N));
}
static void nearest_bid(UNUSED float *bid, UNUSED const float *best, UNUSED const int32_t *code, int64_t N, UNUSED int first) { pass(4 * N); }
static void nearest_won(UNUSED int32_t *code, UNUSED const float *bid, int64_t N) { pass(2 * N); }
static void nearest_m(UNUSED int32_t *id, UNUSED float *d, UNUSED const float *e, int S, int C, int m)
{
    prof_gemm(S, S, C);
    pass((int64_t)S * (C + 2 * m));
}
static void soft_targets(UNUSED float *p, int S, int m, UNUSED float tau) { pass(2 * (int64_t)S * m); }
static void residual(UNUSED float *x, UNUSED const float *e, UNUSED const int32_t *code, int64_t N, int C, UNUSED int S)
{
    pass(3 * N * C + N);
}
static void code_stats(UNUSED float *count, UNUSED float *sum, UNUSED const float *x, UNUSED const int32_t *code, int64_t N, int C, UNUSED int S)
{
    pass(3 * N * C + 3 * N);
}
static void code_count(double *total, double *chosen, UNUSED float *count, UNUSED const float *n, int S, UNUSED float decay)
{
    pass(3 * (int64_t)S);
    *total = *chosen = 0;
}
static void code_update(UNUSED float *e, UNUSED float *sum, UNUSED const float *count, UNUSED const float *m, int S, int C, UNUSED float decay,
                        UNUSED float eps, UNUSED double total, UNUSED int codes)
{
    pass((int64_t)S * (4 * C + 1));
}
static void code_restart(int64_t *restarts, int *used, UNUSED float *e, UNUSED float *count, UNUSED float *sum, UNUSED const float *candidate,
                         UNUSED const float *n, int S, UNUSED int C)
{
    pass(2 * (int64_t)S);
    *restarts = *used = 0;
}
static void entropy(double *out, UNUSED const float *n, int S, UNUSED double total)
{
    pass(S);
    *out = 0;
}
static void pick(int32_t *id, UNUSED const float *z, int V, UNUSED float temperature, UNUSED double u)
{
    pass(V);
    *id = 0;
}

/* ---- lists and parameters ---- */

static void local_ids(UNUSED int32_t *local, UNUSED const int32_t *id, int64_t N, UNUSED int first) { pass(2 * N); }

static void take_codes(UNUSED int32_t *out, UNUSED const int32_t *code, UNUSED const int32_t *row, int64_t n, int Q, UNUSED int64_t N)
{
    pass(2 * n * Q + if_any(row, n));
}

static void given_codes(UNUSED int32_t *out, UNUSED const uint16_t *given, UNUSED const int32_t *row, int64_t n, int Q, UNUSED int all)
{
    pass(n * Q + n * Q / 2 + if_any(row, n));
}

static void draw(UNUSED float *x, int64_t rows, int64_t cols, UNUSED int64_t first, UNUSED int64_t stride, UNUSED int kind,
                 UNUSED double size, UNUSED uint64_t seed, UNUSED uint64_t stream)
{
    pass(rows * cols);
}

static void hash(uint64_t *sum, UNUSED const float *x, int64_t rows, int64_t cols, UNUSED int64_t first, UNUSED int64_t stride,
                 UNUSED uint64_t stream)
{
    pass(rows * cols);
    *sum = 0;
}

/* ---- optimizer ---- */

static void sumsq(double *out, UNUSED const float *x, int64_t n)
{
    pass(n);
    *out = 0;
}
static void sumsq_blocks(UNUSED double *out, UNUSED const float *x, int64_t n, int block, UNUSED int first, bool split)
{
    pass(n + (split ? 6 : 2) * (n / block));
}

static void sum_tree(UNUSED float *out, UNUSED float *const *x, UNUSED const Addition *add, int additions, int64_t n)
{
    pass((additions + 2) * n);
}
static void fixed_add(UNUSED int64_t *out, const int64_t *sum, UNUSED const float *x, int64_t n, UNUSED float limit)
{
    pass((sum ? 5 : 3) * n);
}
static void fixed_join(UNUSED int64_t *out, UNUSED const int64_t *a, UNUSED const int64_t *b, int64_t n) { pass(6 * n); }
static void fixed_round(UNUSED float *out, UNUSED const int64_t *sum, int64_t n) { pass(3 * n); }
static void to_bf16(UNUSED uint16_t *out, UNUSED const float *x, int64_t n) { prof_bytes += 6.0 * (double)n; }
static void from_bf16(UNUSED float *out, UNUSED const uint16_t *x, int64_t n) { prof_bytes += 6.0 * (double)n; }
static void adamw(UNUSED float *w, UNUSED float *m, UNUSED float *v, UNUSED const float *g, int64_t n, UNUSED float lr, UNUSED float beta1,
                  UNUSED float beta2, UNUSED float eps, UNUSED float decay, UNUSED int64_t step, UNUSED float gscale)
{
    pass(7 * n);
}

#define MEMBER(f) .f = f,
const Ops OPS_COUNT = { .name = "count", OPS_LIST(MEMBER) };
