/*
 * registers.h -- the sums of a tile, in registers
 *
 *     tile_clear   begins them          tile_sum    += a b, in the order of k          tile_take   += rows of memory
 *     tile_put     writes them          tile_fetch  asks for lines that will be taken or written
 *
 * `rows` and `panels` are constants where these are called, so that the sums are registers: on AVX2 6 x 16 of them, twelve of eight lanes, on
 * AVX-512 8 x 16 and 12 x 32.
 *
 * Local, nothing is allocated.  Tests: those of tile.h
 */
#pragma once
#include "core/cpu/lanes.h"

enum { APIECE = 3, EACH = PANEL / LANES };          /* vectors of a panel's row */

typedef Lanes TileSums[WIDE_TALL][PANELS * EACH];

#define REGISTERS static inline __attribute__((always_inline))

REGISTERS void tile_clear(int rows, int panels, TileSums sum)
{
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int w = 0; w < panels * EACH; w++)
            sum[r][w] = (Lanes){ 0 };
}

REGISTERS void tile_fetch(int rows, int panels, const float *c, int64_t cstep)
{
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int p = 0; p < panels; p++)
            __builtin_prefetch(c + r * cstep + p * PANEL, 1);
}

REGISTERS void tile_sum(int rows, int panels, TileSums sum, const float *a, int64_t arow, int64_t acol, const float *b, int64_t next, int K)
{
    const float *at[(WIDE_TALL + APIECE - 1) / APIECE];                /* addresses of every third row and the step are registers, the others one or two steps away */
    UNROLL
    for (int r = 0; r < rows; r += APIECE)
        at[r / APIECE] = a + r * arow;
    for (int k = 0; k < K; k++, b += PANEL) {
        Lanes x[PANELS * EACH];
        UNROLL
        for (int w = 0; w < panels * EACH; w++) {
            x[w] = lanes_load(b + w / EACH * next + w % EACH * LANES);
            lanes_hold(&x[w]);
        }
        UNROLL
        for (int r = 0; r < rows; r++) {
            if (r % APIECE == 0)
                address_hold(&at[r / APIECE]);
            UNROLL
            for (int w = 0; w < panels * EACH; w++)
                sum[r][w] = lanes_madd(at[r / APIECE][r % APIECE * arow], x[w], sum[r][w]);
        }
        UNROLL
        for (int r = 0; r < rows; r += APIECE)
            at[r / APIECE] += acol;
    }
}

REGISTERS void tile_take(int rows, int panels, TileSums sum, const float *from, int64_t step)
{
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int w = 0; w < panels * EACH; w++)
            sum[r][w] += lanes_load(from + r * step + w * LANES);
}

REGISTERS void tile_put(int rows, int panels, TileSums sum, float *to, int64_t step)
{
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int w = 0; w < panels * EACH; w++)
            lanes_store(to + r * step + w * LANES, sum[r][w]);
}
