/*
 * cpu_product.c -- matrix products whose bits do not depend on the number of threads
 *
 * OpenBLAS deals the rows or columns of a product to its threads, and its kernels round an element otherwise beside an edge
 * than inside.  So a product that is not cpu_panel's is cut here, into tiles that its shape alone decides; each is one sgemm of one thread, and the
 * threads share the tiles.  K is never cut: a tile's elements are whole sums.  Large panels are cut the same way for many threads.
 *
 * How many tiles: each packs its rows and its columns anew.  Of one thread's time pm x pn tiles cost about
 *
 *     ROW (pm - 1) / M + COL (pn - 1) / N          ROW = 9, COL = 6.6: measured (docs/PERF.md)
 *
 * more than one.  As many tiles as keep that below COST, or DEAR where there is so much to do that many threads must be meant,
 * but none of less than LEAST multiply-adds, which is what it takes to be worth a thread's waking.
 */
#include "core/cpu/cpu.h"
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

/* Panels have the same bits whatever the cut: few threads share a matrix that they pack together, many would only wait for each other. */
static bool packed_together(int64_t N, int K, int threads)
{
    enum { FEW = 4, LARGE = 1 << 21 };
    return threads <= FEW || N * K <= LARGE;
}

void cpu_product(float *c, int ldc, const float *a, int lda, bool ta, const float *b, int ldb, bool tb, int64_t M, int N, int K,
                 float alpha, float beta)
{
    const bool panels = panel_shape(ta, M, N, K, beta);
    if (panels && packed_together(N, K, omp_get_max_threads())) {
        panel_product(c, ldc, a, lda, ta, b, ldb, tb, M, N, K, alpha, beta == 1);       /* in no region: threads inside one are made anew */
        return;
    }
    const Cut t = cut(M, N, K);
    const int tiles = t.rows * t.cols, threads = panels ? omp_get_max_threads() : blas_alone_start();
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (tiles > 1)
    for (int i = 0; i < tiles; i++) {
        const int64_t m0 = border(M, ROW_STEP, i / t.cols, t.rows), m1 = border(M, ROW_STEP, i / t.cols + 1, t.rows);
        const int64_t n0 = border(N, COL_STEP, i % t.cols, t.cols), n1 = border(N, COL_STEP, i % t.cols + 1, t.cols);
        const float *rows = a + (ta ? m0 : m0 * lda), *columns = b + (tb ? n0 * ldb : n0);
        if (panels)
            panel_product(c + m0 * ldc + n0, ldc, rows, lda, ta, columns, ldb, tb, m1 - m0, (int)(n1 - n0), K, alpha, beta == 1);
        else
            cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)(m1 - m0), (int)(n1 - n0), K,
                        alpha, rows, lda, columns, ldb, beta, c + m0 * ldc + n0, ldc);
        tile_done();
    }
    if (!panels)
        blas_alone_end(threads);
}
