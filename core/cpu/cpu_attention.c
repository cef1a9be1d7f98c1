/*
 * cpu_attention.c -- attention without its T x T matrix
 *
 * A block of up to ROWS queries walks over the keys it may see, KEYS at a time; only the tile of scores between the two
 * exists, on the stack.  The forward keeps each query's largest score and the sum of exponentials so far and
 * rescales what it has when the largest grows; the backward gets the probabilities back from lse.  The backward of
 * one kv head of one sequence belongs to one thread, so dk and dv are summed in one order.
 *
 * Source  FlashAttention-2, arXiv:2307.08691, algorithms 1 and 2
 */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"
#include "core/prof.h"

enum { ROWS = 64, KEYS = 128, LANES = 16 };     /* 32 KiB a tile */

/* One sequence and one head of it: pointers to its first row, floats from row to row. */
typedef struct {
    const float *q, *k, *v;
    int64_t qstep, kstep;
    int     tq, tk, D, mask;
    float   scale;
} Head;

/* Keys that query i sees. */
static int seen(const Head *s, int i)
{
    return s->mask == FULL ? s->tk : (int)max64(0, i + 1 + s->tk - s->tq);
}

/* Queries of a block: where the triangle of a short sequence is most of the work, small steps waste less of it. */
static int block_rows(const Head *s) { return s->mask == CAUSAL && s->tk <= 2 * KEYS ? ROWS / 4 : ROWS; }

/* p (rows,KEYS) = factor a b^T, a (rows,D), b (wide,D).  One query (decoding) would only pay for sgemm's packing. */
static void products(float *p, float factor, const float *a, int64_t astep, const float *b, int64_t bstep, int rows, int wide, int D)
{
    if (rows > 1) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, wide, D, factor, a, (int)astep, b, (int)bstep, 0, p, KEYS);
        return;
    }
    for (int j = 0; j < wide; j++) {
        const float *row = b + j * bstep;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int d = 0; d < D; d++)
            sum += a[d] * row[d];
        p[j] = factor * sum;
    }
}

/* out (rows,D) = p b, or += with add; p (rows,KEYS), b (wide,D). */
static void combine(float *out, int64_t ostep, const float *p, const float *b, int64_t bstep, int rows, int wide, int D, bool add)
{
    if (rows > 1) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, D, wide, 1, p, KEYS, b, (int)bstep, add, out, (int)ostep);
        return;
    }
    if (!add)
        memset(out, 0, (size_t)D * sizeof *out);
    for (int j = 0; j < wide; j++) {
        const float *row = b + j * bstep, weight = p[j];
#pragma omp simd
        for (int d = 0; d < D; d++)
            out[d] = madd(weight, row[d], out[d]);
    }
}

/* Scores [visible, end) become invisible; end is `wide` rounded up to whole vectors, which the tile has room for. */
static int hide(float *p, int visible, int wide)
{
    const int end = (wide + LANES - 1) / LANES * LANES;
    for (int j = visible; j < end; j++)
        p[j] = -INFINITY;
    return end;
}

/* Scores -> exponentials below the row's largest so far; returns what earlier results must be multiplied by. */
static float soften(float *p, float *max, float *sum, int end)
{
    const float here = simd_max(p, end), top = here > *max ? here : *max;
    const float base = top == -INFINITY ? 0.f : top;        /* nothing seen yet: all exponentials are 0 */
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int j = 0; j < end; j++) {
        p[j] = simd_exp(p[j] - base);
        part += p[j];
    }
    const float shrink = *max == -INFINITY ? 0.f : simd_exp(*max - base);
    *max = top;
    *sum = *sum * shrink + part;
    return shrink;
}

static void scale_row(float *x, float factor, int D)
{
#pragma omp simd
    for (int d = 0; d < D; d++)
        x[d] *= factor;
}

static void head_fwd(float *att, float *lse, int64_t lstep, const Head *s)
{
    float p[ROWS * KEYS];
    const int block = block_rows(s);
    for (int i0 = 0; i0 < s->tq; i0 += block) {
        const int rows = (int)min64(block, s->tq - i0), limit = seen(s, i0 + rows - 1);
        float *out = att + i0 * s->qstep, max[ROWS], sum[ROWS];
        for (int r = 0; r < rows; r++) {
            max[r] = -INFINITY;
            sum[r] = 0;
            if (limit == 0)
                memset(out + r * s->qstep, 0, (size_t)s->D * sizeof *out);
        }
        for (int j0 = 0; j0 < limit; j0 += KEYS) {
            const int wide = (int)min64(KEYS, limit - j0);
            products(p, s->scale, s->q + i0 * s->qstep, s->qstep, s->k + j0 * s->kstep, s->kstep, rows, wide, s->D);
            for (int r = 0; r < rows; r++) {
                const int visible = (int)max64(0, min64(wide, seen(s, i0 + r) - j0));
                const float shrink = soften(p + r * KEYS, max + r, sum + r, hide(p + r * KEYS, visible, wide));
                if (j0 > 0 && shrink != 1.f)
                    scale_row(out + r * s->qstep, shrink, s->D);
            }
            combine(out, s->qstep, p, s->v + j0 * s->kstep, s->kstep, rows, wide, s->D, j0 > 0);
        }
        for (int r = 0; r < rows; r++) {
            scale_row(out + r * s->qstep, sum[r] == 0.f ? 0.f : 1.f / sum[r], s->D);
            lse[(i0 + r) * lstep] = max[r] + logf(sum[r]);
        }
    }
}

typedef struct { float *dq, *dk, *dv; const float *datt, *att, *lse; int64_t lstep; } HeadGrad;

/* p: scores -> probabilities;  dp: d loss / d probability -> d loss / d (q . k) */
static void soften_bwd(float *p, float *dp, float lse, float delta, float scale, int visible, int wide)
{
    const int end = hide(p, visible, wide);
    for (int j = visible; j < end; j++)
        dp[j] = 0;
    const float base = lse == -INFINITY ? 0.f : lse;
#pragma omp simd
    for (int j = 0; j < end; j++) {
        p[j] = simd_exp(p[j] - base);
        dp[j] = p[j] * (dp[j] - delta) * scale;
    }
}

/* Queries [i0, i0 + rows) of one query head. */
static void block_bwd(const HeadGrad *g, const Head *s, int i0, int rows)
{
    float p[ROWS * KEYS], dp[ROWS * KEYS], delta[ROWS];
    const int64_t at = i0 * s->qstep;
    const int D = s->D, limit = seen(s, i0 + rows - 1), qstep = (int)s->qstep, kstep = (int)s->kstep;
    for (int r = 0; r < rows; r++) {
        const float *a = g->att + at + r * s->qstep, *da = g->datt + at + r * s->qstep;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int d = 0; d < D; d++)
            sum += a[d] * da[d];
        delta[r] = sum;
        if (g->dq && limit == 0)
            memset(g->dq + at + r * s->qstep, 0, (size_t)D * sizeof *g->dq);
    }
    for (int j0 = 0; j0 < limit; j0 += KEYS) {
        const int wide = (int)min64(KEYS, limit - j0);
        const int64_t to = j0 * s->kstep;
        products(p, s->scale, s->q + at, qstep, s->k + to, kstep, rows, wide, D);
        products(dp, 1, g->datt + at, qstep, s->v + to, kstep, rows, wide, D);
        for (int r = 0; r < rows; r++) {
            const int visible = (int)max64(0, min64(wide, seen(s, i0 + r) - j0));
            soften_bwd(p + r * KEYS, dp + r * KEYS, g->lse[(i0 + r) * g->lstep], delta[r], s->scale, visible, wide);
        }
        if (g->dv)
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, wide, D, rows, 1, p, KEYS, g->datt + at, qstep, 1, g->dv + to, kstep);
        if (g->dk)
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, wide, D, rows, 1, dp, KEYS, s->q + at, qstep, 1, g->dk + to, kstep);
        if (g->dq)
            combine(g->dq + at, qstep, dp, s->k + to, kstep, rows, wide, D, j0 > 0);
    }
}

/* Sequence b, its query head h and the kv head that h reads. */
static Head head(const float *q, const float *k, const float *v, const int32_t *qstart, const int32_t *kstart, int b,
                 int h, int H, int K, int D, int mask)
{
    const int64_t qat = ((int64_t)qstart[b] * H + h) * D, kat = ((int64_t)kstart[b] * K + h / (H / K)) * D;
    return (Head){ .q = q + qat, .k = k + kat, .v = v + kat, .qstep = (int64_t)H * D, .kstep = (int64_t)K * D,
                   .tq = qstart[b + 1] - qstart[b], .tk = kstart[b + 1] - kstart[b], .D = D, .mask = mask,
                   .scale = 1.f / sqrtf((float)D) };
}

/* Pairs (query, key) that see each other, over all sequences. */
static int64_t visible_pairs(int B, const int32_t *qstart, const int32_t *kstart, int mask)
{
    int64_t pairs = 0;
    for (int b = 0; b < B; b++) {
        const int64_t tq = qstart[b + 1] - qstart[b], tk = kstart[b + 1] - kstart[b];
        const int64_t first = max64(1, tk - tq + 1), rows = min64(tq, tk);
        pairs += mask == FULL ? tq * tk : rows * (first + tk) / 2;
    }
    return pairs;
}

void cpu_attention_fwd(float *att, float *lse, const float *q, const float *k, const float *v, int B, const int32_t *qstart,
                       const int32_t *kstart, int H, int K, int D, int mask)
{
    prof_gemm(visible_pairs(B, qstart, kstart, mask), 2 * H, D);
    const int threads = blas_alone_start();
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(threads) if ((int64_t)qstart[B] * H * D >= PARALLEL)
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++) {
            const Head s = head(q, k, v, qstart, kstart, b, h, H, K, D, mask);
            head_fwd(att + (s.q - q), lse + (int64_t)qstart[b] * H + h, H, &s);
        }
    blas_alone_end(threads);
}

static void clear_rows(float *x, int64_t step, int rows, int D)
{
    for (int r = 0; x && r < rows; r++)
        memset(x + r * step, 0, (size_t)D * sizeof *x);
}

void cpu_attention_bwd(float *dq, float *dk, float *dv, const float *datt, const float *att, const float *lse,
                       const float *q, const float *k, const float *v, int B, const int32_t *qstart,
                       const int32_t *kstart, int H, int K, int D, int mask)
{
    prof_gemm(visible_pairs(B, qstart, kstart, mask), ((dq ? 3 : 2) + (dk ? 1 : 0) + (dv ? 1 : 0)) * H, D);
    const int threads = blas_alone_start();
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(threads) if ((int64_t)qstart[B] * H * D >= PARALLEL)
    for (int b = 0; b < B; b++)
        for (int kv = 0; kv < K; kv++) {
            for (int h = kv * (H / K); h < (kv + 1) * (H / K); h++) {
                const Head s = head(q, k, v, qstart, kstart, b, h, H, K, D, mask);
                const int64_t qat = s.q - q, kat = s.k - k;
                const HeadGrad g = { .dq = dq ? dq + qat : NULL, .dk = dk ? dk + kat : NULL, .dv = dv ? dv + kat : NULL,
                                     .datt = datt + qat, .att = att + qat, .lse = lse + (int64_t)qstart[b] * H + h, .lstep = H };
                if (h == kv * (H / K)) {
                    clear_rows(g.dk, s.kstep, s.tk, D);
                    clear_rows(g.dv, s.kstep, s.tk, D);
                }
                for (int i0 = 0; i0 < s.tq; i0 += block_rows(&s))
                    block_bwd(&g, &s, i0, (int)min64(block_rows(&s), s.tq - i0));
            }
        }
    blas_alone_end(threads);
}
