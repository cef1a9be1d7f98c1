/*
 * par.h -- the two doors through which the model meets other ranks
 *
 * The model is written for one rank.  Where a sum must run over the tensor-parallel ranks it calls
 * tp->sum; where it is about to read weights it says so with tp->need; where gradients are complete it calls
 * g->final.  dist/ stands behind all of them.  What is summed is a tensor, or a few numbers of the host (tp_sum_f64).
 *
 * A sum behind which something else can be computed has two phases.  Those of rows that forward needs next are made in stripes
 * (stripe.h); backward's run beside the gradients of weights.
 */
#pragma once
#include "core/base.h"

typedef struct Tp Tp;
struct Tp {
    int   rank, size;
    int   leaves;                               /* of the fixed tree of a sum over a split dimension, on each rank; 0: sums go by ranks (linear.h) */
    bool  sequence;                             /* each rank keeps its share of the rows of a block's residuals and norms (stripe.h) */
    void (*sum)(Tp *tp, float *x, int64_t n);   /* x <- sum over tp ranks, in place, collective over tp */
    void (*max)(Tp *tp, float *x, int64_t n);   /* x <- maximum over tp ranks, in place, collective over tp */
    /* sum, in two phases: x and room (n, work space) are the door's from the start to the wait that ends it.  Every call lets what is
       under way go on; with x NULL nothing else happens.  UNDER_WAY at most; all ranks start and wait in the same order. */
    void (*sum_start)(Tp *tp, float *x, float *room, int64_t n);
    /* The halves of a sum, where a rank keeps a share of the rows (stripe.h): each has `each` floats of x (n), the last ones fewer or none.
       Of a scatter every rank gets the sum of its share, the rest of x is used up, room: (size - 1) each; of a gather everybody's shares. */
    void (*scatter_start)(Tp *tp, float *x, float *room, int64_t n, int64_t each);
    void (*gather_start)(Tp *tp, float *x, int64_t n, int64_t each);
    void (*wait)(Tp *tp);                       /* for the one that was started first; returns when its result is in x */
    /* The weights of params [first, last) of the table are about to be read: returns when they are here (they may be
       gathered while the forward pass runs).  Before each first reading in forward; backward reads the same ones.
       Always in the order of forward, which is the table's, but a batch may do without some (no picture, no tower).  Local or collective over dp. */
    void (*need)(Tp *tp, int first, int last);
    void *ctx;
};

enum { UNDER_WAY = 16 };                       /* as many sums as a visual head has depths */

/* One rank: nothing is done. */
extern Tp TP_ALONE;

/* x (n), finite, <- sums over tp ranks, added in double along the tree (join.h): the same bits on all of them.  For a few
   numbers: they cross as floats, three for each number and rank.  Collective over tp. */
void tp_sum_f64(Tp *tp, double *x, int n);

typedef struct {
    /* The gradients of params [first, last) of the table are final.  Called in any order, each param at most
       once per backward; an empty range only gives communication a chance to progress. */
    void (*final)(void *ctx, int first, int last);
    void *ctx;
} OnGrad;
