/*
 * pblas.h -- matrices in one block a process, and their products, by ScaLAPACK
 *
 * The ranks of a communicator are a pr x pc grid, rank = r * pc + c.  A (rows, cols) matrix is cut into one
 * block of ceil(rows / pr) x ceil(cols / pc) a process, dense and row-major; the last ones are shorter, or
 * empty.  rows_over_c is the other placement: rows are cut over c, cols over r.
 *
 *     rows over r, 2 x 2     rank 0 | rank 1          rows over c, 2 x 2     rank 0 | rank 2
 *                            -------+-------                                 -------+-------
 *                            rank 2 | rank 3                                 rank 1 | rank 3
 *
 * ScaLAPACK is column-major, and a row-major block is the column-major block of the transpose.  So every
 * descriptor describes the transpose: on a BLACS grid of pc x pr where rows are cut over r, of pr x pc where
 * they are cut over c.  Who calls another routine of ScaLAPACK passes the transposed problem.
 *
 * Bits: the same again on the same grid (BLACS is told to add in a fixed order), for any number of threads (sgemm_ below is
 * ours, by op.product); on another shape of the grid the panels come in another order, and so do the additions.
 * ScaLAPACK keeps buffers for its panels, some of them for good; they are not in any Arena.
 *
 * Source  Choi et al., "A proposal for a set of parallel basic linear algebra subprograms", LAPACK working note 100
 * Tests   tests/dist/test_pblas.c
 */
#pragma once
#include <mpi.h>

#include "core/slice.h"

typedef struct {
    MPI_Comm comm;                      /* its own, whose errors are fatal: BLACS looks at no return code */
    int pr, pc, rank;
    int system;                         /* BLACS' handle of comm */
    int context[2];                     /* BLACS grids: [0] pc x pr for rows over r, [1] pr x pc for rows over c */
} Pblas;

typedef struct {
    float *block;                       /* this rank's, (slice_extent(&slice, 0), slice_extent(&slice, 1)) */
    int    rows, cols;                  /* of the whole */
    bool   rows_over_c;
    Slice  slice;                       /* where the block lies in the whole */
    int    desc[9];                     /* of the transpose */
} PblasMatrix;

/* Collective over comm, whose size is pr * pc: dies otherwise. */
void  pblas_open(Pblas *p, MPI_Comm comm, int pr, int pc);
void  pblas_close(Pblas *p);                                            /* collective over comm */
/* The block of `rank` on a pr x pc grid; empty: an extent of 0.  Local. */
Slice pblas_slice(int rows, int cols, bool rows_over_c, int pr, int pc, int rank);
/* Local; dies if ScaLAPACK refuses the shape. */
PblasMatrix pblas_matrix(const Pblas *p, float *block, int rows, int cols, bool rows_over_c);
/* out = alpha op(a) op(b) + beta out, op(x) = x ('N') or its transpose ('T'); what out held does not matter if beta is 0.
   All three are placed alike, in memory of their own.  Collective over the grid. */
void  pblas_gemm(const PblasMatrix *out, char ta, const PblasMatrix *a, char tb, const PblasMatrix *b, float alpha, float beta);

/* ---- BLACS and ScaLAPACK, which bring no header.  Column-major; indices from 1.  sgemm_ is what PBLAS calls, and ours. ---- */
int  Csys2blacs_handle(MPI_Comm comm);
void Cfree_blacs_system_handle(int handle);
void Cblacs_gridinit(int *context, const char *order, int rows, int cols);
void Cblacs_gridinfo(int context, int *rows, int *cols, int *row, int *col);
void Cblacs_gridexit(int context);
void Cblacs_set(int context, int what, const int *value);
void descinit_(int *desc, const int *m, const int *n, const int *mb, const int *nb, const int *row0, const int *col0,
               const int *context, const int *lld, int *info);
void sgemm_(const char *ta, const char *tb, const int *m, const int *n, const int *k, const float *alpha, const float *a, const int *lda,
            const float *b, const int *ldb, const float *beta, float *c, const int *ldc);
void psgemm_(const char *ta, const char *tb, const int *m, const int *n, const int *k, const float *alpha, const float *a,
             const int *ia, const int *ja, const int *desca, const float *b, const int *ib, const int *jb, const int *descb,
             const float *beta, float *c, const int *ic, const int *jc, const int *descc);
