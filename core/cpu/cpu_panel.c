/*
 * cpu_panel.c -- products with a matrix b of up to some million elements, by tiles of our own
 *
 * A BLAS packs both matrices, clears the result and then adds to it: of 1000 rows times 384 x 384 that is a sixth of its time.  Here b is packed
 * once, a is read where it lies, and the result is written once for each DEEP of K.  An element is a sum in the order of k wherever it
 * lies, so rows are cut as threads like.  Larger matrices, long sums, few rows and a transposed a are faster by sgemm (docs/PERF.md).
 */
#include "core/cpu/cpu.h"
#include "core/cpu/tile.h"

/* MOST: floats of b that are packed at a time. */
enum { MOST = 128 * 1024, ROWS = 48, DEEP = 256, DEEPEST = 400, FEW = 64, LONG = 2048, LARGE = 1 << 21, ALONE = 1 << 22 };

/* c (M,N) = or += alpha a (M,depth) b (depth,N), shared by the threads of the region that calls it. */
static void stripe(float *c, int ldc, const float *a, int lda, const float *b, int ldb, bool tb, float *packed, int64_t M, int N, int depth,
                   float alpha, bool add)
{
    const int panels = (int)ceil_div(N, PANEL);
#pragma omp for
    for (int p = 0; p < panels; p++) {
        float *to = packed + (int64_t)p * PANEL * depth;
        const int cols = (int)min64(PANEL, N - p * PANEL);
        if (tb)
            tile_turn(to, b + (int64_t)p * PANEL * ldb, ldb, cols, depth, alpha);
        else
            tile_pack(to, b + (int64_t)p * PANEL, ldb, depth, cols, alpha);
    }
#pragma omp for schedule(dynamic)
    for (int64_t m = 0; m < M; m += ROWS)
        for (int p = 0; p < panels; p++)
            tile_product(c + m * ldc + p * PANEL, ldc, a + m * lda, lda, 1, packed + (int64_t)p * PANEL * depth, (int)min64(ROWS, M - m), depth,
                         (int)min64(PANEL, N - p * PANEL), add);
}

bool panel_product(float *c, int ldc, const float *a, int lda, const float *b, int ldb, bool tb, int64_t M, int N, int K, float alpha, float beta)
{
    const bool measured = LANES == 8;               /* AVX2; what wins with other vectors nobody has seen */
    if (!measured || M < FEW || K < PANEL || K > LONG || (int64_t)N * K > LARGE || (beta != 0 && beta != 1))
        return false;
    float packed[MOST];
    const int deep = K <= DEEPEST ? K : DEEP, wide = MOST / deep / PANEL * PANEL;
#pragma omp parallel if (M * N * K >= ALONE)
    for (int n = 0; n < N; n += wide)
        for (int k = 0; k < K; k += deep)
            stripe(c + n, ldc, a + k, lda, tb ? b + (int64_t)n * ldb + k : b + (int64_t)k * ldb + n, ldb, tb, packed, M, (int)min64(wide, N - n),
                   (int)min64(deep, K - k), alpha, k > 0 || beta == 1);
    return true;
}
