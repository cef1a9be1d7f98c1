/*
 * cpu_small.c -- products with a matrix that fits the second cache, by tiles of our own
 *
 * A BLAS packs both matrices, clears the result and then adds to it; for some 1000 rows times 384 x 384 that is a sixth of its time.  Here b is
 * packed once, a is read where it lies, and the result is written once.  An element is a sum in the order of k wherever it lies, so rows
 * are cut as threads like.
 */
#include "core/cpu/cpu.h"
#include "core/cpu/tile.h"

enum { MOST = 160 * 1024, ROWS = 48, DEEP = 256, FEW = 64, WIDE = 512, ALONE = 1 << 22 };

bool small_product(float *c, int ldc, const float *a, int lda, const float *b, int ldb, bool tb, int64_t M, int N, int K, float alpha, float beta)
{
    const int panels = (int)ceil_div(N, PANEL);
    if (M < FEW || N > WIDE || N % PANEL != 0 || (int64_t)N * K > MOST || K < PANEL || (beta != 0 && beta != 1))
        return false;
    float packed[MOST];
#pragma omp parallel if (M * N * K >= ALONE)
    {
#pragma omp for
        for (int p = 0; p < panels; p++)
            if (tb)
                tile_turn(packed + (int64_t)p * PANEL * K, b + (int64_t)p * PANEL * ldb, ldb, PANEL, K, alpha);
            else
                tile_pack(packed + (int64_t)p * PANEL * K, b + (int64_t)p * PANEL, ldb, K, PANEL, alpha);
#pragma omp for schedule(dynamic)
        for (int64_t m = 0; m < M; m += ROWS)
            for (int k = 0; k < K; k += DEEP)
                for (int p = 0; p < panels; p++)
                    tile_product(c + m * ldc + p * PANEL, ldc, a + m * lda + k, lda, 1, packed + (int64_t)p * PANEL * K + k * PANEL,
                                 (int)min64(ROWS, M - m), (int)min64(DEEP, K - k), PANEL, k > 0 || beta == 1);
    }
    return true;
}
