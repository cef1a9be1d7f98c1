/*
 * muon.h -- Newton-Schulz orthogonalisation of many matrices that lie in blocks on a process grid
 *
 *     X = U / (|U|_F + 1e-7);   five times:  A = X X^T,   B = b A + c A A,   X <- a X + B X
 *     a = 3.4445, b = -4.7750, c = 2.0315
 *
 * brings every singular value near 1 (0.68 to 1.14, unless it is tiny beside |U|_F) and leaves the singular vectors.
 * With more rows than columns A = X^T X and X <- a X + X B, so A has the side s = min(rows, cols).  A zero
 * matrix stays zero; one element that is not finite makes the matrix not finite.
 *
 * Each matrix lies in one block a process (pblas.h) and goes one of three ways:
 *
 *     LOCAL   one process: products where it lies
 *     GRID    products by PBLAS on the blocks where they lie; no rank ever holds a whole matrix
 *     OWNER   gathered on one rank, orthogonalised there, scattered; all matrices of a call travel in one
 *             exchange each way, and their owners share the work
 *
 * The rule: a matrix of more than 64 Mi elements goes by GRID.  The others are dealt to owners, the costliest first;
 * then as many of the costliest go by GRID as makes the whole fastest, by counted flops, those of GRID times
 * 1 + 70 sqrt(ranks) / s (measured: docs/PERF.md).  So many matrices have owners, and what does not balance is shared.
 *
 * Bits: the same again every time.  LOCAL and OWNER give the same bits on any grid, GRID on grids of the same
 * shape only (pblas.h); across shapes rounding differs, some 1e-6.  The rule looks at the grid: who wants the same bits on
 * all grids asks for OWNER (LOCAL on one process) himself.
 *
 * Source  Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; Liu et al., "Muon is
 *         scalable for LLM training", arXiv:2502.16982
 * Tests   tests/dist/test_muon.c, tests/bench/bench_muon.c
 */
#pragma once
#include <mpi.h>

#include "core/base.h"

typedef enum { MUON_LOCAL, MUON_GRID, MUON_OWNER } MuonWay;

typedef struct {
    int  rows, cols;                    /* of the whole matrix */
    bool rows_over_c;                   /* its placement, as in pblas_slice */
} MuonShape;

typedef struct Muon Muon;

/* The way of each of n matrices on a pr x pc grid, by the rule above.  A function of its arguments alone.  Local. */
void   muon_ways(MuonWay *way, const MuonShape *s, int n, int pr, int pc);
/* The owner of each matrix that goes by OWNER, -1 for the others: the costliest first, each to the rank that has the least to do. Local. */
void   muon_owners(int *owner, const MuonShape *s, const MuonWay *way, int n, int ranks);
/* Work space of the rank that needs most, in bytes, without what PBLAS allocates.  Local. */
size_t muon_bytes(const MuonShape *s, const MuonWay *way, int n, int pr, int pc);

/* Bytes that a rank sends in a call, without what PBLAS sends; what it multiplies is added to flops.  Local. */
int64_t muon_sent(const MuonShape *s, const MuonWay *way, int n, int pr, int pc, int rank, double *flops);

/* Rank = r * pc + c; comm must outlive it.  s and way are copied.  Collective over comm; dies unless it has pr * pc ranks. */
Muon  *muon_open(MPI_Comm comm, int pr, int pc, const MuonShape *s, const MuonWay *way, int n);
void   muon_close(Muon *u);             /* collective over comm */
/* block[i]: this rank's block of matrix i (may be NULL where it is empty), overwritten by its block of the result.
   Collective over comm. */
void   muon_orthogonalize(Muon *u, float *const *block);
