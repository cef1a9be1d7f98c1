/*
 * matrices.h -- the matrices that Muon owns on this grid, and one update of all of them
 *
 *     m <- mu m + s g      u = s g + mu m      w <- w - lr (0.2 sqrt(max(rows,cols)) NS(u) + decay w)
 *
 * Momentum and u are worked out where the gradient's shares are (zero.h); then the matrices go to where they are orthogonalised
 * (regroup.h, muon.h), and the result comes back to the shares, whose owners update their weights:
 *
 *     one owner (canonical)      split by tp          the owner's tp group, a 1 x tp grid
 *                                replicated           each of the owner's tp ranks, by itself
 *     blocks (fast)              split by tp          all ranks, the dp x tp grid or its transpose
 *                                replicated           each dp group, a dp x 1 grid
 *     kv heads with copies       one owner            put together on each of the owner's tp ranks, which then take their piece
 *
 * With one owner the bits do not depend on the number of replicas.  Owners get the costliest first, each to the one that has least.
 *
 * Source  Jordan et al., "Muon", 2024; Liu et al., arXiv:2502.16982 (the factor); docs/PARALLEL.md
 * Tests   tests/dist/test_optim.c
 */
#pragma once
#include "dist/zero.h"

typedef struct Matrices Matrices;

typedef struct { float lr, momentum, decay, gscale; } MatricesConf;

/* Those of muon (n).  Collective over g->world; z, muon and g must outlive it. */
Matrices *matrices_open(const Zero *z, const bool *muon, const Grid *g, bool canonical);
void      matrices_close(Matrices *x);             /* NULL is fine; collective over world */
/* One update of this rank's shares; the moment of its share of section k begins at m + m_at[k].  grads are used up.  Collective over
   world. */
void      matrices_step(Matrices *x, float *weights, float *grads, float *m, const int64_t *m_at, const MatricesConf *c);
/* Bytes that matrices_open takes; elements of the flat gradient outside of this rank's shares that matrices_step writes.  Local, without MPI. */
size_t    matrices_memory(const Zero *z, const bool *muon, bool canonical);
int64_t   matrices_landed(const Zero *z, const bool *muon, bool canonical);
/* Bytes that this rank sends in a step, by axis, without what PBLAS does; flops of the orthogonalisations that it computes. */
typedef struct { int64_t tp, dp, world; double flops; } MatricesBytes;
MatricesBytes matrices_bytes(const Zero *z, const bool *muon, bool canonical);         /* Local, without MPI */
