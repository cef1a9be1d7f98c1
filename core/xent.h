/*
 * xent.h -- a linear head and its softmax cross-entropy, forward and backward in one pass over row chunks
 *
 *     z = x w^T + b                                          (N,V), never whole: `chunk` rows of Vl columns live at once
 *     loss  = sum_n log sum_v exp(z[n,v]) - z[n,y[n]]
 *     dz[n,v] = (exp(z[n,v]) / sum_u exp(z[n,u]) - [v == y[n]]) * scale
 *     dx = dz w,   dw += dz^T x,   db += sum_n dz
 *
 * With soft targets class y stands for a distribution p over m classes (rqhead.h):
 *     loss  = sum_n log sum_v exp(z[n,v]) - sum_i p[y,i] z[n,id[y,i]],   and p takes the place of [v == y[n]] in dz
 *
 * Rank r holds the rows v0 <= v < v0 + Vl of w, v0 = r * Vl.  Nobody ever sees a whole row of z: three numbers
 * per row cross the network (max, sum of exp, the target's logit), and dx is summed.
 *
 * Dims    N rows     I input width     V vocabulary or codebook     Vl = V / tp->size
 * Source  Megatron-LM, arXiv:1909.08053, section 3
 * Tests   tests/core/test_model.c, test_rqhead.c (finite differences), tests/core/test_ops_loss.c (two halves = whole)
 */
#pragma once
#include "core/arena.h"
#include "core/ops.h"
#include "core/par.h"

typedef struct {
    int    chunk;
    float *z, *max, *sum, *target;         /* (chunk,Vl) (chunk) x 3 */
} XentWork;

/* Work space for vocabularies up to V. */
void xent_work(XentWork *t, Arena *a, int V, const Tp *tp);

/* Sum of the rows' losses.  Every y is a valid id; soft (V,m), the same on every rank, or NULL: y itself is the target.
   dx NULL: forward only; else dx (N,I) is overwritten and dw accumulates.  w: this rank's V / tp->size rows.  Collective over tp. */
double xent_rows(float *dx, Linear *dw, const float *x, const Linear *w, const int32_t *y, const XentSoft *soft, int64_t N,
                 float scale, XentWork *t, Tp *tp);
