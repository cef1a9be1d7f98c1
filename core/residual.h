/*
 * residual.h -- the residual stream of pre-norm blocks: sums over tp come in, norms of it go out, and back
 *
 *     x += sum over tp of what a block's products leave in `norm`;   norm = Norm(x);   products of norm ...
 *
 * Residuals lie as this rank keeps them (stripe.h): all rows, or with tp->sequence its share of each stripe, one share behind the other.  What
 * products read and write has all rows; of a gradient dx (N,C) the rows that this rank keeps are its own, the others come from their keepers.
 *
 * Forward of one stripe after the other; a gather has a turn more to cross, so i runs to stripes + share_lag:
 *
 *     if (i < n) residual_norm(r, ..., i);        the sum of stripe i is waited for, its norm sets out
 *     if (i >= lag) ... products of stripe i - lag, behind share_gather_wait
 *
 * Dims    N rows   C width
 * Source  Korthikanti et al., arXiv:2205.05198, section 4.2.2
 * Tests   tests/dist/test_sequence.c, tests/core/test_model.c
 */
#pragma once
#include "core/linear.h"
#include "core/par.h"

typedef struct {
    Tp     *tp;
    int64_t N;
    int     C, n;                           /* n: stripes */
    float  *norm, *room;                    /* (N,C) of all rows; (room_rows,C), NULL: one rank */
    float  *part;                           /* (2,2,C) a norm's gradient of these rows; NULL: of all */
} Residual;

/* A norm; bias NULL: an RMSNorm, which has no mean.  Of the rows kept: mean, rstd. */
typedef struct { const float *w, *bias; float *mean, *rstd, eps; } Norm;
typedef struct { float *w, *bias; } NormGrad;
/* dw of w by dout x; x is what a norm put out. */
typedef struct { Linear *dw; const Linear *w; const float *dout; } DwTerm;

Residual residual(Tp *tp, int64_t N, int C, float *norm, float *room, float *part);
/* in (kept_rows,C) <- what this rank keeps of x (N,C); in is all of it where there are no shares.  Local. */
void residual_enter(const Residual *r, float *in, const float *x);
/* x = add and the sum of r->norm that is under way, unless add is NULL; returns all ranks' rows: x, or where there are shares in `all` (N,C). */
float *residual_leave(const Residual *r, float *all, float *x, const float *add);
/* Stripe i: out (N,C) = Norm(x), on its way to all.  add (or NULL): x = add + the sum of r->norm that was started first, for which it waits. */
void residual_norm(const Residual *r, float *out, const Norm *m, float *x, const float *add, int i);
/* r->norm = Norm(x) once more, on its way to all. */
void residual_again(const Residual *r, const Norm *m, const float *x);
/* Waits until all stripes of what is on its way are there. */
void residual_gathered(const Residual *r);
/* Stripe i: dx (N,C) of a norm's input, or with add dx +=, by dout (N,C), of its output; on its way to all.  residual_backward: all
   stripes, waited for.  dw accumulates.  Collective over tp. */
void residual_backward(const Residual *r, float *dx, const NormGrad *dw, const Norm *m, const float *x, const float *dout);
/* The same, adding, where dout is a sum over tp that is not made yet: it is, beside the products of weights by r->norm, which is there.  room as r's. */
void residual_backward_beside(const Residual *r, float *dx, const NormGrad *dw, const Norm *m, const float *x, float *dout,
                              const DwTerm *term, int terms);
