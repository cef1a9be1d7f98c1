/*
 * tile.h -- products of tiles that lie in the first caches, where a BLAS would only pack and look around
 *
 *     panel          (K,PANEL) floats, dense (pack.h)
 *     tile_product   c (M,cols) = a b, or += : a wherever it lies, element (i,k) at a[i arow + k acol], b a panel
 *     tile_whole     the same with a constant number of rows and panels (one behind the other) in the registers
 *
 * Some rows of c stay in registers while k runs: on AVX2 6 x 16, twelve sums of eight lanes, on AVX-512 8 x 16 and 12 x 32.  Each element of
 * c is a sum in the order of k, begun at zero, whatever the width.
 *
 * Local, nothing is allocated.  Source: GotoBLAS's and BLIS's inner kernel.  Tests: tests/core/test_ops_attention.c, tests/core/test_ops_plain.c
 */
#pragma once
#include "core/cpu/pack.h"

#include <stdbool.h>

enum { EACH = PANEL / LANES };          /* vectors of a panel's row */

/* `rows` and `panels` are constants where this is called, so that the sums are registers. */
static inline __attribute__((always_inline)) void tile_rows(int rows, int panels, float *c, int64_t cstep, const float *a, int64_t arow, int64_t acol,
                                                            const float *b, int K, bool add)
{
    Lanes sum[WIDE_TALL][PANELS * EACH];
    const int64_t next = (int64_t)K * PANEL;
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int w = 0; w < panels * EACH; w++)
            sum[r][w] = (Lanes){ 0 };
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int p = 0; panels > 1 && p < panels; p++)
            __builtin_prefetch(c + r * cstep + p * PANEL, 1);
    for (int k = 0; k < K; k++, a += acol, b += PANEL) {
        Lanes x[PANELS * EACH];
        UNROLL
        for (int w = 0; w < panels * EACH; w++) {
            x[w] = lanes_load(b + w / EACH * next + w % EACH * LANES);
            lanes_hold(&x[w]);
        }
        UNROLL
        for (int r = 0; r < rows; r++)
            UNROLL
            for (int w = 0; w < panels * EACH; w++)
                sum[r][w] = lanes_madd(a[r * arow], x[w], sum[r][w]);
    }
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int w = 0; w < panels * EACH; w++) {
            float *to = c + r * cstep + w * LANES;
            if (add)
                sum[r][w] += lanes_load(to);
            lanes_store(to, sum[r][w]);
        }
}

/* Whole panels, `tall` rows at a time; what is left by powers of two. */
static inline __attribute__((always_inline)) void tile_whole(int tall, int panels, float *c, int64_t cstep, const float *a, int64_t arow,
                                                             int64_t acol, const float *b, int M, int K, bool add)
{
    for (int m = 0, rows = 0; m < M; m += rows, a += rows * arow, c += rows * cstep) {
        const int left = M - m;
        if (left >= tall)
            tile_rows(rows = tall, panels, c, cstep, a, arow, acol, b, K, add);
        else if (tall > 8 && left >= 8)
            tile_rows(rows = 8, panels, c, cstep, a, arow, acol, b, K, add);
        else if (tall > 4 && left >= 4)
            tile_rows(rows = 4, panels, c, cstep, a, arow, acol, b, K, add);
        else if (left >= 2)
            tile_rows(rows = 2, panels, c, cstep, a, arow, acol, b, K, add);
        else
            tile_rows(rows = 1, panels, c, cstep, a, arow, acol, b, K, add);
    }
}

/* A function of its own, so that sums and addresses have the registers for themselves. */
static __attribute__((noinline)) void tile_panel(float *c, int64_t cstep, const float *a, int64_t arow, int64_t acol, const float *b, int M, int K,
                                                 bool add)
{
    tile_whole(TALL, 1, c, cstep, a, arow, acol, b, M, K, add);
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
