/*
 * cpu_gram.c -- a a^T by half of the work: rows of blocks up to the diagonal, each a product, and the other half copied
 *
 * Not cblas_ssyrk: its threads are OpenBLAS' own.  Of n rows of blocks (n + 1) / 2n of the whole product is computed; more rows of blocks
 * pack more and run on less.  The shape alone decides how many.
 */
#include "core/cpu/cpu.h"
#include "core/prof.h"

/* MOST rows of blocks, of LEAST rows at least, which begin at multiples of STEP; the copy is by SQUAREs, which stay in the first cache. */
enum { MOST = 8, LEAST = 128, STEP = 48, SQUARE_SIDE = 32 };

static int border(int M, int i, int n) { return (int)min64(M, ceil_div(M, STEP) * i / n * STEP); }

/* What lies above the diagonal <- what lies below. */
static void mirror(float *c, int M)
{
    const int squares = (int)ceil_div(M, SQUARE_SIDE);
#pragma omp parallel for schedule(dynamic) if ((int64_t)M * M >= PARALLEL)
    for (int i = 0; i < squares; i++)
        for (int j = 0; j <= i; j++) {
            const int rows = (int)min64(M, (i + 1) * SQUARE_SIDE), cols = (int)min64(M, (j + 1) * SQUARE_SIDE);
            for (int k = j * SQUARE_SIDE; k < cols; k++)
                for (int m = i == j ? k + 1 : i * SQUARE_SIDE; m < rows; m++)
                    c[(int64_t)k * M + m] = c[(int64_t)m * M + k];
        }
}

void cpu_gram(float *c, const float *a, bool ta, int M, int K)
{
    const int n = (int)max64(1, min64(MOST, M / LEAST)), ld = ta ? M : K;
    prof_gram(M, K);
    for (int i = 0; i < n; i++) {
        const int first = border(M, i, n), last = border(M, i + 1, n);
        cpu_product(c + (int64_t)first * M, M, a + (ta ? first : (int64_t)first * K), ld, ta, a, ld, !ta, last - first, last, K, 1, 0);
    }
    if (n > 1)
        mirror(c, M);
}
