/*
 * linear.h -- a linear layer: out = x w^T + b
 *
 * The one type of a weight that multiplies rows, and of its gradient.  Whoever names the tensors in a param(...) line says I and O,
 * of this tp rank's share.  In a gradient w or b is NULL where it is frozen; a weight without a bias has b NULL.
 * A low-rank pair beside w, which then is frozen, is a and up: lora.h multiplies by both; ops know w and b alone.
 * Other forms of a weight (16-bit, several side by side) will have their home here and in the ops.
 *
 * Packed: whoever only multiplies by w turns it, where it lies, once: sixteen rows at a time become a panel (I,16), rows that are left at the end
 * stay.  Products forward then read it as it is, with the same bits; it has no gradient.
 *
 * Leaves: the dimension that is split over tp consists of a fixed number of equal blocks (parallel.blocks), of which so many lie on
 * this rank.  A sum over that dimension is one of blocks, each by itself, joined along a fixed binary tree: inside a rank by the ops, between
 * ranks by tp->sum, so its bits do not depend on tp.  And no element's bits depend on how many of the others of a split dimension are here.
 *
 * Local.  Tests: tests/core/test_ops.c
 */
#pragma once
#include <stdbool.h>

typedef struct {
    float *w, *b;                          /* (O,I) (O) */
    int    I, O;
    int    split, leaves;                  /* 0: O is split, 1: I is; leaves of that here, a power of two; 0: products as they are fastest */
    bool   add;                            /* forward adds to what out holds, and has no b */
    bool   packed;                         /* w lies as panels; leaves are not 0 */
    float *a, *up;                         /* (rank,I) (O,rank) or NULL */
    const struct Lora *lora;               /* of the pair, or NULL */
} Linear;

/* The most terms of a gradient of x, leaves of a sum over all ranks. */
enum { LINEAR_TERMS = 4, MAX_LEAVES = 64, LINEAR_PANEL = 16 /* rows */ };

/* A term of the gradient of what several weights multiply: dout w.  A leaf of the sum is one of each term; the first has the most, and one of a
   term with fewer lies in every second, fourth, ... of those.  Without leaves one term is added after the other.  TERMS: some, and how many. */
typedef struct { const float *dout; const Linear *w; } LinearTerm;
#define TERMS(...) (const LinearTerm[]){ __VA_ARGS__ }, (int)(sizeof((const LinearTerm[]){ __VA_ARGS__ }) / sizeof(LinearTerm))

/* The same weight without its bias unless `with`: of partial sums over ranks one brings it. */
static inline Linear linear_biased(const Linear *l, int with)
{
    Linear some = *l;
    some.b = with ? l->b : 0;
    return some;
}
