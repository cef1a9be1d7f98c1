/*
 * heads.h -- what attention's two ways have in common: a head of a sequence, its blocks of queries and keys, a tile between two of them
 *
 * A tile of scores has a row for each key and a column for each query, so that sixteen queries are softened at once; such a panel of
 * queries looks at no key behind the last that one of them sees.
 *
 * Local.  Tests: tests/core/test_ops_attention.c
 */
#pragma once
#include "core/cpu/simd.h"
#include "core/cpu/tile.h"

/* A tile of scores is 32 KiB; so is a block of queries, keys or values: TILE / D of them. */
enum { QUERIES = 64, KEYS = 128, TILE = 8192, WIDEST = TILE / PANEL, SERIAL = 1 << 18 };

/* One sequence and one head of it: pointers to its first row, floats from row to row. */
typedef struct {
    const float *q, *k, *v;
    int64_t qstep, kstep;
    int     tq, tk, D, mask;
    float   scale;
} Head;

/* Keys that query i sees. */
static inline int seen(const Head *s, int i)
{
    return s->mask == FULL ? s->tk : (int)max64(0, i + 1 + s->tk - s->tq);
}

/* How many queries or keys a block has, `most` or what a TILE takes. */
static inline int block_of(int D, int most) { return (int)min64(most, TILE / (ceil_div(D, PANEL) * PANEL) / PANEL * PANEL); }

/* Of a panel of queries from i0 on, `n` of them: how many of the keys [j0, j0 + wide) any of them sees. */
static inline int panel_sees(const Head *s, int i0, int n, int j0, int wide)
{
    return (int)max64(0, min64(wide, seen(s, i0 + n - 1) - j0));
}

/* Scores p (see,QUERIES) of a panel: what a query does not see becomes `nothing`. */
static inline void hide(float *p, float nothing, const Head *s, int i0, int j0, int see)
{
    for (int j = (int)max64(0, seen(s, i0) - j0); j < see; j++)
        for (int l = 0; l < PANEL; l++)
            if (j0 + j >= seen(s, i0 + l))
                p[j * QUERIES + l] = nothing;
}

static inline void clear_rows(float *x, int64_t step, int rows, int D)
{
    for (int r = 0; x && r < rows; r++)
        memset(x + r * step, 0, (size_t)D * sizeof *x);
}

/* out (n,D) = p^T b or += : a panel of a tile's queries against its keys' rows b, packed as panels of `wide`. */
static inline void combine(float *out, int64_t ostep, const float *p, const float *b, int n, int see, int wide, int D, bool add)
{
    for (int d = 0; d < D; d += PANEL, b += wide * PANEL)
        tile_product(out + d, ostep, p, 1, QUERIES, b, n, see, (int)min64(PANEL, D - d), add);
}

static inline float dot(const float *a, const float *b, int D)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int d = 0; d < D; d++)
        sum += a[d] * b[d];
    return sum;
}

/* Sequence b, its query head h and the kv head that h reads. */
static inline Head head(const float *q, const float *k, const float *v, const int32_t *qstart, const int32_t *kstart, int b,
                        int h, int H, int K, int D, int mask)
{
    const int64_t qat = ((int64_t)qstart[b] * H + h) * D, kat = ((int64_t)kstart[b] * K + h / (H / K)) * D;
    return (Head){ .q = q + qat, .k = k + kat, .v = v + kat, .qstep = (int64_t)H * D, .kstep = (int64_t)K * D,
                   .tq = qstart[b + 1] - qstart[b], .tk = kstart[b + 1] - kstart[b], .D = D, .mask = mask,
                   .scale = 1.f / sqrtf((float)D) };
}

/* Pairs (query, key) that see each other, over all sequences. */
static inline int64_t visible_pairs(int B, const int32_t *qstart, const int32_t *kstart, int mask)
{
    int64_t pairs = 0;
    for (int b = 0; b < B; b++) {
        const int64_t tq = qstart[b + 1] - qstart[b], tk = kstart[b + 1] - kstart[b];
        const int64_t first = max64(1, tk - tq + 1), rows = max64(0, min64(tq, tk));
        pairs += mask == FULL ? tq * tk : rows * (first + tk) / 2;
    }
    return pairs;
}

static inline int longest(const int32_t *start, int B)
{
    int n = 0;
    for (int b = 0; b < B; b++)
        n = start[b + 1] - start[b] > n ? start[b + 1] - start[b] : n;
    return n;
}
