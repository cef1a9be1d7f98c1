/*
 * optim.h -- AdamW over the parameter table
 *
 *     s = min(1, clip / (norm + 1e-6))                       norm = |g| over all of them
 *     m <- beta1 m + (1 - beta1) s g        v <- beta2 v + (1 - beta2) (s g)^2
 *     w <- w - lr (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay w)
 *
 * for every parameter that has a gradient and does not carry STATE; decay for those with DECAY.  m and v
 * are laid out like the flat gradients: the moments of tensor p lie at m + p->grad, in the same slice of
 * the global shape as its weights.
 *
 * Source  Loshchilov and Hutter, arXiv:1711.05101, algorithm 2
 * Tests   tests/dist/test_optim.c (vs AdamW in double; the norm with tp = 1 .. 4)
 */
#pragma once
#include "core/arena.h"
#include "core/param.h"
#include "dist/grid.h"

typedef struct {
    const Params *table;
    float  *m, *v;             /* (table->grads) each */
    Arena   arena;
    int64_t step;              /* updates done */
} Optim;

typedef struct {
    float lr, beta1, beta2, eps, decay, clip;      /* clip 0 = off */
} OptimConf;

/* Moments zero, step 0.  The table must outlive it.  Local.  Dies without memory. */
void   optim_open(Optim *o, const Params *t);
void   optim_close(Optim *o);
/* |grads| over the whole model.  Equal bits on all ranks if grads is summed over dp; inf and NaN pass through.
   Collective over g->tp: each piece of a tensor counts once. */
double optim_norm(const Optim *o, const float *grads, const Grid *g);
/* One update of weights, in place; step += 1.  norm must be finite.  Local. */
void   optim_step(Optim *o, float *weights, const float *grads, const OptimConf *c, double norm);
