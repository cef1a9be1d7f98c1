/*
 * tile.h -- products of tiles that lie in the first caches, where a BLAS would only pack and look around
 *
 *     panel          (K,PANEL) floats, dense: sixteen columns of a matrix, the last panel filled up with zeros
 *     tile_product   c (M,cols) = a b, or += : a wherever it lies, element (i,k) at a[i arow + k acol], b a panel
 *
 * TALL rows of c stay in registers while k runs: on AVX2 6 x 16, twelve sums of eight lanes.  Each element of c is a sum in the order
 * of k, whatever the width.
 *
 * Local, nothing is allocated.  Source: GotoBLAS's and BLIS's inner kernel.  Tests: tests/core/test_ops_attention.c
 */
#pragma once
#include "core/cpu/lanes.h"

#include <stdbool.h>

/* `rows` is a constant where this is called, so that the sums are registers. */
static inline __attribute__((always_inline)) void tile_rows(int rows, float *c, int64_t cstep, const float *a, int64_t arow, int64_t acol,
                                                            const float *b, int K, bool add)
{
    Lanes sum[TALL][PANEL / LANES];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int w = 0; w < PANEL / LANES; w++)
            sum[r][w] = add ? lanes_load(c + r * cstep + w * LANES) : (Lanes){ 0 };
    for (int k = 0; k < K; k++, a += acol, b += PANEL) {
        Lanes x[PANEL / LANES];
#pragma GCC unroll 4
        for (int w = 0; w < PANEL / LANES; w++)
            x[w] = lanes_load(b + w * LANES);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int w = 0; w < PANEL / LANES; w++)
                sum[r][w] = lanes_madd(a[r * arow], x[w], sum[r][w]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int w = 0; w < PANEL / LANES; w++)
            lanes_store(c + r * cstep + w * LANES, sum[r][w]);
}

/* cols < PANEL: only those columns of c are there. */
static inline void tile_product(float *c, int64_t cstep, const float *a, int64_t arow, int64_t acol, const float *b, int M, int K, int cols, bool add)
{
    float whole[TALL * PANEL];
    for (int m = 0, rows = 0; m < M; m += rows, a += rows * arow) {
        const int left = M - m;
        float *to = cols < PANEL ? whole : c + m * cstep;
        const int64_t step = cols < PANEL ? PANEL : cstep;
        const bool sum = add && cols == PANEL;
        if (left >= TALL)
            tile_rows(rows = TALL, to, step, a, arow, acol, b, K, sum);
        else if (TALL > 8 && left >= 8)
            tile_rows(rows = 8, to, step, a, arow, acol, b, K, sum);
        else if (TALL > 4 && left >= 4)
            tile_rows(rows = 4, to, step, a, arow, acol, b, K, sum);
        else if (left >= 2)
            tile_rows(rows = 2, to, step, a, arow, acol, b, K, sum);
        else
            tile_rows(rows = 1, to, step, a, arow, acol, b, K, sum);
        for (int r = 0; cols < PANEL && r < rows; r++)
            for (int i = 0; i < cols; i++)
                c[(m + r) * cstep + i] = whole[r * PANEL + i] + (add ? c[(m + r) * cstep + i] : 0.f);
    }
}

/* Columns [0, D) of factor x (rows,D) as panels (rows,PANEL). */
static inline void tile_pack(float *panel, const float *x, int64_t step, int rows, int D, float factor)
{
    for (int d0 = 0; d0 < D; d0 += PANEL)
        for (int r = 0; r < rows; r++, panel += PANEL) {
            const float *from = x + r * step + d0;
            const int n = D - d0 < PANEL ? D - d0 : PANEL;
            if (n == PANEL)
                for (int i = 0; i < PANEL; i++)
                    panel[i] = factor * from[i];
            else
                for (int i = 0; i < PANEL; i++)
                    panel[i] = i < n ? factor * from[i] : 0.f;
        }
}

/* The rows of factor x (rows,D) as columns: panels (D,PANEL) of sixteen rows. */
static inline void tile_turn(float *panel, const float *x, int64_t step, int rows, int D, float factor)
{
    for (int r0 = 0; r0 < rows; r0 += PANEL, panel += (int64_t)D * PANEL)
        for (int i = 0; i < PANEL; i += SQUARE) {
            const float *from = x + (r0 + i) * step;
            const int n = rows - r0 - i < SQUARE ? rows - r0 - i : SQUARE;
            int d = 0;
            for (; n == SQUARE && d + SQUARE <= D; d += SQUARE)
                tile_square(panel + d * PANEL + i, from + d, step, factor);
            for (; d < D; d++)
                for (int r = 0; r < SQUARE; r++)
                    panel[d * PANEL + i + r] = r < n ? factor * from[r * step + d] : 0.f;
        }
}
