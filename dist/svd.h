/*
 * svd.h -- singular values of a matrix that lies in slabs on the ranks, by ScaLAPACK
 *
 *     W (m,n), m >= n      G = W^T W (n,n) = V diag(lambda) V^T      s_i = sqrt(lambda_i), largest first
 *
 * Each rank holds some of the rows (a wide matrix: some of the columns, and G = W W^T); nobody needs a whole W or G.
 * Panels of G's columns are computed from the rank's own rows, summed over ranks, and each rank keeps what is its own
 * of a block-cyclic G: blocks of 32 x 32 on the squarest grid of processes.  p?syev takes the values from there.
 *
 *     rank 0 | rows 0 ...   |    T = sum over ranks W_r^T W_r[:, panel]        G  0 1 0 1     grid 2 x 2
 *     rank 1 | rows ...     |    (n - j0, 256) in double                          2 3 2 3
 *     rank 2 | ...          |                                                     0 1 0 1
 *
 * Accuracy.  Products of floats are exact in double, and lambda_i is good to n eps lambda_1, so s_i to
 * n eps s_1^2 / 2 s_i at worst; what lies below SVD_RESOLVED s_1 is returned as 0.  p?gesvd in float would be good to
 * some 1e-6 s_1; in double, on a tall matrix, it takes three times the flops, most of them bound by memory.
 *
 * The same values on every rank, bit for bit; on another number of ranks the last bits of G differ.
 *
 * Source  Golub and Van Loan, Matrix Computations, 4th ed., 8.6; Blackford et al., ScaLAPACK Users' Guide, 1997
 * Tests   tests/dist/test_svd.c (1 to 4 ranks, vs LAPACK's dgesvd and values known by construction)
 */
#pragma once
#include "dist/pblas.h"

#define SVD_RESOLVED 1e-6

typedef struct {
    MPI_Comm comm;
    int      rank, size;
    int      rows, cols, row, col;                 /* the grid of processes, and this one's place in it */
    Pblas    blas;                                 /* its context[1] is that grid */
} Svd;

/* Collective over comm, which must outlive v. */
void  svd_open(Svd *v, MPI_Comm comm);
void  svd_close(Svd *v);

/* The dim of a (rows,cols) matrix that is dealt over the ranks, the longer one: 0 rows, 1 columns.  Local. */
int   svd_dim(int64_t rows, int64_t cols);
/* This rank's slab of it, equal ones but for the rounding; empty where there are more ranks than rows.  Local. */
Slice svd_slab(const Svd *v, int64_t rows, int64_t cols);

/* s (n) <- the singular values, largest first, of the matrix whose dim `dim` is dealt over the ranks; n is its other dim.
   x (rows,cols) dense, this rank's part, rows and columns in any order and number; not changed.  s has n entries even
   where the dealt dim is shorter: the rest are 0.  False, on all ranks, if an element is not finite; s is then untouched.
   Collective over v->comm; v NULL: x is the whole matrix, Local.  Dies without memory. */
bool  svd_values(const Svd *v, double *s, const float *x, int64_t rows, int64_t cols, int dim);

/* Takes the mean of all ranks' rows off every row of x (rows,cols); returns how many rows there are.  Collective over
   v->comm. */
int64_t svd_centre(const Svd *v, float *x, int64_t rows, int64_t cols);
