/*
 * cpu_attentionback.c -- attention's backward, which gets the probabilities back from lse (cpu_attention.c)
 *
 * It has two ways, and the shape alone decides:
 *
 *     whole     a kv head of a sequence belongs to one thread, which computes scores once: 5 products a tile
 *     two       dq by blocks of queries, then dk and dv by blocks of keys, each scoring anew: 7 products, but work for any number of threads
 *
 * two where the longest of the heads has more than a share of 1 / ENOUGH in all the work, and that is worth dividing (LEAST multiply-adds
 * a product, some 0.1 ms in all); and where the query heads of a kv head are several groups, whose sums lie on the stack, a block of keys
 * of each that waits to be joined.  Both ways add the same tiles in the same order: a head's bits do not depend on the others.
 *
 * Source  FlashAttention-2, arXiv:2307.08691, algorithm 2
 */
#include "core/cpu/cpu.h"
#include "core/cpu/heads.h"
#include "core/meanwhile.h"
#include "core/prof.h"

enum { ENOUGH = 32, TASKS = 64, MANY = 4, LEAST = 1 << 20 };

/* dk, dv: of the keys from the first on that is asked for, kstep floats from row to row. */
typedef struct { float *dq, *dk, *dv; const float *datt, *att, *lse; int64_t lstep, kstep; } HeadGrad;

/* A panel.  p: scores -> probabilities;  dp: d loss / d probability -> d loss / d score */
static void soften_bwd(float *p, float *dp, const float *lse, const float *delta, int see)
{
    for (int j = 0; j < see; j++)
#pragma omp simd
        for (int l = 0; l < PANEL; l++) {
            const float e = simd_exp(p[j * QUERIES + l] - lse[l]);
            p[j * QUERIES + l] = e;
            dp[j * QUERIES + l] = e * (dp[j * QUERIES + l] - delta[l]);
        }
}

/* lse and (att . datt) of a block's queries; what is no query has 0. */
static void block_rows(float *lse, float *delta, const HeadGrad *g, const Head *s, int i0, int rows)
{
    for (int r = 0; r < QUERIES; r++) {
        const int64_t at = (i0 + r) * s->qstep;
        const float kept = r < rows ? g->lse[(i0 + r) * g->lstep] : 0.f;
        lse[r] = kept == -INFINITY ? 0.f : kept;
        delta[r] = r < rows ? dot(g->att + at, g->datt + at, s->D) : 0.f;
    }
}

/* to (keys,D) += p x, x (rows,D) packed as panels.  see[c]: keys that panel c of the queries sees, which grows with c: rows of the tile
   that only later panels see meet no earlier one. */
static void spread(float *to, int64_t step, const float *p, const float *x, const int *see, int rows, int D)
{
    for (int c = 0, from = 0; c * PANEL < rows; from = see[c++]) {
        const int first = c * PANEL;
        for (int d = 0; see[c] > from && d < D; d += PANEL)
            tile_product(to + from * step + d, step, p + from * QUERIES + first, QUERIES, 1, x + (d * rows + first * PANEL),
                         see[c] - from, rows - first, (int)min64(PANEL, D - d), true);
    }
}

/* Queries [i0, i0 + rows) of a query head against keys [k0, k1). */
static void block_bwd(const HeadGrad *g, const Head *s, int i0, int rows, int k0, int k1)
{
    _Alignas(64) float turned[TILE], dturned[TILE], queries[TILE], datts[TILE], keep[TILE], p[KEYS * QUERIES], dp[KEYS * QUERIES];
    float lse[QUERIES], delta[QUERIES];
    const int64_t at = i0 * s->qstep;
    const int D = s->D, limit = (int)min64(k1, seen(s, i0 + rows - 1)), keys = block_of(D, KEYS);
    if (g->dq && limit <= k0)
        clear_rows(g->dq + at, s->qstep, rows, D);
    if (limit <= k0)
        return;
    block_rows(lse, delta, g, s, i0, rows);
    tile_turn(turned, D, s->q + at, s->qstep, rows, D, s->scale);
    tile_turn(dturned, D, g->datt + at, s->qstep, rows, D, 1);
    if (g->dk)
        tile_pack(queries, rows, s->q + at, s->qstep, rows, D, s->scale);
    if (g->dv)
        tile_pack(datts, rows, g->datt + at, s->qstep, rows, D, 1);
    for (int j0 = k0; j0 < limit; j0 += keys) {
        const int wide = (int)min64(keys, limit - j0);
        const int64_t to = j0 * s->kstep;
        int see[QUERIES / PANEL];
        if (g->dq)
            tile_pack(keep, wide, s->k + to, s->kstep, wide, D, s->scale);
        for (int c = 0; c < rows; c += PANEL) {
            const int n = (int)min64(PANEL, rows - c), sees = see[c / PANEL] = panel_sees(s, i0 + c, n, j0, wide);
            tile_product(p + c, QUERIES, s->k + to, s->kstep, 1, turned + c * D, sees, D, PANEL, false);
            tile_product(dp + c, QUERIES, s->v + to, s->kstep, 1, dturned + c * D, sees, D, PANEL, false);
            hide(p + c, -INFINITY, s, i0 + c, j0, sees);
            hide(dp + c, 0, s, i0 + c, j0, sees);
            soften_bwd(p + c, dp + c, lse + c, delta + c, sees);
            if (g->dq)
                combine(g->dq + at + c * s->qstep, s->qstep, dp + c, keep, n, sees, wide, D, j0 > 0);
        }
        if (g->dv)
            spread(g->dv + (j0 - k0) * g->kstep, g->kstep, p, datts, see, rows, D);
        if (g->dk)
            spread(g->dk + (j0 - k0) * g->kstep, g->kstep, dp, queries, see, rows, D);
    }
}

/* What a call is about. */
typedef struct {
    float *dq, *dk, *dv;
    const float *datt, *att, *lse, *q, *k, *v;
    const int32_t *qstart, *kstart;
    int B, H, K, D, mask, groups;
} Call;

static Head call_head(const Call *a, int b, int h)
{
    return head(a->q, a->k, a->v, a->qstart, a->kstart, b, h, a->H, a->K, a->D, a->mask);
}

/* Where the gradients of some keys go, or NULL; floats from row to row. */
typedef struct { float *dk, *dv; int64_t step; } KeyGrad;

static HeadGrad call_grad(const Call *a, const KeyGrad *to, const Head *s, int b, int h)
{
    const int64_t at = s->q - a->q;
    return (HeadGrad){ .dq = a->dq ? a->dq + at : NULL, .dk = to->dk, .dv = to->dv, .datt = a->datt + at, .att = a->att + at,
                       .lse = a->lse + (int64_t)a->qstart[b] * a->H + h, .lstep = a->H, .kstep = to->step };
}

/* Keys [k0, k1) of sequence b and query heads [first, first + heads) that read them: dk and dv, and dq unless it is NULL. */
static void heads_bwd(const Call *a, const KeyGrad *to, int b, int first, int heads, int k0, int k1)
{
    const int block = block_of(a->D, QUERIES);
    clear_rows(to->dk, to->step, k1 - k0, a->D);
    clear_rows(to->dv, to->step, k1 - k0, a->D);
    for (int h = first; h < first + heads; h++) {
        const Head s = call_head(a, b, h);
        const HeadGrad g = call_grad(a, to, &s, b, h);
        for (int i0 = 0; i0 < s.tq; i0 += block)
            block_bwd(&g, &s, i0, (int)min64(block, s.tq - i0), k0, k1);
    }
}

static void add_rows(float *to, int64_t step, const float *x, int rows, int D)
{
    for (int r = 0; to && r < rows; r++)
#pragma omp simd
        for (int d = 0; d < D; d++)
            to[r * step + d] += x[r * D + d];
}

/* The same in several groups, of a block of keys: halves, which are joined. */
static void groups_bwd(const Call *a, const KeyGrad *to, int b, int first, int heads, int groups, int k0, int k1)
{
    float dk[TILE], dv[TILE];
    const KeyGrad right = { to->dk ? dk : NULL, to->dv ? dv : NULL, a->D };
    if (groups == 1) {
        heads_bwd(a, to, b, first, heads, k0, k1);
        return;
    }
    groups_bwd(a, to, b, first, heads / 2, groups / 2, k0, k1);
    groups_bwd(a, &right, b, first + heads / 2, heads / 2, groups / 2, k0, k1);
    add_rows(to->dk, to->step, dk, k1 - k0, a->D);
    add_rows(to->dv, to->step, dv, k1 - k0, a->D);
}

/* Keys [k0, k1) of kv head kv in sequence b, a block of them if there are groups. */
static void keys_bwd(const Call *a, int b, int kv, int k0, int k1)
{
    const int group = a->H / a->K, end = (int)min64(k1, a->kstart[b + 1] - a->kstart[b]);
    const int64_t at = ((int64_t)(a->kstart[b] + k0) * a->K + kv) * a->D;
    const KeyGrad to = { a->dk ? a->dk + at : NULL, a->dv ? a->dv + at : NULL, (int64_t)a->K * a->D };
    if (a->groups > 1)
        groups_bwd(a, &to, b, kv * group, group, a->groups, k0, end);
    else
        heads_bwd(a, &to, b, kv * group, group, k0, end);
}

/* A kv head is a task. */
static void whole_bwd(const Call *a, bool parallel)
{
#pragma omp parallel for collapse(2) schedule(dynamic) if (parallel)
    for (int b = 0; b < a->B; b++)
        for (int kv = 0; kv < a->K; kv++) {
            keys_bwd(a, b, kv, 0, INT32_MAX);
            tile_done();
        }
}

/* Blocks of queries, then blocks of keys. */
static void two_bwd(const Call *a, bool parallel)
{
    const int block = block_of(a->D, QUERIES), blocks = (int)ceil_div(longest(a->qstart, a->B), block);
    /* Many blocks of keys: several a task, which pay once for what they need of the queries. */
    const int keys = block_of(a->D, KEYS), tk = longest(a->kstart, a->B);
    const int most = a->groups > 1 ? 1 : MANY;
    const int span = keys * (int)max64(1, min64(most, (int64_t)a->B * a->K * ceil_div(tk, keys) / TASKS)), spans = (int)ceil_div(tk, span);
    Call dq = *a, dkv = *a;
    dq.dk = dq.dv = dkv.dq = NULL;
#pragma omp parallel if (parallel)
    {
#pragma omp for collapse(3) schedule(dynamic) nowait
        for (int b = 0; b < a->B; b++)
            for (int h = 0; h < a->H; h++)
                for (int i = a->dq ? blocks - 1 : -1; i >= 0; i--) {
                    const Head s = call_head(&dq, b, h);
                    const HeadGrad g = call_grad(&dq, &(KeyGrad){ 0 }, &s, b, h);
                    if (i * block < s.tq)
                        block_bwd(&g, &s, i * block, (int)min64(block, s.tq - i * block), 0, s.tk);
                    tile_done();
                }
#pragma omp for collapse(3) schedule(dynamic)
        for (int b = 0; b < a->B; b++)
            for (int kv = 0; kv < a->K; kv++)
                for (int j = 0; j < (a->dk || a->dv ? spans : 0); j++) {
                    if (j * span < a->kstart[b + 1] - a->kstart[b])
                        keys_bwd(&dkv, b, kv, j * span, (j + 1) * span);
                    tile_done();
                }
    }
}

void cpu_attention_bwd(float *dq, float *dk, float *dv, const float *datt, const float *att, const float *lse,
                       const float *q, const float *k, const float *v, int B, const int32_t *qstart,
                       const int32_t *kstart, int H, int K, int D, int mask, int leaves)
{
    if (D > WIDEST) {
        OPS_REF.attention_bwd(dq, dk, dv, datt, att, lse, q, k, v, B, qstart, kstart, H, K, D, mask, leaves);
        return;
    }
    const Call a = { dq, dk, dv, datt, att, lse, q, k, v, qstart, kstart, B, H, K, D, mask, leaves > K ? leaves / K : 1 };
    const int64_t pairs = visible_pairs(B, qstart, kstart, mask);
    int64_t most = 0;
    for (int b = 0; b < B; b++)
        most = max64(most, visible_pairs(1, qstart + b, kstart + b, mask));
    prof_gemm(pairs, ((dq ? 3 : 2) + (dk ? 1 : 0) + (dv ? 1 : 0)) * H, D);
    const bool parallel = pairs * H * D >= SERIAL;
    ASSERT(H / K % a.groups == 0);
    if (a.groups == 1 && (pairs * K >= most * ENOUGH || most * (H / K) * D < LEAST))
        whole_bwd(&a, parallel);
    else
        two_bwd(&a, parallel);
}
