/*
 * cpu_attention.c -- attention without its T x T matrix
 *
 * A block of up to QUERIES queries walks over the keys it may see, a block of KEYS at a time; only the tile of scores between the two
 * exists, on the stack.  The forward keeps each query's largest score and the sum of exponentials so far and rescales what it
 * has when the largest grows.  Threads take blocks of queries.
 *
 * Source  FlashAttention-2, arXiv:2307.08691, algorithm 1
 */
#include "core/cpu/cpu.h"
#include "core/cpu/heads.h"
#include "core/meanwhile.h"
#include "core/prof.h"

enum { BESIDE = 8 };            /* heads of single queries that go together, at most */

/* The scores of a panel -> exponentials below each query's largest so far; shrink: what earlier results must be multiplied by. */
static void soften(float *p, float *max, float *sum, float *shrink, int see)
{
    float base[PANEL], part[PANEL] = { 0 }, top[PANEL];
    memcpy(top, max, sizeof top);
    for (int j = 0; j < see; j++)
#pragma omp simd
        for (int l = 0; l < PANEL; l++)
            top[l] = p[j * QUERIES + l] > top[l] ? p[j * QUERIES + l] : top[l];
#pragma omp simd
    for (int l = 0; l < PANEL; l++) {
        base[l] = top[l] == -INFINITY ? 0.f : top[l];           /* nothing seen yet: all exponentials are 0 */
        shrink[l] = max[l] == -INFINITY ? 0.f : simd_exp(max[l] - base[l]);
    }
    for (int j = 0; j < see; j++)
#pragma omp simd
        for (int l = 0; l < PANEL; l++) {
            const float e = simd_exp(p[j * QUERIES + l] - base[l]);
            p[j * QUERIES + l] = e;
            part[l] += e;
        }
#pragma omp simd
    for (int l = 0; l < PANEL; l++) {
        max[l] = top[l];
        sum[l] = sum[l] * shrink[l] + part[l];
    }
}

static void scale_row(float *x, float factor, int D)
{
#pragma omp simd
    for (int d = 0; d < D; d++)
        x[d] *= factor;
}

/* Queries [i0, i0 + rows) of a head. */
static void block_fwd(float *att, float *lse, int64_t lstep, const Head *s, int i0, int rows)
{
    _Alignas(64) float turned[TILE], values[TILE], p[KEYS * QUERIES], max[QUERIES], sum[QUERIES], shrink[PANEL];
    const int D = s->D, limit = seen(s, i0 + rows - 1), keys = block_of(D, KEYS);
    tile_turn(turned, D, s->q + i0 * s->qstep, s->qstep, rows, D, s->scale);
    for (int r = 0; r < QUERIES; r++) {
        max[r] = -INFINITY;
        sum[r] = 0;
    }
    for (int j0 = 0; j0 < limit; j0 += keys) {
        const int wide = (int)min64(keys, limit - j0);
        tile_pack(values, wide, s->v + j0 * s->kstep, s->kstep, wide, D, 1);
        for (int c = 0; c < rows; c += PANEL) {
            const int n = (int)min64(PANEL, rows - c), see = panel_sees(s, i0 + c, n, j0, wide);
            float *out = att + (i0 + c) * s->qstep;
            if (see == 0)
                continue;
            tile_product(p + c, QUERIES, s->k + j0 * s->kstep, s->kstep, 1, turned + c * D, see, D, PANEL, false);
            hide(p + c, -INFINITY, s, i0 + c, j0, see);
            soften(p + c, max + c, sum + c, shrink, see);
            for (int r = 0; j0 > 0 && r < n; r++)
                if (shrink[r] != 1.f)
                    scale_row(out + r * s->qstep, shrink[r], D);
            combine(out, s->qstep, p + c, values, n, see, wide, D, j0 > 0);
        }
    }
    for (int r = 0; r < rows; r++) {
        float *out = att + (i0 + r) * s->qstep;
        if (sum[r] == 0.f)
            memset(out, 0, (size_t)D * sizeof *out);
        else
            scale_row(out, 1.f / sum[r], D);
        lse[(i0 + r) * lstep] = max[r] + logf(sum[r]);
    }
}

/* Lanes of several sums before they become one number, so that these do not wait for each other. */
static inline float score(const float *q, const float *k, int D)
{
    Lanes sum = { 0 };
    int d = 0;
    for (; d + LANES <= D; d += LANES)
        sum = lanes_fma(lanes_load(q + d), lanes_load(k + d), sum);
    float s = lanes_total(sum);
    for (; d < D; d++)
        s = madd(q[d], k[d], s);
    return s;
}

/* A row of scores -> exponentials below the largest so far; what earlier results must be multiplied by. */
static float soften_row(float *p, int n, float *max, float *sum)
{
    const float here = simd_max(p, n), top = here > *max ? here : *max, base = top == -INFINITY ? 0.f : top;
    const float shrink = *max == -INFINITY ? 0.f : simd_exp(*max - base);
    float part = 0;
#pragma omp simd reduction(+ : part)
    for (int j = 0; j < n; j++) {
        p[j] = simd_exp(p[j] - base);
        part += p[j];
    }
    *max = top;
    *sum = *sum * shrink + part;
    return shrink;
}

/* One query a head (decoding) is a row, not a panel: head s and those beside it, of which `share` have one kv head, the first of them from query
   head `first` on, so keys and values are read once, as they lie. */
static void rows_fwd(float *att, float *lse, const Head *s, int first, int heads, int share)
{
    const int D = s->D, limit = seen(s, 0);
    float p[BESIDE][KEYS], max[BESIDE], sum[BESIDE];
    int64_t at[BESIDE];                                 /* of its kv head */
    for (int h = 0; h < heads; h++) {
        max[h] = -INFINITY;
        sum[h] = 0;
        at[h] = (int64_t)((first + h) / share - first / share) * D;
    }
    clear_rows(att, D, heads, D);
    for (int j0 = 0; j0 < limit; j0 += KEYS) {
        const int wide = (int)min64(KEYS, limit - j0);
        const float *k = s->k + j0 * s->kstep, *v = s->v + j0 * s->kstep;
        for (int j = 0; j < wide; j++)
            for (int h = 0; h < heads; h++)
                p[h][j] = s->scale * score(s->q + h * D, k + j * s->kstep + at[h], D);
        for (int h = 0; h < heads; h++) {
            const float shrink = soften_row(p[h], wide, &max[h], &sum[h]);
            if (shrink != 1.f)
                scale_row(att + h * D, shrink, D);
        }
        for (int j = 0; j < wide; j++)
            for (int h = 0; h < heads; h++) {
                const float *row = v + j * s->kstep + at[h], weight = p[h][j];
                float *to = att + h * D;
#pragma omp simd
                for (int d = 0; d < D; d++)
                    to[d] = madd(weight, row[d], to[d]);
            }
    }
    for (int h = 0; h < heads; h++) {
        scale_row(att + h * D, sum[h] == 0.f ? 0.f : 1.f / sum[h], D);
        lse[h] = max[h] + logf(sum[h]);
    }
}

static int count_single(const int32_t *start, int B)
{
    int n = 0;
    for (int b = 0; b < B; b++)
        n += start[b + 1] - start[b] == 1;
    return n;
}

void cpu_attention_fwd(float *att, float *lse, const float *q, const float *k, const float *v, int B, const int32_t *qstart,
                       const int32_t *kstart, int H, int K, int D, int mask)
{
    if (D > WIDEST) {
        OPS_REF.attention_fwd(att, lse, q, k, v, B, qstart, kstart, H, K, D, mask);
        return;
    }
    const int64_t pairs = visible_pairs(B, qstart, kstart, mask);
    const int block = block_of(D, QUERIES), blocks = (int)ceil_div(longest(qstart, B), block);
    const int beside = (int)max64(1, min64(BESIDE, (int64_t)count_single(qstart, B) * H / omp_get_max_threads()));      /* rather a head for each thread */
    prof_gemm(pairs, 2 * H, D);
#pragma omp parallel for collapse(3) schedule(dynamic) if (pairs * H * D >= SERIAL)
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int i = blocks - 1; i >= 0; i--) {                     /* the last blocks of a causal head are the longest */
                const Head s = head(q, k, v, qstart, kstart, b, h, H, K, D, mask);
                const int i0 = i * block;
                float *to = att + (s.q - q), *l = lse + (int64_t)qstart[b] * H + h;
                if (s.tq == 1 && i == 0 && h % beside == 0)
                    rows_fwd(to, l, &s, h, (int)min64(beside, H - h), H / K);
                else if (s.tq > 1 && i0 < s.tq)
                    block_fwd(to, l, H, &s, i0, (int)min64(block, s.tq - i0));
                tile_done();
            }
}
