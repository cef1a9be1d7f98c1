/*
 * leaves.h -- sums of leaves (core/linear.h) that are joined before they leave the registers
 *
 * Local, nothing is allocated.  Tests: tests/core/test_leaves.c
 */
#pragma once
#include "core/cpu/registers.h"

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
