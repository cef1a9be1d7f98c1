#include "core/opspans.h"

#include "core/opscount.h"
#include "core/opsums.h"
#include "core/prof.h"

static Ops was;
static unsigned watched;

#define WATCH_PRODUCT(name, args, M, N, K)                   \
    do {                                                     \
        OpCall call = opsums_begin(OP_##name, M, N, K);      \
        if (watched & OPS_SUMS) {                            \
            OPS_COUNT.name args;                             \
            opsums_count(&call);                             \
        }                                                    \
        prof_begin(#name);                                   \
        was.name args;                                       \
        prof_end();                                          \
        if (watched & OPS_SUMS)                              \
            opsums_end(&call);                               \
    } while (0)
#define WATCH(name, args) WATCH_PRODUCT(name, args, 0, 0, 0)

static void linear_fwd(float *out, const float *x, const Linear *w, int64_t N)
{
    WATCH_PRODUCT(linear_fwd, (out, x, w, N), N, w->O, w->I);
}

static void linear_dx(float *dx, const LinearTerm *term, int terms, int64_t N, bool add)
{
    int64_t K = 0;
    for (int i = 0; i < terms; i++)
        K += term[i].w->O;
    WATCH_PRODUCT(linear_dx, (dx, term, terms, N, add), N, term->w->I, K);
}

static void linear_dw(Linear *dw, const float *dout, const float *x, int64_t N)
{
    WATCH_PRODUCT(linear_dw, (dw, dout, x, N), dw->O, dw->I, N);
}

static void linear_pack(Linear *w, float *room) { WATCH(linear_pack, (w, room)); }
static void linear_rows(float *out, const Linear *w, const int32_t *id, int64_t N) { WATCH(linear_rows, (out, w, id, N)); }

static void product(float *c, int ldc, const float *a, int lda, bool ta, const float *b, int ldb, bool tb, int64_t M, int N, int K,
                    float alpha, float beta)
{
    WATCH_PRODUCT(product, (c, ldc, a, lda, ta, b, ldb, tb, M, N, K, alpha, beta), M, N, K);
}

static void gram(float *c, const float *a, bool ta, int M, int K)
{
    WATCH(gram, (c, a, ta, M, K));
}

static void rmsnorm_fwd(float *out, float *rstd, const float *x, const float *w, int64_t N, int C, float eps)
{
    WATCH(rmsnorm_fwd, (out, rstd, x, w, N, C, eps));
}

static void add_rmsnorm_fwd(float *sum, float *out, float *rstd, const float *a, const float *b, const float *w, int64_t N, int C,
                            float eps)
{
    WATCH(add_rmsnorm_fwd, (sum, out, rstd, a, b, w, N, C, eps));
}

static void rmsnorm_bwd(float *dx, float *dw, const float *dout, const float *x, const float *rstd, const float *w, int64_t N, int C,
                        int64_t leaf, bool add)
{
    WATCH(rmsnorm_bwd, (dx, dw, dout, x, rstd, w, N, C, leaf, add));
}

static void rmsnorm_dw(float *dw, const float *dout, const float *x, const float *rstd, int64_t N, int H, int C, int groups)
{
    WATCH(rmsnorm_dw, (dw, dout, x, rstd, N, H, C, groups));
}

static void layernorm_fwd(float *out, float *mean, float *rstd, const float *x, const float *w, const float *bias, int64_t N, int C,
                          float eps)
{
    WATCH(layernorm_fwd, (out, mean, rstd, x, w, bias, N, C, eps));
}

static void add_layernorm_fwd(float *sum, float *out, float *mean, float *rstd, const float *a, const float *b, const float *w,
                              const float *bias, int64_t N, int C, float eps)
{
    WATCH(add_layernorm_fwd, (sum, out, mean, rstd, a, b, w, bias, N, C, eps));
}

static void layernorm_bwd(float *dx, float *dw, float *dbias, const float *dout, const float *x, const float *mean, const float *rstd,
                          const float *w, int64_t N, int C, int64_t leaf, bool add)
{
    WATCH(layernorm_bwd, (dx, dw, dbias, dout, x, mean, rstd, w, N, C, leaf, add));
}

static void l2norm_fwd(float *out, float *norm, const float *x, int64_t N, int C, float eps)
{
    WATCH(l2norm_fwd, (out, norm, x, N, C, eps));
}

static void l2norm_bwd(float *dx, const float *dout, const float *out, const float *norm, int64_t N, int C, float eps)
{
    WATCH(l2norm_bwd, (dx, dout, out, norm, N, C, eps));
}

static void gelu_fwd(float *out, const float *x, int64_t n, int kind) { WATCH(gelu_fwd, (out, x, n, kind)); }

static void gelu_bwd(float *dx, float *act, const float *dout, const float *x, int64_t n, int kind)
{
    WATCH(gelu_bwd, (dx, act, dout, x, n, kind));
}

static void swiglu_fwd(float *out, const float *gate, const float *up, int64_t n) { WATCH(swiglu_fwd, (out, gate, up, n)); }

static void swiglu_bwd(float *dgate, float *dup, float *act, const float *dout, const float *gate, const float *up, int64_t n)
{
    WATCH(swiglu_bwd, (dgate, dup, act, dout, gate, up, n));
}

static void add_fwd(float *out, const float *a, const float *b, int64_t n) { WATCH(add_fwd, (out, a, b, n)); }
static void scale(float *x, int64_t n, float factor) { WATCH(scale, (x, n, factor)); }
static void blend(float *y, const float *x, int64_t n, float a, float b) { WATCH(blend, (y, x, n, a, b)); }
static void fill(float *x, int64_t n, float value) { WATCH(fill, (x, n, value)); }
static void zero(float *x, int64_t n) { WATCH(zero, (x, n)); }
static void copy(float *out, const float *x, int64_t n) { WATCH(copy, (out, x, n)); }
static void add_rows_fwd(float *x, const float *w, const int32_t *pos, int64_t N, int C) { WATCH(add_rows_fwd, (x, w, pos, N, C)); }

static void add_rows_bwd(float *dw, const float *dout, const int32_t *pos, int64_t N, int C)
{
    WATCH(add_rows_bwd, (dw, dout, pos, N, C));
}

static void embed_fwd(float *out, const float *table, const int32_t *id, int64_t N, int C, int rows)
{
    WATCH(embed_fwd, (out, table, id, N, C, rows));
}

static void embed_bwd(float *dtable, const float *dout, const int32_t *id, int64_t N, int C, int rows)
{
    WATCH(embed_bwd, (dtable, dout, id, N, C, rows));
}

static void gather(float *out, const float *x, const int32_t *row, int64_t n, int C) { WATCH(gather, (out, x, row, n, C)); }
static void scatter(float *x, const float *in, const int32_t *row, int64_t n, int C) { WATCH(scatter, (x, in, row, n, C)); }
static void scatter_add(float *x, const float *in, const int32_t *row, int64_t n, int C) { WATCH(scatter_add, (x, in, row, n, C)); }

static void local_ids(int32_t *local, const int32_t *id, int64_t N, int first)
{
    WATCH(local_ids, (local, id, N, first));
}

static void attention_fwd(float *att, float *lse, const float *q, const float *k, const float *v, int B, const int32_t *qstart,
                          const int32_t *kstart, int H, int K, int D, int mask)
{
    WATCH(attention_fwd, (att, lse, q, k, v, B, qstart, kstart, H, K, D, mask));
}

static void attention_bwd(float *dq, float *dk, float *dv, const float *datt, const float *att, const float *lse, const float *q,
                          const float *k, const float *v, int B, const int32_t *qstart, const int32_t *kstart, int H, int K, int D,
                          int mask, int leaves)
{
    WATCH(attention_bwd, (dq, dk, dv, datt, att, lse, q, k, v, B, qstart, kstart, H, K, D, mask, leaves));
}

static void depth_attention_fwd(float *att, float *prob, const float *q, const float *k, const float *v, int Q, int64_t N, int H, int D)
{
    WATCH(depth_attention_fwd, (att, prob, q, k, v, Q, N, H, D));
}

static void depth_attention_bwd(float *dq, float *dk, float *dv, const float *datt, const float *prob, const float *q, const float *k,
                                const float *v, int Q, int64_t N, int H, int D)
{
    WATCH(depth_attention_bwd, (dq, dk, dv, datt, prob, q, k, v, Q, N, H, D));
}

static void rope(float *x, const int32_t *pos, int64_t N, int H, int D, const double *freq, int sign)
{
    WATCH(rope, (x, pos, N, H, D, freq, sign));
}

static void patches(float *out, const uint8_t *pixels, int tile0, int tiles, int size, int scaled, int tile, int patch, int kind,
                    const Colours *colours)
{
    WATCH(patches, (out, pixels, tile0, tiles, size, scaled, tile, patch, kind, colours));
}

static void area_mean(float *out, const float *x, int tile0, int tiles, int s, int side, int C, int wide, int at)
{
    WATCH(area_mean, (out, x, tile0, tiles, s, side, C, wide, at));
}

static void xent_max(float *max, const float *z, int64_t N, int Vl) { WATCH(xent_max, (max, z, N, Vl)); }

static void xent_sum(float *sum, float *target, const float *z, const float *max, const int32_t *y, int64_t N, int Vl, int v0, int leaves)
{
    WATCH(xent_sum, (sum, target, z, max, y, N, Vl, v0, leaves));
}

static void xent_bwd(float *z, const float *max, const float *sum, const int32_t *y, int64_t N, int Vl, int v0, float scale)
{
    WATCH(xent_bwd, (z, max, sum, y, N, Vl, v0, scale));
}

static void xent_soft_target(float *target, const float *z, const int32_t *y, const XentSoft *soft, int64_t N, int Vl, int v0, int leaves)
{
    WATCH(xent_soft_target, (target, z, y, soft, N, Vl, v0, leaves));
}

static void xent_soft_bwd(float *z, const int32_t *y, const XentSoft *soft, int64_t N, int Vl, int v0, float scale)
{
    WATCH(xent_soft_bwd, (z, y, soft, N, Vl, v0, scale));
}

static void xent_loss(double *loss, const float *max, const float *sum, const float *target, int64_t N)
{
    WATCH(xent_loss, (loss, max, sum, target, N));
}

static void sigmoid_contrast(double *loss, float *z, float *dlogscale, float *dbias, const float *logscale, const float *bias, int B,
                             float factor)
{
    WATCH(sigmoid_contrast, (loss, z, dlogscale, dbias, logscale, bias, B, factor));
}

static void mse(double *loss, float *dx, const float *x, const float *want, int64_t N, int C, float scale)
{
    WATCH(mse, (loss, dx, x, want, N, C, scale));
}

static void noise(float *out, const uint64_t *stream, const int64_t *key, int64_t N, int C, uint64_t seed)
{
    WATCH(noise, (out, stream, key, N, C, seed));
}

static void noise_mix(float *out, const float *x, const float *noise, const int32_t *row, const double *kept, int64_t N, int C)
{
    WATCH(noise_mix, (out, x, noise, row, kept, N, C));
}

static void nearest(int32_t *code, float *dist, const float *x, const float *e, int64_t N, int C, int S, int leaves)
{
    WATCH(nearest, (code, dist, x, e, N, C, S, leaves));
}

static void nearest_bid(float *bid, const float *best, const int32_t *code, int64_t N, int first)
{
    WATCH(nearest_bid, (bid, best, code, N, first));
}

static void nearest_won(int32_t *code, const float *bid, int64_t N) { WATCH(nearest_won, (code, bid, N)); }
static void nearest_m(int32_t *id, float *d, const float *e, int S, int C, int m) { WATCH(nearest_m, (id, d, e, S, C, m)); }
static void soft_targets(float *p, int S, int m, float tau) { WATCH(soft_targets, (p, S, m, tau)); }
static void residual(float *x, const float *e, const int32_t *code, int64_t N, int C, int S) { WATCH(residual, (x, e, code, N, C, S)); }

static void code_stats(float *count, float *sum, const float *x, const int32_t *code, int64_t N, int C, int S)
{
    WATCH(code_stats, (count, sum, x, code, N, C, S));
}

static void code_count(double *total, double *chosen, float *count, const float *n, int S, float decay)
{
    WATCH(code_count, (total, chosen, count, n, S, decay));
}

static void code_update(float *e, float *sum, const float *count, const float *m, int S, int C, float decay, float eps, double total,
                        int codes)
{
    WATCH(code_update, (e, sum, count, m, S, C, decay, eps, total, codes));
}

static void code_restart(int64_t *restarts, int *used, float *e, float *count, float *sum, const float *candidate, const float *n, int S,
                         int C)
{
    WATCH(code_restart, (restarts, used, e, count, sum, candidate, n, S, C));
}

static void take_codes(int32_t *out, const int32_t *code, const int32_t *row, int64_t n, int Q, int64_t N)
{
    WATCH(take_codes, (out, code, row, n, Q, N));
}

static void given_codes(int32_t *out, const uint16_t *given, const int32_t *row, int64_t n, int Q, int all)
{
    WATCH(given_codes, (out, given, row, n, Q, all));
}

static void entropy(double *out, const float *n, int S, double total) { WATCH(entropy, (out, n, S, total)); }
static void pick(int32_t *id, const float *z, int V, float temperature, double u) { WATCH(pick, (id, z, V, temperature, u)); }
static void sumsq(double *out, const float *x, int64_t n) { WATCH(sumsq, (out, x, n)); }

static void draw(float *x, int64_t rows, int64_t cols, int64_t first, int64_t stride, int kind, double size, uint64_t seed,
                 uint64_t stream)
{
    WATCH(draw, (x, rows, cols, first, stride, kind, size, seed, stream));
}

static void hash(uint64_t *sum, const float *x, int64_t rows, int64_t cols, int64_t first, int64_t stride, uint64_t stream)
{
    WATCH(hash, (sum, x, rows, cols, first, stride, stream));
}

static void sumsq_blocks(double *out, const float *x, int64_t n, int block, int first, bool split)
{
    WATCH(sumsq_blocks, (out, x, n, block, first, split));
}

static void sum_tree(float *out, float *const *x, const Addition *add, int additions, int64_t n)
{
    WATCH(sum_tree, (out, x, add, additions, n));
}

static void fixed_add(int64_t *out, const int64_t *sum, const float *x, int64_t n, float limit) { WATCH(fixed_add, (out, sum, x, n, limit)); }
static void fixed_join(int64_t *out, const int64_t *a, const int64_t *b, int64_t n) { WATCH(fixed_join, (out, a, b, n)); }
static void fixed_round(float *out, const int64_t *sum, int64_t n) { WATCH(fixed_round, (out, sum, n)); }
static void to_bf16(uint16_t *out, const float *x, int64_t n) { WATCH(to_bf16, (out, x, n)); }
static void from_bf16(float *out, const uint16_t *x, int64_t n) { WATCH(from_bf16, (out, x, n)); }

static void adamw(float *w, float *m, float *v, const float *g, int64_t n, float lr, float beta1, float beta2, float eps, float decay,
                  int64_t step, float gscale)
{
    WATCH(adamw, (w, m, v, g, n, lr, beta1, beta2, eps, decay, step, gscale));
}

#define MEMBER(f) .f = f,
static const Ops WATCHED = { OPS_LIST(MEMBER) };
#undef MEMBER

void ops_watch(unsigned what)
{
    if (watched)
        op = was;
    if (what) {
        was = op;
        ops_overlay(&WATCHED);
    }
    watched = what;
}
