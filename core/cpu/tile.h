/*
 * tile.h -- products of tiles that lie in the first caches, where a BLAS would only pack and look around
 *
 *     panel          (K,PANEL) floats, dense (pack.h)
 *     tile_product   c (M,cols) = a b, or += : a wherever it lies, element (i,k) at a[i arow + k acol], b a panel
 *     tile_whole     the same with a constant number of rows and panels (one behind the other) in the registers; or a sum of leaves (Joined)
 *
 * Some rows of c stay in registers while k runs: on AVX2 6 x 16, twelve sums of eight lanes, on AVX-512 8 x 16 and 12 x 32.  Each element of
 * c is a sum in the order of k, begun at zero, whatever the width.
 *
 * Local, nothing is allocated.  Source: GotoBLAS's and BLIS's inner kernel.  Tests: tests/core/test_ops_attention.c, tests/core/test_ops_plain.c
 */
#pragma once
#include "core/cpu/leaves.h"
#include "core/cpu/pack.h"

#include <stdbool.h>

/* `rows` and `panels` are constants where this is called, so that the sums are registers.  j, instead of c and add: leaves are joined. */
REGISTERS void tile_rows(int rows, int panels, float *c, int64_t cstep, const float *a, int64_t arow, int64_t acol, const float *b, int K, bool add,
                         const Joined *j, int64_t m, int64_t next)
{
    TileSums sum;
    if (j) {
        tile_join(rows, panels, j, m, a, arow, acol, b, next);
        return;
    }
    tile_clear(rows, panels, sum);
    if (panels > 1)
        tile_fetch(rows, panels, c, cstep);
    tile_sum(rows, panels, sum, a, arow, acol, b, next, K);
    if (add)
        tile_take(rows, panels, sum, c, cstep);
    tile_put(rows, panels, sum, c, cstep);
}

/* Whole panels, `tall` rows at a time; what is left by powers of two.  next: from one panel to that beside it. */
REGISTERS void tile_whole(int tall, int panels, float *c, int64_t cstep, const float *a, int64_t arow, int64_t acol, const float *b, int64_t next, int M,
                          int K, bool add, const Joined *j)
{
    for (int m = 0, rows = 0; m < M; m += rows, a += rows * arow, c += rows * cstep) {
        const int left = M - m;
        if (left >= tall)
            tile_rows(rows = tall, panels, c, cstep, a, arow, acol, b, K, add, j, m, next);
        else if (tall > 8 && left >= 8)
            tile_rows(rows = 8, panels, c, cstep, a, arow, acol, b, K, add, j, m, next);
        else if (tall > 4 && left >= 4)
            tile_rows(rows = 4, panels, c, cstep, a, arow, acol, b, K, add, j, m, next);
        else if (left >= 2)
            tile_rows(rows = 2, panels, c, cstep, a, arow, acol, b, K, add, j, m, next);
        else
            tile_rows(rows = 1, panels, c, cstep, a, arow, acol, b, K, add, j, m, next);
    }
}

/* A function of its own, so that sums and addresses have the registers for themselves. */
static __attribute__((noinline)) void tile_panel(float *c, int64_t cstep, const float *a, int64_t arow, int64_t acol, const float *b, int M, int K,
                                                 bool add)
{
    tile_whole(TALL, 1, c, cstep, a, arow, acol, b, 0, M, K, add, NULL);
}

/* cols < PANEL: only those columns of c are there. */
static inline void tile_product(float *c, int64_t cstep, const float *a, int64_t arow, int64_t acol, const float *b, int M, int K, int cols, bool add)
{
    if (cols == PANEL) {
        tile_panel(c, cstep, a, arow, acol, b, M, K, add);
        return;
    }
    for (int m = 0; m < M; m += TALL) {
        float part[TALL * PANEL];
        const int rows = M - m < TALL ? M - m : TALL;
        tile_panel(part, PANEL, a + m * arow, arow, acol, b, rows, K, false);
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < cols; i++)
                c[(m + r) * cstep + i] = part[r * PANEL + i] + (add ? c[(m + r) * cstep + i] : 0.f);
    }
}
