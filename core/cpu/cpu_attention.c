/*
 * cpu_attention.c -- attention without its T x T matrix
 *
 * A block of up to QUERIES queries walks over the keys it may see, a block of KEYS at a time; only the tile of scores between the two
 * exists, on the stack.  The forward keeps each query's largest score and the sum of exponentials so far and rescales what it
 * has when the largest grows; the backward gets the probabilities back from lse.  A tile has a row for each key and a column for each
 * query, so that sixteen queries are softened at once; such a panel of queries looks at no key behind the last that one of them sees.
 *
 * Threads take blocks of queries in the forward.  The backward has two ways, and the shape alone decides, since their bits differ:
 *
 *     whole     a kv head of a sequence belongs to one thread, which computes scores once: 5 products a tile
 *     two       dq by blocks of queries, then dk and dv by blocks of keys, each scoring anew: 7 products, but work for any number of threads
 *
 * two where the longest of the heads has more than a share of 1 / ENOUGH in all the work, and that is worth dividing (LEAST multiply-adds
 * a product, some 0.1 ms in all).
 *
 * Source  FlashAttention-2, arXiv:2307.08691, algorithms 1 and 2
 */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"
#include "core/cpu/tile.h"
#include "core/meanwhile.h"
#include "core/prof.h"

/* A tile of scores is 32 KiB; so is a block of queries, keys or values: TILE / D of them. */
enum { QUERIES = 64, KEYS = 128, TILE = 8192, WIDEST = TILE / PANEL, ENOUGH = 32, TASKS = 64, MANY = 4, SERIAL = 1 << 18, LEAST = 1 << 20 };

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

/* How many queries or keys a block has, `most` or what a TILE takes. */
static int block_of(int D, int most) { return (int)min64(most, TILE / (ceil_div(D, PANEL) * PANEL) / PANEL * PANEL); }

/* Of a panel of queries from i0 on, `n` of them: how many of the keys [j0, j0 + wide) any of them sees. */
static int panel_sees(const Head *s, int i0, int n, int j0, int wide)
{
    return (int)max64(0, min64(wide, seen(s, i0 + n - 1) - j0));
}

/* Scores p (see,QUERIES) of a panel: what a query does not see becomes `nothing`. */
static void hide(float *p, float nothing, const Head *s, int i0, int j0, int see)
{
    for (int j = (int)max64(0, seen(s, i0) - j0); j < see; j++)
        for (int l = 0; l < PANEL; l++)
            if (j0 + j >= seen(s, i0 + l))
                p[j * QUERIES + l] = nothing;
}

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

static void clear_rows(float *x, int64_t step, int rows, int D)
{
    for (int r = 0; x && r < rows; r++)
        memset(x + r * step, 0, (size_t)D * sizeof *x);
}

/* out (n,D) = p^T b or += : a panel of a tile's queries against its keys' rows b, packed as panels of `wide`. */
static void combine(float *out, int64_t ostep, const float *p, const float *b, int n, int see, int wide, int D, bool add)
{
    for (int d = 0; d < D; d += PANEL, b += wide * PANEL)
        tile_product(out + d, ostep, p, 1, QUERIES, b, n, see, (int)min64(PANEL, D - d), add);
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

static float dot(const float *a, const float *b, int D)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int d = 0; d < D; d++)
        sum += a[d] * b[d];
    return sum;
}

/* One query (decoding) is a row, not a panel: it reads keys and values once. */
static void one_fwd(float *att, float *lse, const Head *s)
{
    const int D = s->D, limit = seen(s, 0);
    float p[KEYS], max = -INFINITY, sum = 0;
    clear_rows(att, 0, 1, D);
    for (int j0 = 0; j0 < limit; j0 += KEYS) {
        const int wide = (int)min64(KEYS, limit - j0);
        for (int j = 0; j < wide; j++)
            p[j] = s->scale * dot(s->q, s->k + (j0 + j) * s->kstep, D);
        const float here = simd_max(p, wide), top = here > max ? here : max, base = top == -INFINITY ? 0.f : top;
        const float shrink = max == -INFINITY ? 0.f : simd_exp(max - base);
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int j = 0; j < wide; j++) {
            p[j] = simd_exp(p[j] - base);
            part += p[j];
        }
        if (shrink != 1.f)
            scale_row(att, shrink, D);
        for (int j = 0; j < wide; j++) {
            const float *row = s->v + (j0 + j) * s->kstep, weight = p[j];
#pragma omp simd
            for (int d = 0; d < D; d++)
                att[d] = madd(weight, row[d], att[d]);
        }
        max = top;
        sum = sum * shrink + part;
    }
    scale_row(att, sum == 0.f ? 0.f : 1.f / sum, D);
    *lse = max + logf(sum);
}

typedef struct { float *dq, *dk, *dv; const float *datt, *att, *lse; int64_t lstep; } HeadGrad;

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
            spread(g->dv + to, s->kstep, p, datts, see, rows, D);
        if (g->dk)
            spread(g->dk + to, s->kstep, dp, queries, see, rows, D);
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

/* What a call is about. */
typedef struct {
    float *dq, *dk, *dv;
    const float *datt, *att, *lse, *q, *k, *v;
    const int32_t *qstart, *kstart;
    int B, H, K, D, mask;
} Call;

static Head call_head(const Call *a, int b, int h)
{
    return head(a->q, a->k, a->v, a->qstart, a->kstart, b, h, a->H, a->K, a->D, a->mask);
}

static int longest(const int32_t *start, int B)
{
    int n = 0;
    for (int b = 0; b < B; b++)
        n = start[b + 1] - start[b] > n ? start[b + 1] - start[b] : n;
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
    prof_gemm(pairs, 2 * H, D);
#pragma omp parallel for collapse(3) schedule(dynamic) if (pairs * H * D >= SERIAL)
    for (int b = 0; b < B; b++)
        for (int h = 0; h < H; h++)
            for (int i = blocks - 1; i >= 0; i--) {                     /* the last blocks of a causal head are the longest */
                const Head s = head(q, k, v, qstart, kstart, b, h, H, K, D, mask);
                const int i0 = i * block;
                float *to = att + (s.q - q), *l = lse + (int64_t)qstart[b] * H + h;
                if (s.tq == 1 && i == 0)
                    one_fwd(to, l, &s);
                else if (i0 < s.tq)
                    block_fwd(to, l, H, &s, i0, (int)min64(block, s.tq - i0));
                tile_done();
            }
}

static HeadGrad call_grad(const Call *a, const Head *s, int b, int h)
{
    const int64_t qat = s->q - a->q, kat = s->k - a->k;
    return (HeadGrad){ .dq = a->dq ? a->dq + qat : NULL, .dk = a->dk ? a->dk + kat : NULL, .dv = a->dv ? a->dv + kat : NULL,
                       .datt = a->datt + qat, .att = a->att + qat, .lse = a->lse + (int64_t)a->qstart[b] * a->H + h, .lstep = a->H };
}

/* Keys [k0, k1) of kv head kv in sequence b: their dk and dv, and dq unless it is NULL. */
static void keys_bwd(const Call *a, int b, int kv, int k0, int k1)
{
    const int group = a->H / a->K, block = block_of(a->D, QUERIES);
    for (int h = kv * group; h < (kv + 1) * group; h++) {
        const Head s = call_head(a, b, h);
        const HeadGrad g = call_grad(a, &s, b, h);
        k1 = (int)min64(k1, s.tk);
        if (h == kv * group) {
            clear_rows(g.dk ? g.dk + k0 * s.kstep : NULL, s.kstep, k1 - k0, s.D);
            clear_rows(g.dv ? g.dv + k0 * s.kstep : NULL, s.kstep, k1 - k0, s.D);
        }
        for (int i0 = 0; i0 < s.tq; i0 += block)
            block_bwd(&g, &s, i0, (int)min64(block, s.tq - i0), k0, k1);
    }
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
    const int span = keys * (int)max64(1, min64(MANY, (int64_t)a->B * a->K * ceil_div(tk, keys) / TASKS)), spans = (int)ceil_div(tk, span);
    Call dq = *a, dkv = *a;
    dq.dk = dq.dv = dkv.dq = NULL;
#pragma omp parallel if (parallel)
    {
#pragma omp for collapse(3) schedule(dynamic) nowait
        for (int b = 0; b < a->B; b++)
            for (int h = 0; h < a->H; h++)
                for (int i = a->dq ? blocks - 1 : -1; i >= 0; i--) {
                    const Head s = call_head(&dq, b, h);
                    const HeadGrad g = call_grad(&dq, &s, b, h);
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
                       const int32_t *kstart, int H, int K, int D, int mask)
{
    if (D > WIDEST) {
        OPS_REF.attention_bwd(dq, dk, dv, datt, att, lse, q, k, v, B, qstart, kstart, H, K, D, mask);
        return;
    }
    const Call a = { dq, dk, dv, datt, att, lse, q, k, v, qstart, kstart, B, H, K, D, mask };
    const int64_t pairs = visible_pairs(B, qstart, kstart, mask);
    int64_t most = 0;
    for (int b = 0; b < B; b++)
        most = max64(most, visible_pairs(1, qstart + b, kstart + b, mask));
    prof_gemm(pairs, ((dq ? 3 : 2) + (dk ? 1 : 0) + (dv ? 1 : 0)) * H, D);
    if (pairs * K >= most * ENOUGH || most * (H / K) * D < LEAST)
        whole_bwd(&a, pairs * H * D >= SERIAL);
    else
        two_bwd(&a, true);
}
