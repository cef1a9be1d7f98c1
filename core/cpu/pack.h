/*
 * pack.h -- a matrix as panels: sixteen columns of it, dense, one panel after the other, the last filled up with zeros
 *
 * Local, nothing is allocated.  Tests: tests/core/test_ops_attention.c
 */
#pragma once
#include "core/cpu/lanes.h"

/* Columns [0, D) of factor x (rows,D) as panels (rows,PANEL), or as so many rows of deeper ones; a few panels at a time, so that whole lines of x and
   their neighbours are read. */
static inline void tile_pack(float *panel, int deep, const float *x, int64_t step, int rows, int D, float factor)
{
    enum { SOME = 4 };
    for (int d0 = 0; d0 < D; d0 += SOME * PANEL, panel += (int64_t)SOME * deep * PANEL)
        for (int r = 0; r < rows; r++)
            for (int d = d0; d < D && d < d0 + SOME * PANEL; d += PANEL) {
                const float *from = x + r * step + d;
                float *to = panel + ((int64_t)(d - d0) * deep + r * PANEL);
                const int n = D - d < PANEL ? D - d : PANEL;
                if (n == PANEL)
                    for (int i = 0; i < PANEL; i += LANES)
                        lanes_store(to + i, factor * lanes_load(from + i));
                else
                    for (int i = 0; i < PANEL; i++)
                        to[i] = i < n ? factor * from[i] : 0.f;
            }
}

/* The rows of factor x (rows,D) as columns: panels (D,PANEL) of sixteen rows, or so much of deeper ones. */
static inline void tile_turn(float *panel, int deep, const float *x, int64_t step, int rows, int D, float factor)
{
    for (int r0 = 0; r0 < rows; r0 += PANEL, panel += (int64_t)deep * PANEL)
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
