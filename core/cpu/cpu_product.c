/*
 * cpu_product.c -- matrix products whose bits do not depend on the number of threads
 *
 * OpenBLAS deals the rows or columns of a product to its threads, and its kernels round an element otherwise beside an edge
 * than inside.  So a product that is not cpu_panel's is cut here, into tiles that its shape alone decides; each is one sgemm of one thread, and the
 * threads share the tiles.  K is never cut: a tile's elements are whole sums.  Large panels are cut the same way for many threads; sums of leaves
 * (panel.h) are always panels, of whatever shape.
 *
 * How many tiles: each packs its rows and its columns anew.  Of one thread's time pm x pn tiles cost about
 *
 *     ROW (pm - 1) / M + COL (pn - 1) / N          ROW = 9, COL = 6.6: measured (docs/PERF.md)
 *
 * more than one.  As many tiles as keep that below COST, or DEAR where there is so much to do that many threads must be meant,
 * but none of less than LEAST multiply-adds, which is what it takes to be worth a thread's waking.
 */
#include "core/cpu/cpu.h"
#include "core/cpu/panel.h"
#include "core/meanwhile.h"

enum { MOST = 256, LEAST = 1 << 21, ROW_STEP = 8, COL_STEP = 16 };

static const double ROW = 9, COL = 6.6, COST = 0.03, DEAR = 0.06, MUCH = 0x1p33;

typedef struct { int rows, cols; } Cut;

static double cost(int64_t M, int64_t N, Cut c) { return ROW * (c.rows - 1) / (double)M + COL * (c.cols - 1) / (double)N; }

/* Parts are halved, the cheaper side first: powers of two suit most numbers of threads. */
static Cut cut(int64_t M, int64_t N, int64_t K)
{
    const double work = (double)M * (double)N * (double)K, limit = work < MUCH ? COST : DEAR;
    Cut c = { 1, 1 };
    while (c.rows * c.cols < MOST && 2.0 * c.rows * c.cols * LEAST <= work) {
        const Cut r = { 2 * c.rows, c.cols }, s = { c.rows, 2 * c.cols }, next = cost(M, N, r) < cost(M, N, s) ? r : s;
        if (cost(M, N, next) > limit)
            break;
        c = next;
    }
    return c;
}

/* Where part i of n begins: a multiple of `step`, which is how kernels like it. */
static int64_t border(int64_t size, int step, int i, int n)
{
    return min64(size, ceil_div(size, step) * i / n * step);
}

/* Tile i of a cut. */
typedef struct { int64_t m0, m1, n0, n1; } Tile;

static Tile tile(Cut t, int i, int64_t M, int64_t N)
{
    return (Tile){ border(M, ROW_STEP, i / t.cols, t.rows), border(M, ROW_STEP, i / t.cols + 1, t.rows),
                   border(N, COL_STEP, i % t.cols, t.cols), border(N, COL_STEP, i % t.cols + 1, t.cols) };
}

/* Panels have the same bits whatever the cut: few threads share a matrix that they pack together, many would only wait for each other. */
static bool packed_together(int64_t N, int K, int threads)
{
    enum { FEW = 4, LARGE = 1 << 21 };
    return threads <= FEW || N * K <= LARGE;
}

/* Of one thread: what waits lies on its stack. */
static __attribute__((noinline)) void panels_alone(const Panels *p)
{
    enum { ROOM = 3 << 16 };
    _Alignas(64) float room[ROOM];
    panel_product(p, room, ROOM);
}

void panels_shared(const Panels *p)
{
    enum { ROOM = 3 << 19 };
    static _Alignas(64) float room[ROOM];
    const int64_t K = inner_depth(p);
    if (packed_together(p->N, (int)K, omp_get_max_threads())) {
        panel_product(p, room, ROOM);           /* in no region: threads inside one are made anew */
        return;
    }
    const Cut t = cut(p->M, p->N, K);
#pragma omp parallel for schedule(dynamic) if (t.rows * t.cols > 1)
    for (int i = 0; i < t.rows * t.cols; i++) {
        const Tile x = tile(t, i, p->M, p->N);
        const Panels part = panels_part(p, x.m0, x.m1 - x.m0, (int)x.n0, (int)(x.n1 - x.n0));
        if (inner_buffers(p) > 0)
            panels_alone(&part);
        else
            panel_product(&part, NULL, 0);
        tile_done();
    }
}

void cpu_product(float *c, int ldc, const float *a, int lda, bool ta, const float *b, int ldb, bool tb, int64_t M, int N, int K,
                 float alpha, float beta)
{
    if (panel_shape(ta, M, N, K, beta)) {
        panels_shared(&(Panels){ .c = c, .M = M, .ldc = ldc, .N = N, .terms = 1, .alpha = alpha, .add = beta == 1,
                                 .term = { { { a, ta ? 1 : lda, ta ? lda : 1 }, b, ldb, tb, K, 0 } } });
        return;
    }
    const Cut t = cut(M, N, K);
    const int tiles = t.rows * t.cols, threads = blas_alone_start();
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (tiles > 1)
    for (int i = 0; i < tiles; i++) {
        const Tile x = tile(t, i, M, N);
        const float *rows = a + (ta ? x.m0 : x.m0 * lda), *columns = b + (tb ? x.n0 * ldb : x.n0);
        cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)(x.m1 - x.m0), (int)(x.n1 - x.n0), K,
                    alpha, rows, lda, columns, ldb, beta, c + x.m0 * ldc + x.n0, ldc);
        tile_done();
    }
    blas_alone_end(threads);
}
