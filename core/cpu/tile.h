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
#include "core/cpu/pack.h"

#include <stdbool.h>

enum { APIECE = 3, EACH = PANEL / LANES };          /* vectors of a panel's row */

/* Where rows of floats lie. */
typedef struct { float *at; int64_t step; } Place;

/*
 * A sum of leaves, which lie one behind the other along K: each is a sum begun at zero, all are joined along the balanced binary tree before they
 * leave the registers.  Then the same rows of other places are added, one after the other.
 */
enum { NEAR = 4, JOINS = 8 };           /* 2^NEAR leaves at most; places */
typedef struct {
    const int *leaf;                    /* (leaves) how deep each is */
    int        leaves, joins;           /* leaves: a power of two */
    Place      begin, from[JOINS], to;  /* begin.at: NULL, or what the first leaf is added to */
} Joined;

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
    const float *at[WIDE_TALL / APIECE];                /* addresses of every third row and the step are registers, the others one or two steps away */
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

/* Rows m and following of all places.  Leaf i takes what waits for it, one for each trailing one of i, and waits itself behind the last. */
REGISTERS void tile_join(int rows, int panels, const Joined *j, int64_t m, const float *a, int64_t arow, int64_t acol, const float *b, int64_t next)
{
    _Alignas(64) float waits[NEAR][WIDE_TALL * PANELS * PANEL];
    TileSums sum;
    tile_fetch(rows, panels, j->to.at + m * j->to.step, j->to.step);
    for (int k = 0; k < j->joins; k++)
        tile_fetch(rows, panels, j->from[k].at + m * j->from[k].step, j->from[k].step);
    int i = 0;
    do {
        const int deep = j->leaf[i];
        int level = 0;
        tile_clear(rows, panels, sum);
        tile_sum(rows, panels, sum, a, arow, acol, b, next, deep);
        if (i == 0 && j->begin.at)
            tile_take(rows, panels, sum, j->begin.at + m * j->begin.step, j->begin.step);
        for (; i >> level & 1; level++)
            tile_take(rows, panels, sum, waits[level], panels * PANEL);
        if (i + 1 < j->leaves)
            tile_put(rows, panels, sum, waits[level], panels * PANEL);
        a += deep * acol;
        b += (int64_t)deep * PANEL;
    } while (++i < j->leaves);
    for (int k = 0; k < j->joins; k++)
        tile_take(rows, panels, sum, j->from[k].at + m * j->from[k].step, j->from[k].step);
    tile_put(rows, panels, sum, j->to.at + m * j->to.step, j->to.step);
}

/* `rows` and `panels` are constants where this is called, so that the sums are registers.  j, instead of c and add: leaves are joined. */
REGISTERS void tile_rows(int rows, int panels, float *c, int64_t cstep, const float *a, int64_t arow, int64_t acol, const float *b, int K, bool add,
                    const Joined *j, int64_t m)
{
    TileSums sum;
    if (j) {
        tile_join(rows, panels, j, m, a, arow, acol, b, (int64_t)K * PANEL);
        return;
    }
    tile_clear(rows, panels, sum);
    if (panels > 1)
        tile_fetch(rows, panels, c, cstep);
    tile_sum(rows, panels, sum, a, arow, acol, b, (int64_t)K * PANEL, K);
    if (add)
        tile_take(rows, panels, sum, c, cstep);
    tile_put(rows, panels, sum, c, cstep);
}

/* Whole panels, `tall` rows at a time; what is left by powers of two. */
REGISTERS void tile_whole(int tall, int panels, float *c, int64_t cstep, const float *a, int64_t arow, int64_t acol, const float *b, int M, int K, bool add,
                     const Joined *j)
{
    for (int m = 0, rows = 0; m < M; m += rows, a += rows * arow, c += rows * cstep) {
        const int left = M - m;
        if (left >= tall)
            tile_rows(rows = tall, panels, c, cstep, a, arow, acol, b, K, add, j, m);
        else if (tall > 8 && left >= 8)
            tile_rows(rows = 8, panels, c, cstep, a, arow, acol, b, K, add, j, m);
        else if (tall > 4 && left >= 4)
            tile_rows(rows = 4, panels, c, cstep, a, arow, acol, b, K, add, j, m);
        else if (left >= 2)
            tile_rows(rows = 2, panels, c, cstep, a, arow, acol, b, K, add, j, m);
        else
            tile_rows(rows = 1, panels, c, cstep, a, arow, acol, b, K, add, j, m);
    }
}

/* A function of its own, so that sums and addresses have the registers for themselves. */
static __attribute__((noinline)) void tile_panel(float *c, int64_t cstep, const float *a, int64_t arow, int64_t acol, const float *b, int M, int K,
                                                 bool add)
{
    tile_whole(TALL, 1, c, cstep, a, arow, acol, b, M, K, add, NULL);
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
