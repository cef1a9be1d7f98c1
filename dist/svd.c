#include "dist/svd.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/blas.h"
#include "dist/comm.h"

enum { NB = 32 /* block of G */, PANEL = 8 * NB /* columns of G at once */, DEPTH = 512 /* rows of W made double at once */ };

/* Fortran passes the length of each text behind the other arguments. */
void dsyevd_(const char *job, const char *part, const int *n, double *a, const int *lda, double *w, double *work,
             const int *lwork, int *iwork, const int *liwork, int *info, size_t, size_t);
void pdsyev_(const char *job, const char *part, const int *n, double *a, const int *ia, const int *ja, const int *desc,
             double *w, double *z, const int *iz, const int *jz, const int *descz, double *work, const int *lwork, int *info,
             size_t, size_t);

static const Svd ALONE = { .size = 1, .rows = 1, .cols = 1 };

void svd_open(Svd *v, MPI_Comm comm)
{
    *v = (Svd){ .comm = comm, .rank = comm_rank(comm), .size = comm_size(comm), .rows = 1 };
    for (int p = 2; p * p <= v->size; p++)
        if (v->size % p == 0)
            v->rows = p;
    v->cols = v->size / v->rows;
    v->row = v->rank / v->cols;
    v->col = v->rank % v->cols;
    pblas_open(&v->blas, comm, v->rows, v->cols);
}

void svd_close(Svd *v)
{
    pblas_close(&v->blas);
    *v = (Svd){ 0 };
}

int svd_dim(int64_t rows, int64_t cols) { return rows < cols; }

Slice svd_slab(const Svd *v, int64_t rows, int64_t cols)
{
    const int     dim = svd_dim(rows, cols);
    const int64_t size[2] = { rows, cols };
    const int64_t first = size[dim] * v->rank / v->size, end = size[dim] * (v->rank + 1) / v->size;
    return slice_range(slice_whole(2, size), dim, first, end - first);
}

static double *room(int64_t n)
{
    double *x = calloc((size_t)max64(n, 1), sizeof *x);
    CHECK(x, "no memory for %lld numbers of a covariance", (long long)n);
    return x;
}

/* ---- G, block by block ---- */

/* How many of n indices, dealt by blocks over `parts`, are of part `me`. */
static int dealt(int n, int me, int parts)
{
    const int blocks = n / NB, mine = blocks / parts, odd = blocks % parts;
    return mine * NB + (me < odd ? NB : me == odd ? n % NB : 0);
}

/* This rank's part of the n columns-or-rows that meet in G. */
typedef struct {
    const float *x;
    int64_t      rows, cols;       /* of x */
    int          dim;              /* 0: G = X^T X, sums run over rows; 1: G = X X^T, over columns */
} Part;

/* tile (w, n - j0) row-major = rows j0 ... of G, from column j0 on: what this rank's part adds to them. */
static void panel(double *tile, double *chunk, const Part *p, int n, int j0, int w)
{
    const int     m = n - j0;
    const int64_t depth = p->dim ? p->cols : p->rows;
    memset(tile, 0, (size_t)w * (size_t)m * sizeof *tile);
    for (int64_t k0 = 0; k0 < depth; k0 += DEPTH) {
        const int     K = (int)min64(DEPTH, depth - k0), lead = p->dim ? K : m, lines = p->dim ? m : K;
        const float  *from = p->x + (p->dim ? j0 * p->cols + k0 : k0 * p->cols + j0);
        for (int64_t i = 0; i < lines; i++)
            for (int64_t j = 0; j < lead; j++)
                chunk[i * lead + j] = from[i * p->cols + j];
        cblas_dgemm(CblasRowMajor, p->dim ? CblasNoTrans : CblasTrans, p->dim ? CblasTrans : CblasNoTrans, w, m, K, 1,
                    chunk, lead, chunk, lead, 1, tile, m);
    }
}

/* Copies from a panel what is this rank's of G's lower triangle, column-major with leading dimension ld. */
static void keep(double *g, int ld, const Svd *v, const double *tile, int n, int j0, int w)
{
    for (int j = j0; j < j0 + w; j++) {
        const double *from = tile + (int64_t)(j - j0) * (n - j0);
        double *to = g + (int64_t)(j / NB / v->cols * NB + j % NB) * ld;
        for (int b = j / NB; j / NB % v->cols == v->col && b * NB < n; b++) {
            const int i = b * NB < j ? j : b * NB, end = (int)min64(n, (int64_t)(b + 1) * NB);
            if (b % v->rows == v->row)
                memcpy(to + b / v->rows * NB + i % NB, from + i - j0, (size_t)(end - i) * sizeof *to);
        }
    }
}

/* ---- its eigenvalues, smallest first ---- */

static void values_alone(double *w, double *g, int n)
{
    double need;
    int    few, info = 0, all = -1;
    dsyevd_("N", "L", &n, g, &n, w, &need, &all, &few, &all, &info, 1, 1);
    const int lwork = (int)need;
    double *work = room(lwork);
    int *iwork = calloc((size_t)few, sizeof *iwork);
    CHECK(iwork, "no memory for eigenvalues");
    dsyevd_("N", "L", &n, g, &n, w, work, &lwork, iwork, &few, &info, 1, 1);
    CHECK(info == 0, "dsyevd found no eigenvalues of a matrix of %d (info %d)", n, info);
    free(iwork);
    free(work);
}

static void values_on_grid(double *w, double *g, int n, int ld, const Svd *v)
{
    const int one = 1, zero = 0, nb = NB, ask = -1;
    int       desc[9], info = 0;
    double    need, none;
    descinit_(desc, &n, &n, &nb, &nb, &zero, &zero, &v->blas.context[1], &ld, &info);
    ASSERT(info == 0);
    pdsyev_("N", "L", &n, g, &one, &one, desc, w, &none, &one, &one, desc, &need, &ask, &info, 1, 1);
    const int lwork = (int)need;
    double *work = room(lwork);
    pdsyev_("N", "L", &n, g, &one, &one, desc, w, &none, &one, &one, desc, work, &lwork, &info, 1, 1);
    /* n + 1: processes found other last bits of the same values, which is why rank 0's are taken. */
    CHECK(info == 0 || info == n + 1, "pdsyev found no eigenvalues of a matrix of %d (info %d)", n, info);
    free(work);
    comm_bcast(v->comm, w, (size_t)n * sizeof *w, 0);
}

/* ---- the values ---- */

static bool all_finite(const Svd *v, const float *x, int64_t n)
{
    double bad = 0;
    for (int64_t i = 0; i < n && !bad; i++)
        bad = !isfinite(x[i]);
    if (v->size > 1)
        comm_max_f64(v->comm, &bad, 1);
    return !bad;
}

bool svd_values(const Svd *v, double *s, const float *x, int64_t rows, int64_t cols, int dim)
{
    const Part part = { x, rows, cols, dim };
    const int  n = (int)(dim ? rows : cols);
    if (!v)
        v = &ALONE;
    if (!all_finite(v, x, rows * cols))
        return false;
    if (n == 0)
        return true;
    blas_threads(omp_get_max_threads());        /* LAPACK and dgemm: no bits are promised for spectra */
    const int lr = dealt(n, v->row, v->rows), lc = dealt(n, v->col, v->cols), ld = lr > 1 ? lr : 1;
    double *g = room((int64_t)ld * lc), *w = room(n);
    double *tile = room((int64_t)PANEL * n), *chunk = room((int64_t)DEPTH * n);
    for (int j0 = 0; j0 < n; j0 += PANEL) {
        const int width = n - j0 < PANEL ? n - j0 : PANEL;
        panel(tile, chunk, &part, n, j0, width);
        if (v->size > 1)
            comm_sum_f64(v->comm, tile, (int64_t)width * (n - j0));
        keep(g, ld, v, tile, n, j0, width);
    }
    free(tile);
    free(chunk);
    if (v->size > 1)
        values_on_grid(w, g, n, ld, v);
    else
        values_alone(w, g, n);
    /* Rounding leaves a zero of G at about 1e-16 of its largest value, of either sign. */
    for (int i = 0; i < n; i++) {
        const double value = sqrt(fmax(w[n - 1 - i], 0)), largest = sqrt(fmax(w[n - 1], 0));
        s[i] = value >= SVD_RESOLVED * largest ? value : 0;
    }
    free(g);
    free(w);
    blas_threads(1);
    return true;
}

int64_t svd_centre(const Svd *v, float *x, int64_t rows, int64_t cols)
{
    double *mean = room(cols + 1);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            mean[j] += x[i * cols + j];
    mean[cols] = (double)rows;
    comm_sum_f64(v->comm, mean, cols + 1);
    const double n = mean[cols];
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            x[i * cols + j] = (float)(x[i * cols + j] - mean[j] / n);
    free(mean);
    return (int64_t)n;
}
