/* simops.c -- core/ops.h as a bill: each op owes its flops, or the floats that pass between it and memory */
#include "core/meanwhile.h"
#include "core/ops.h"
#include "core/prof.h"
#include "tests/simulate/meter.h"

#define UNUSED __attribute__((unused))

static void product_of(double m, double n, double k)
{
    prof_flops += 2 * m * n * k;
    owe_flops(2 * m * n * k);
}

/* ---- linear ---- */

static void linear_fwd(UNUSED float *out, UNUSED const float *x, const Linear *w, int64_t N) { product_of((double)N, w->I, w->O); }

static void linear_dx(UNUSED float *dx, const LinearTerm *term, int terms, int64_t N, UNUSED bool add)
{
    for (int i = 0; i < terms; i++)
        product_of((double)N, term[i].w->I, term[i].w->O);
}

static void linear_dw(Linear *dw, UNUSED const float *dout, UNUSED const float *x, int64_t N)
{
    if (dw->w)
        product_of((double)N, dw->I, dw->O);
}

static void product(UNUSED float *c, UNUSED int ldc, UNUSED const float *a, UNUSED int lda, UNUSED bool ta, UNUSED const float *b,
                    UNUSED int ldb, UNUSED bool tb, int64_t M, int N, int K, UNUSED float alpha, UNUSED float beta)
{
    product_of((double)M, N, K);
}

static void gram(UNUSED float *c, UNUSED const float *a, UNUSED bool ta, int M, int K) { product_of(0.5 * (M + 1), M, K); }

/* ---- normalisation, elementwise: floats in and out ---- */

static void rmsnorm_fwd(UNUSED float *out, UNUSED float *rstd, UNUSED const float *x, UNUSED const float *w, int64_t N, int C, UNUSED float eps)
{
    owe_floats(2.0 * (double)N * C);
}

static void add_rmsnorm_fwd(UNUSED float *sum, UNUSED float *out, UNUSED float *rstd, UNUSED const float *a, UNUSED const float *b,
                            UNUSED const float *w, int64_t N, int C, UNUSED float eps)
{
    owe_floats(4.0 * (double)N * C);
}

static void rmsnorm_bwd(UNUSED float *dx, UNUSED float *dw, UNUSED const float *dout, UNUSED const float *x, UNUSED const float *rstd,
                        UNUSED const float *w, int64_t N, int C, UNUSED int64_t leaf, bool add)
{
    owe_floats((add ? 4.0 : 3.0) * (double)N * C);
}

static void rmsnorm_dw(UNUSED float *dw, UNUSED const float *dout, UNUSED const float *x, UNUSED const float *rstd, int64_t N, int H, int C,
                       UNUSED int groups)
{
    owe_floats(2.0 * (double)N * H * C);
}

static void layernorm_fwd(UNUSED float *out, UNUSED float *mean, UNUSED float *rstd, UNUSED const float *x, UNUSED const float *w,
                          UNUSED const float *b, int64_t N, int C, UNUSED float eps)
{
    owe_floats(2.0 * (double)N * C);
}

static void add_layernorm_fwd(UNUSED float *sum, UNUSED float *out, UNUSED float *mean, UNUSED float *rstd, UNUSED const float *a,
                              UNUSED const float *b, UNUSED const float *w, UNUSED const float *bias, int64_t N, int C, UNUSED float eps)
{
    owe_floats(4.0 * (double)N * C);
}

static void layernorm_bwd(UNUSED float *dx, UNUSED float *dw, UNUSED float *dbias, UNUSED const float *dout, UNUSED const float *x,
                          UNUSED const float *mean, UNUSED const float *rstd, UNUSED const float *w, int64_t N, int C, UNUSED int64_t leaf, bool add)
{
    owe_floats((add ? 4.0 : 3.0) * (double)N * C);
}

static void l2norm_fwd(UNUSED float *out, UNUSED float *norm, UNUSED const float *x, int64_t N, int C, UNUSED float eps)
{
    owe_floats(2.0 * (double)N * C);
}

static void l2norm_bwd(UNUSED float *dx, UNUSED const float *dout, UNUSED const float *out, UNUSED const float *norm, int64_t N, int C,
                       UNUSED float eps)
{
    owe_floats(3.0 * (double)N * C);
}

static void gelu_fwd(UNUSED float *out, UNUSED const float *x, int64_t n, UNUSED int kind) { owe_floats(2.0 * (double)n); }
static void gelu_bwd(UNUSED float *dx, float *act, UNUSED const float *dout, UNUSED const float *x, int64_t n, UNUSED int kind)
{
    owe_floats((act ? 4.0 : 3.0) * (double)n);
}
static void swiglu_fwd(UNUSED float *out, UNUSED const float *gate, UNUSED const float *up, int64_t n) { owe_floats(3.0 * (double)n); }
static void swiglu_bwd(UNUSED float *dgate, UNUSED float *dup, float *act, UNUSED const float *dout, UNUSED const float *gate,
                       UNUSED const float *up, int64_t n)
{
    owe_floats((act ? 6.0 : 5.0) * (double)n);
}
static void add_fwd(UNUSED float *out, UNUSED const float *a, UNUSED const float *b, int64_t n) { owe_floats(3.0 * (double)n); }
static void scale(UNUSED float *x, int64_t n, UNUSED float factor) { owe_floats(2.0 * (double)n); }
static void blend(UNUSED float *y, UNUSED const float *x, int64_t n, UNUSED float a, UNUSED float b) { owe_floats(3.0 * (double)n); }
static void fill(UNUSED float *x, int64_t n, UNUSED float value) { owe_floats((double)n); }
static void zero(UNUSED float *x, int64_t n) { owe_floats((double)n); }
static void copy(UNUSED float *out, UNUSED const float *x, int64_t n) { owe_floats(2.0 * (double)n); }
static void add_rows(UNUSED float *x, UNUSED const float *w, UNUSED const int32_t *pos, int64_t N, int C) { owe_floats(3.0 * (double)N * C); }

/* ---- rows ---- */

static void embed_fwd(UNUSED float *out, UNUSED const float *table, UNUSED const int32_t *id, int64_t N, int C, UNUSED int rows)
{
    owe_floats(2.0 * (double)N * C);
}
static void embed_bwd(UNUSED float *dtable, UNUSED const float *dout, UNUSED const int32_t *id, int64_t N, int C, UNUSED int rows)
{
    owe_floats(3.0 * (double)N * C);
}
static void gather(UNUSED float *out, UNUSED const float *x, UNUSED const int32_t *row, int64_t n, int C) { owe_floats(2.0 * (double)n * C); }
static void scatter(UNUSED float *x, UNUSED const float *in, UNUSED const int32_t *row, int64_t n, int C) { owe_floats(2.0 * (double)n * C); }
static void scatter_add(UNUSED float *x, UNUSED const float *in, UNUSED const int32_t *row, int64_t n, int C) { owe_floats(3.0 * (double)n * C); }

/* ---- attention: the pairs of rows that see each other ---- */

static void attend(int B, const int32_t *qs, const int32_t *ks, int H, int D, int mask, double times)
{
    double pairs = 0;
    for (int b = 0; b < B; b++) {
        const double tq = qs[b + 1] - qs[b], tk = ks[b + 1] - ks[b];
        pairs += mask == CAUSAL ? tq * (tk - tq) + tq * (tq + 1) / 2 : tq * tk;
    }
    prof_flops += times * 4 * D * H * pairs;
    owe_flops(times * 4 * D * H * pairs);
}

static void attention_fwd(UNUSED float *att, UNUSED float *lse, UNUSED const float *q, UNUSED const float *k, UNUSED const float *v, int B,
                          const int32_t *qstart, const int32_t *kstart, int H, UNUSED int K, int D, int mask)
{
    attend(B, qstart, kstart, H, D, mask, 1);
}

static void attention_bwd(UNUSED float *dq, UNUSED float *dk, UNUSED float *dv, UNUSED const float *datt, UNUSED const float *att,
                          UNUSED const float *lse, UNUSED const float *q, UNUSED const float *k, UNUSED const float *v, int B,
                          const int32_t *qstart, const int32_t *kstart, int H, UNUSED int K, int D, int mask, UNUSED int leaves)
{
    attend(B, qstart, kstart, H, D, mask, 2.5);
}

static void depth_attention(int Q, int64_t N, int H, int D, double times)
{
    const double flops = times * 2.0 * Q * (Q + 1) * (double)N * H * D;
    prof_flops += flops;
    owe_flops(flops);
}

static void depth_attention_fwd(UNUSED float *att, UNUSED float *prob, UNUSED const float *q, UNUSED const float *k, UNUSED const float *v,
                                int Q, int64_t N, int H, int D)
{
    depth_attention(Q, N, H, D, 1);
}

static void depth_attention_bwd(UNUSED float *dq, UNUSED float *dk, UNUSED float *dv, UNUSED const float *datt, UNUSED const float *prob,
                                UNUSED const float *q, UNUSED const float *k, UNUSED const float *v, int Q, int64_t N, int H, int D)
{
    depth_attention(Q, N, H, D, 2);
}

static void rope(UNUSED float *x, UNUSED const int32_t *pos, int64_t N, int H, int D, UNUSED const double *freq, UNUSED int sign)
{
    owe_floats(2.0 * (double)N * H * D);
}

/* ---- pictures ---- */

static void patches(UNUSED float *out, UNUSED const uint8_t *pixels, UNUSED int tile0, int tiles, UNUSED int size, UNUSED int scaled, int tile,
                    UNUSED int patch, UNUSED int kind, UNUSED const Colours *colours)
{
    owe_floats(3.75 * (double)tiles * tile * tile);
}

static void area_mean(UNUSED float *out, UNUSED const float *x, UNUSED int tile0, int tiles, UNUSED int s, int side, int C, UNUSED int wide,
                      UNUSED int at)
{
    owe_floats(2.0 * (double)tiles * side * side * C);
}

/* ---- losses ---- */

static void xent_max(UNUSED float *max, UNUSED const float *z, int64_t N, int Vl) { owe_floats((double)N * Vl); }
static void xent_sum(UNUSED float *sum, UNUSED float *target, UNUSED const float *z, UNUSED const float *max, UNUSED const int32_t *y,
                     int64_t N, int Vl, UNUSED int v0, UNUSED int leaves)
{
    owe_floats((double)N * Vl);
}
static void xent_bwd(UNUSED float *z, UNUSED const float *max, UNUSED const float *sum, UNUSED const int32_t *y, int64_t N, int Vl,
                     UNUSED int v0, UNUSED float factor)
{
    owe_floats(2.0 * (double)N * Vl);
}
static void xent_loss(double *loss, UNUSED const float *max, UNUSED const float *sum, UNUSED const float *target, UNUSED int64_t N)
{
    *loss = 0;
}

/* ---- codes that the tower computes: nearest of S ---- */

static void nearest(UNUSED int32_t *code, UNUSED float *dist, UNUSED const float *x, UNUSED const float *e, int64_t N, int C, int S, UNUSED int leaves)
{
    product_of((double)N, C, S);
}
static void nearest_bid(UNUSED float *bid, UNUSED const float *best, UNUSED const int32_t *code, UNUSED int64_t N, UNUSED int first) {}
static void nearest_won(UNUSED int32_t *code, UNUSED const float *bid, UNUSED int64_t N) {}
static void residual(UNUSED float *x, UNUSED const float *e, UNUSED const int32_t *code, int64_t N, int C, UNUSED int S)
{
    owe_floats(3.0 * (double)N * C);
}

/* Lists: small. */
static void local_ids(UNUSED int32_t *local, UNUSED const int32_t *id, UNUSED int64_t N, UNUSED int first) {}
static void take_codes(UNUSED int32_t *out, UNUSED const int32_t *code, UNUSED const int32_t *row, UNUSED int64_t n, UNUSED int Q,
                       UNUSED int64_t N)
{
}
static void given_codes(UNUSED int32_t *out, UNUSED const uint16_t *given, UNUSED const int32_t *row, UNUSED int64_t n, UNUSED int Q,
                        UNUSED int all)
{
}

/* Before the first step. */
static void draw(UNUSED float *x, UNUSED int64_t rows, UNUSED int64_t cols, UNUSED int64_t first, UNUSED int64_t stride, UNUSED int kind,
                 UNUSED double size, UNUSED uint64_t seed, UNUSED uint64_t stream)
{
}

/* ---- optimizer ---- */

static void sumsq(double *out, UNUSED const float *x, int64_t n)
{
    owe_floats((double)n);
    *out = 0;
}
static void sumsq_blocks(UNUSED double *out, UNUSED const float *x, int64_t n, UNUSED int block, UNUSED int first, UNUSED bool split)
{
    owe_floats((double)n);
}
static void sum_tree(UNUSED float *out, UNUSED float *const *x, UNUSED const Addition *add, int additions, int64_t n) { owe_floats(2.0 * additions * (double)n); }
static void fixed_add(UNUSED int64_t *out, const int64_t *sum, UNUSED const float *x, int64_t n, UNUSED float limit) { owe_floats((sum ? 5.0 : 3.0) * (double)n); }
static void fixed_join(UNUSED int64_t *out, UNUSED const int64_t *a, UNUSED const int64_t *b, int64_t n) { owe_floats(6.0 * (double)n); }
static void fixed_round(UNUSED float *out, UNUSED const int64_t *sum, int64_t n) { owe_floats(3.0 * (double)n); }
static void to_bf16(UNUSED uint16_t *out, UNUSED const float *x, int64_t n) { owe_floats(1.5 * (double)n); }
static void from_bf16(UNUSED float *out, UNUSED const uint16_t *x, int64_t n) { owe_floats(1.5 * (double)n); }
static void adamw(UNUSED float *w, UNUSED float *m, UNUSED float *v, UNUSED const float *g, int64_t n, UNUSED float lr, UNUSED float beta1,
                  UNUSED float beta2, UNUSED float eps, UNUSED float decay, UNUSED int64_t step, UNUSED float gscale)
{
    owe_floats(7.0 * (double)n);
}

/* Nobody calls it: SimGrid moves transfers by itself. */
void (*meanwhile)(void);

/* What stages pretrain and instruct call, without denoising and soft targets; any other op is NULL. */
Ops op = {
    .name = "bill", .linear_fwd = linear_fwd, .linear_dx = linear_dx, .linear_dw = linear_dw, .product = product, .gram = gram, .rmsnorm_fwd = rmsnorm_fwd,
    .add_rmsnorm_fwd = add_rmsnorm_fwd, .rmsnorm_bwd = rmsnorm_bwd, .rmsnorm_dw = rmsnorm_dw, .layernorm_fwd = layernorm_fwd, .add_layernorm_fwd = add_layernorm_fwd, .layernorm_bwd = layernorm_bwd, .l2norm_fwd = l2norm_fwd,
    .l2norm_bwd = l2norm_bwd, .gelu_fwd = gelu_fwd, .gelu_bwd = gelu_bwd, .swiglu_fwd = swiglu_fwd, .swiglu_bwd = swiglu_bwd,
    .add_fwd = add_fwd, .scale = scale, .blend = blend, .fill = fill, .zero = zero, .copy = copy, .add_rows_fwd = add_rows,
    .add_rows_bwd = add_rows, .embed_fwd = embed_fwd, .embed_bwd = embed_bwd, .gather = gather, .scatter = scatter,
    .scatter_add = scatter_add, .attention_fwd = attention_fwd, .attention_bwd = attention_bwd,
    .depth_attention_fwd = depth_attention_fwd, .depth_attention_bwd = depth_attention_bwd, .rope = rope, .patches = patches,
    .area_mean = area_mean, .xent_max = xent_max, .xent_sum = xent_sum, .xent_bwd = xent_bwd, .xent_loss = xent_loss,
    .nearest = nearest, .nearest_bid = nearest_bid, .nearest_won = nearest_won, .residual = residual, .local_ids = local_ids, .take_codes = take_codes,
    .given_codes = given_codes, .draw = draw, .sumsq = sumsq,
    .sumsq_blocks = sumsq_blocks, .sum_tree = sum_tree, .fixed_add = fixed_add, .fixed_join = fixed_join, .fixed_round = fixed_round, .to_bf16 = to_bf16, .from_bf16 = from_bf16, .adamw = adamw,
};
