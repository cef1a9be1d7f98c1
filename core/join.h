/*
 * join.h -- the balanced binary tree along which partial sums are joined: ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7))
 *
 * Neighbours come together level by level; where their number is no power of two, what has no neighbour passes up.  The leaves of one of
 * 2^k ranks are a subtree, whose sum that rank makes by itself: so it does not matter which rank holds which leaves (linear.h).
 *
 * Local.  Tests: tests/core/test_leaves_ops.c
 */
#pragma once
#include "core/operands.h"

/* x[0] <- the sum of n numbers, which are used up. */
static inline float join_f32(float *x, int n)
{
    for (int step = 1; step < n; step *= 2)
        for (int i = 0; i + step < n; i += 2 * step)
            x[i] += x[i + step];
    return x[0];
}

static inline double join_f64(double *x, int n)
{
    for (int step = 1; step < n; step *= 2)
        for (int i = 0; i + step < n; i += 2 * step)
            x[i] += x[i + step];
    return x[0];
}

/* The same of n buffers, for op.sum_tree: returns how many additions. */
static inline int join_additions(Addition *add, int n)
{
    int k = 0;
    for (int step = 1; step < n; step *= 2)
        for (int i = 0; i + step < n; i += 2 * step)
            add[k++] = (Addition){ i, i + step };
    return k;
}
