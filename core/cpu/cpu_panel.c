/*
 * cpu_panel.c -- products by tiles of our own
 *
 * A BLAS packs both matrices, clears the result and then adds to it: of 1000 rows times 384 x 384 that is a sixth of its time.  Here b is packed
 * once, a is read where it lies or copied as it is, and the result is written once for each DEEP of K.  An element is a sum in the order of k
 * wherever it lies, one for each DEEP, so rows and columns are cut as threads like.  What is faster by sgemm with the vectors of this build is
 * left to it (docs/PERF.md).  Sums of leaves (panel.h) are never left to it.
 *
 * A weight that lies as panels (Linear.packed) is multiplied as it is read: whoever takes some columns of c goes through all of their sums, and nobody waits.
 */
#include "core/cpu/cpu.h"
#include "core/cpu/panel.h"
#include "core/meanwhile.h"

/* MOST: floats of b that are packed at a time.  EVIL: rows so many floats apart meet in one set of the first cache. */
enum { MOST = 128 * 1024, ROWS = 48, EVIL = 512, APART = 16, WIDE = PANELS * PANEL, GROUP = 4 * PANEL };

/* Multiply-adds that are worth other threads' waking, and rows that cost as much as reading or packing b. */
enum { ALONE = 1 << 20, PACKING = 8 };

/* Most lines are whole, of a length that the compiler knows. */
static inline void copy_line(float *to, const float *from, int n)
{
    if (n == ROWS)
        memcpy(to, from, ROWS * sizeof *to);
    else
        memcpy(to, from, (size_t)n * sizeof *to);
}

/* Rows of what is multiplied; in `own` where they lie badly, or in several places. */
static Left near(float *own, const Panels *p, const Chunk *k, int64_t m, int rows)
{
    const Left a = left_at(p->term[k->span->term].a, m, k->span->at);
    const int step = k->depth + APART;
    if (k->spans == 1 && a.row == 1) {
        for (int i = 0; i < k->depth; i++)
            copy_line(own + i * ROWS, a.from + i * a.col, rows);
        return (Left){ own, 1, ROWS };
    }
    if (k->spans == 1 && a.row % EVIL != 0)
        return a;
    float *to = own;
    for (const Span *s = k->span; s < k->span + k->spans; to += s->depth, s++) {
        const Left from = left_at(p->term[s->term].a, m, s->at);
        ASSERT(from.col == 1);
        for (int r = 0; r < rows; r++)
            memcpy(to + r * step, from.from + r * from.row, (size_t)s->depth * sizeof *own);
    }
    return (Left){ own, step, 1 };
}

/* Columns [n, n + cols) of the b's of a chunk, as panels. */
static void pack(float *packed, const Panels *p, const Chunk *k, int n, int cols)
{
    float *to = packed + (int64_t)n * k->depth;
    for (const Span *s = k->span; s < k->span + k->spans; to += s->depth * PANEL, s++) {
        const Factors *f = &p->term[s->term];
        if (f->tb)
            tile_turn(to, k->depth, f->b + (int64_t)n * f->ldb + s->at, f->ldb, cols, s->depth, p->alpha);
        else
            tile_pack(to, k->depth, f->b + (int64_t)s->at * f->ldb + n, f->ldb, s->depth, cols, p->alpha);
    }
}

static Place place_at(Place p, int64_t m, int n) { return (Place){ p.at ? p.at + m * p.step + n : NULL, p.step }; }

static Joined joined_at(const Joined *j, int64_t m, int n)
{
    Joined here = { .leaf = j->leaf, .leaves = j->leaves, .joins = j->joins, .begin = place_at(j->begin, m, n), .to = place_at(j->to, m, n) };
    for (int i = 0; i < j->joins; i++)
        here.from[i] = place_at(j->from[i], m, n);
    return here;
}

/* cols <= WIDE */
static __attribute__((noinline)) void wide_product(float *c, int64_t cstep, Left a, const float *b, int M, int K, int cols, bool add)
{
    if (cols == WIDE)
        tile_whole(WIDE_TALL, PANELS, c, cstep, a.from, a.row, a.col, b, (int64_t)K * PANEL, M, K, add, NULL);
    else
        for (int n = 0; n < cols; n += PANEL)
            tile_product(c + n, cstep, a.from, a.row, a.col, b + (int64_t)n * K, M, K, (int)min64(PANEL, cols - n), add);
}

static __attribute__((noinline)) void panel_joined(const Joined *j, Left a, const float *b, int M, int K)
{
    tile_whole(TALL, 1, NULL, 0, a.from, a.row, a.col, b, 0, M, K, false, j);
}

/* cols < PANEL: only those columns are there. */
static void narrow_joined(const Joined *j, Left a, const float *b, int M, int K, int cols)
{
    _Alignas(64) float begin[ROWS * PANEL] = { 0 }, sum[ROWS * PANEL];
    const Joined inner = { .leaf = j->leaf, .leaves = j->leaves, .begin = { j->begin.at ? begin : NULL, PANEL }, .to = { sum, PANEL } };
    for (int m = 0; m < M && j->begin.at; m++)
        memcpy(begin + m * PANEL, j->begin.at + m * j->begin.step, (size_t)cols * sizeof *begin);
    panel_joined(&inner, a, b, M, K);
    for (int m = 0; m < M; m++)
        for (int i = 0; i < cols; i++) {
            float s = sum[m * PANEL + i];
            for (int k = 0; k < j->joins; k++)
                s += j->from[k].at[m * j->from[k].step + i];
            j->to.at[m * j->to.step + i] = s;
        }
}

/* The same as wide_product, of leaves; panels are `deep`, of which b begins with these K.  M <= ROWS */
static __attribute__((noinline)) void wide_joined(const Joined *j, Left a, const float *b, int deep, int M, int K, int cols)
{
    if (cols == WIDE) {
        tile_whole(WIDE_TALL, PANELS, NULL, 0, a.from, a.row, a.col, b, (int64_t)deep * PANEL, M, K, false, j);
        return;
    }
    for (int n = 0; n < cols; n += PANEL) {
        const Joined here = joined_at(j, 0, n);
        if (cols - n >= PANEL)
            panel_joined(&here, a, b + (int64_t)n * deep, M, K);
        else
            narrow_joined(&here, a, b + (int64_t)n * deep, M, K, cols - n);
    }
}

/* A chunk's part of c (M,N), or of what waits; shared by the threads of the region that calls it. */
static void stripe(const Panels *p, const Chunk *k, const Joined *j, float *packed)
{
    _Alignas(64) float own[ROWS * (DEEPEST + APART)];
    const int N = p->N;
    const int64_t M = p->M, blocks = ceil_div(M, ROWS), most = ceil_div(N, GROUP);
    const int64_t groups = min64(most, ceil_div((int64_t)4 * omp_get_num_threads(), blocks));
    const int wide = (int)(ceil_div(most, omp_get_num_threads() == 1 ? 1 : groups) * GROUP);
    const bool plain = j->leaves == 1 && j->joins == 0;                 /* begin is NULL, or where it ends.  Of a narrow panel -0 becomes 0 there */
#pragma omp for
    for (int n = 0; n < N; n += GROUP)
        pack(packed, p, k, n, (int)min64(GROUP, N - n));
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t m = 0; m < M; m += ROWS)
        for (int n0 = 0; n0 < N; n0 += wide) {
            const int rows = (int)min64(ROWS, M - m);
            const Left l = near(own, p, k, m, rows);
            for (int n = n0; n < N && n < n0 + wide; n += WIDE) {
                const Joined here = joined_at(j, m, n);
                const float *b = packed + (int64_t)n * k->depth;
                const int cols = (int)min64(WIDE, N - n);
                if (plain && (p->leaves == 0 || cols % PANEL == 0))
                    wide_product(here.to.at, here.to.step, l, b, rows, k->depth, cols, here.begin.at != NULL);
                else
                    wide_joined(&here, l, b, k->depth, rows, k->depth, cols);
            }
            tile_done();
        }
}

/* Places of a chunk's sums (panel.h); buffers, behind c, have `step` floats a row. */
static Joined joins_of(const Panels *p, const Chunk *k, int node, bool first, bool last, float *room, int64_t step)
{
    const int own = __builtin_popcount((unsigned)node);
    Place waits[JOINS + 1] = { { p->c, p->ldc } };
    Joined j = { .leaf = k->leaf, .leaves = k->leaves };
    for (int i = 1; i <= own; i++)
        waits[i] = (Place){ room + (i - 1) * p->M * step, step };
    if (!first || (node == 0 && p->add))
        j.begin = waits[own];
    for (int i = node; last && i & 1; i >>= 1, j.joins++)
        j.from[j.joins] = waits[own - j.joins - 1];
    j.to = waits[own - j.joins];
    return j;
}

/* A block of c, so wide that a chunk of its b is packed, and its buffers lie in the room. */
static void block_product(const Panels *p, float *packed, float *room)
{
    const int64_t step = ceil_div(p->N, GROUP) * GROUP + APART;
    for (int node = 0; node < inner_nodes(p); node++)
        for (int i = 0, chunks = inner_chunks(p, node); i < chunks; i++) {
            Chunk k;
            inner_chunk(&k, p, node, i);
            const Joined j = joins_of(p, &k, node, i == 0, i == chunks - 1, room, step);
            stripe(p, &k, &j, packed);
        }
}

/* Columns [n, n + cols), at most GROUP, of some rows from m on: all of their sums. */
static void packed_block(const Panels *p, int64_t m, int n, int cols)
{
    _Alignas(64) float own[ROWS * (DEEPEST + APART)], room[JOINS * ROWS * GROUP];
    const int rows = (int)min64(ROWS, p->M - m);
    const Panels part = { .c = p->c + m * p->ldc + n, .M = rows, .ldc = p->ldc, .add = p->add };
    const Factors *f = p->term;
    for (int node = 0; node < inner_nodes(p); node++)
        for (int i = 0, chunks = inner_chunks(p, node); i < chunks; i++) {
            Chunk k;
            inner_chunk(&k, p, node, i);
            const Joined j = joins_of(&part, &k, node, i == 0, i == chunks - 1, room, GROUP);
            const Left l = near(own, p, &k, m, rows);
            for (int at = 0; at < cols; at += WIDE) {
                const Joined here = joined_at(&j, 0, at);
                wide_joined(&here, l, f->b + (int64_t)(n + at) * f->ldb + k.span->at * PANEL, f->ldb, rows, k.depth, (int)min64(WIDE, cols - at));
            }
        }
    tile_done();
}

void panels_packed(const Panels *p)
{
    ASSERT(p->terms == 1 && p->term->tb && p->alpha == 1 && p->N % PANEL == 0);
#pragma omp parallel for collapse(2) schedule(dynamic) if ((p->M + PACKING) * p->N * inner_depth(p) >= ALONE)
    for (int n = 0; n < p->N; n += GROUP)
        for (int64_t m = 0; m < p->M; m += ROWS)
            packed_block(p, m, n, (int)min64(GROUP, p->N - n));
}

Panels panels_part(const Panels *p, int64_t m, int64_t M, int n, int N)
{
    Panels part = *p;
    part.c += m * p->ldc + n;
    part.M = M;
    part.N = N;
    for (int t = 0; t < p->terms; t++) {
        Factors *f = &part.term[t];
        f->a = left_at(f->a, m, 0);
        f->b += f->tb ? (int64_t)n * f->ldb : n;
    }
    return part;
}

bool panel_shape(bool ta, int64_t M, int64_t N, int64_t K, float beta)
{
    enum { FEW = 64, LONG = 2048, LARGE = 1 << 21 };
    if (M < FEW || K < PANEL || (beta != 0 && beta != 1))
        return false;
    return LANES == 16 || (LANES == 8 && !ta && K <= LONG && N * K <= LARGE);
}

void panel_product(const Panels *p, float *room, int64_t floats)
{
    enum { NARROW = 256 };
    _Alignas(64) float packed[MOST];
    const int64_t each = floats / max64(1, inner_buffers(p)), K = inner_depth(p);
    int64_t wide = MOST / inner_deepest(p) / GROUP * GROUP, rows = p->M;
    if (inner_buffers(p) > 0) {                 /* rather narrow than packed again for other rows */
        ASSERT(floats >= INT64_C(1) * JOINS * ROWS * (NARROW + APART));
        wide = min64(wide, max64(NARROW, (each / rows - APART) / GROUP * GROUP));
        const int64_t parts = ceil_div(rows, each / (wide + APART) / ROWS * ROWS);
        rows = ceil_div(ceil_div(rows, parts), ROWS) * ROWS;
    }
#pragma omp parallel if ((p->M + PACKING) * p->N * K >= ALONE)
    for (int64_t n = 0; n < p->N; n += wide)
        for (int64_t m = 0; m < p->M; m += rows) {
            const Panels part = panels_part(p, m, min64(rows, p->M - m), (int)n, (int)min64(wide, p->N - n));
            block_product(&part, packed, room);
        }
}
