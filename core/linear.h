/*
 * linear.h -- a linear layer: out = x w^T + b
 *
 * The one type of a weight that multiplies rows, and of its gradient.  Whoever names the tensors in a param(...) line says I and O,
 * of this tp rank's share.  In a gradient w or b is NULL where it is frozen; a weight without a bias has b NULL.
 * Other forms of a weight (packed, 16-bit, low rank, several side by side) will have their home here and in the three ops.
 *
 * Local.  Tests: tests/core/test_ops.c
 */
#pragma once

typedef struct {
    float *w, *b;                          /* (O,I) (O) */
    int    I, O;
} Linear;

/* The same weight without its bias unless `with`: of partial sums over ranks one brings it. */
static inline Linear linear_biased(const Linear *l, int with) { return (Linear){ l->w, with ? l->b : 0, l->I, l->O }; }
