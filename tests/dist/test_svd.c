/* Singular values on 1 to 4 ranks against those a matrix was built from, and against LAPACK's dgesvd in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rng.h"
#include "dist/comm.h"
#include "dist/svd.h"

void dgesvd_(const char *u, const char *vt, const int *m, const int *n, double *a, const int *lda, double *s, double *uu,
             const int *ldu, double *vv, const int *ldvt, double *work, const int *lwork, int *info, size_t, size_t);

enum { MOST = 300 };

static Svd svd;

/* ---- a matrix with given values ---- */

/* y -= 2 u u.y / u.u for each row of a (rows,cols), or with `down` for each column; u random. */
static void reflect(double *a, int rows, int cols, bool down, uint64_t stream)
{
    const int n = down ? rows : cols, lines = down ? cols : rows, step = down ? cols : 1, line = down ? 1 : cols;
    double u[MOST], uu = 0;
    for (int i = 0; i < n; i++) {
        u[i] = rng_normal(7, stream, (uint64_t)i);
        uu += u[i] * u[i];
    }
    for (int l = 0; l < lines; l++) {
        double dot = 0;
        for (int i = 0; i < n; i++)
            dot += u[i] * a[l * line + i * step];
        for (int i = 0; i < n; i++)
            a[l * line + i * step] -= 2 * dot / uu * u[i];
    }
}

/* Diagonal of s between three reflections on either side. */
static float *with_values(const double *s, int rows, int cols)
{
    const int n = rows < cols ? rows : cols;
    double *a = calloc((size_t)(rows * cols), sizeof *a);
    float *x = malloc((size_t)(rows * cols) * sizeof *x);
    assert_true(a && x);
    for (int i = 0; i < n; i++)
        a[i * cols + i] = s[i];
    for (uint64_t k = 0; k < 6; k++)
        reflect(a, rows, cols, k % 2, k);
    for (int i = 0; i < rows * cols; i++)
        x[i] = (float)a[i];
    free(a);
    return x;
}

static void lapack(double *s, const float *x, int rows, int cols)
{
    const int m = cols, n = rows, one = 1, lwork = 64 * (rows + cols);     /* row-major: of the transpose, the same values */
    double *a = malloc((size_t)(rows * cols) * sizeof *a), *work = malloc((size_t)lwork * sizeof *work);
    int info;
    assert_true(a && work);
    for (int i = 0; i < rows * cols; i++)
        a[i] = x[i];
    dgesvd_("N", "N", &m, &n, a, &m, s, NULL, &one, NULL, &one, work, &lwork, &info, 1, 1);
    assert_int_equal(info, 0);
    free(a);
    free(work);
}

/* ---- what the ranks find ---- */

/* This rank's slab of the whole matrix x, dense. */
static float *cut(const float *x, int rows, int cols, int64_t *r, int64_t *c)
{
    const Slice mine = svd_slab(&svd, rows, cols), all = slice_whole(2, mine.size);
    float *piece = malloc((size_t)slice_total(&mine) * sizeof *piece + 1);
    assert_non_null(piece);
    assert_int_equal(slice_copy(piece, &mine, x, &all, sizeof *x), slice_total(&mine));
    *r = slice_extent(&mine, 0);
    *c = slice_extent(&mine, 1);
    return piece;
}

static void same_everywhere(const double *s, int n)
{
    double most[MOST];
    memcpy(most, s, (size_t)n * sizeof *s);
    comm_max_f64(svd.comm, most, n);
    assert_memory_equal(most, s, (size_t)n * sizeof *s);
}

static void find(double *s, const float *x, int rows, int cols)
{
    const int n = rows < cols ? rows : cols;
    int64_t r, c;
    float *piece = cut(x, rows, cols, &r, &c);
    for (int i = 0; i < n; i++)
        s[i] = NAN;
    assert_true(svd_values(&svd, s, piece, r, c, svd_dim(rows, cols)));
    same_everywhere(s, n);
    free(piece);
}

/* Eigenvalues of G are good to n eps of the largest, and those of values below SVD_RESOLVED are 0. */
static bool agrees(double s, double truth, double largest, int n)
{
    const double eps = (n + 16) * 2.3e-16, lost = s > 0 ? 0 : SVD_RESOLVED * SVD_RESOLVED;
    return fabs(s * s - truth * truth) <= (eps + lost) * largest * largest;
}

/* built: the values the matrix was built from. */
static void compare(const double *built, int rows, int cols)
{
    const int n = rows < cols ? rows : cols;
    double s[MOST], alone[MOST], truth[MOST], norm = 0;
    float *x = with_values(built, rows, cols);
    find(s, x, rows, cols);
    lapack(truth, x, rows, cols);
    assert_true(svd_values(NULL, alone, x, rows, cols, svd_dim(rows, cols)));
    for (int i = 0; i < n; i++)
        norm += built[i] * built[i];
    for (int i = 0; i < n; i++) {
        /* Rounding a matrix to float moves its values by 2^-24 of its norm at most (Weyl). */
        assert_true(fabs(truth[i] - built[i]) <= 6e-8 * sqrt(norm));
        assert_true(agrees(s[i], truth[i], truth[0], n));
        assert_true(agrees(alone[i], truth[i], truth[0], n));
        assert_true(i == 0 || s[i] <= s[i - 1]);
    }
    free(x);
}

static const int SIZES[][2] = { { 1, 1 }, { 2, 1 }, { 1, 3 }, { 3, 2 }, { 5, 7 }, { 32, 32 }, { 33, 31 }, { 65, 130 }, { 97, 64 },
                                { 300, 70 }, { 70, 300 }, { 257, 257 }, { 290, 289 } };
enum { N_SIZES = sizeof SIZES / sizeof *SIZES };

static void a_slow_decay(void **state)
{
    (void)state;
    double s[MOST];
    for (int k = 0; k < N_SIZES; k++) {
        for (int i = 0; i < MOST; i++)
            s[i] = 3 / (1 + 0.05 * i);
        compare(s, SIZES[k][0], SIZES[k][1]);
    }
}

/* Seven decades, the last of them not resolved, and pairs of equal values. */
static void a_fast_decay(void **state)
{
    (void)state;
    double s[MOST];
    for (int k = 0; k < N_SIZES; k++) {
        const int n = SIZES[k][0] < SIZES[k][1] ? SIZES[k][0] : SIZES[k][1];
        for (int i = 0; i < n; i++)
            s[i] = 1e3 * pow(10, -7.0 * (i / 2 * 2) / n);
        compare(s, SIZES[k][0], SIZES[k][1]);
    }
}

static void few_directions(void **state)
{
    (void)state;
    double s[MOST] = { 5, 4, 4, 1 }, found[MOST];
    compare(s, 257, 257);
    float *x = with_values(s, 97, 64);
    find(found, x, 97, 64);
    for (int i = 4; i < 64; i++)
        assert_true(found[i] == 0);                     /* what rounding to float has left of 0 is not resolved */
    /* Rows that are copies of one another have no other direction at all. */
    for (int i = 1; i < 97; i++)
        memcpy(x + i * 64, x, 64 * sizeof *x);
    find(found, x, 97, 64);
    assert_true(found[0] > 0);
    for (int i = 1; i < 64; i++)
        assert_true(found[i] == 0);
    memset(x, 0, 97 * 64 * sizeof *x);
    find(found, x, 97, 64);
    for (int i = 0; i < 64; i++)
        assert_true(found[i] == 0);
    free(x);
}

static void what_is_not_finite_is_refused_by_all(void **state)
{
    (void)state;
    double s[MOST] = { 2, 1 };
    int64_t r, c;
    float *x = with_values(s, 64, 20);
    x[63 * 20 + 19] = NAN;                              /* on the last rank alone */
    float *piece = cut(x, 64, 20, &r, &c);
    s[0] = 17;
    assert_false(svd_values(&svd, s, piece, r, c, 0));
    assert_true(s[0] == 17);
    free(piece);
    free(x);
}

/* Rows as they come: none on the first rank, the more the higher the rank, fewer in all than columns. */
static void rows_in_any_number(void **state)
{
    (void)state;
    enum { C = 70 };
    const int here = 5 * svd.rank, all = 5 * svd.size * (svd.size - 1) / 2, first = 5 * svd.rank * (svd.rank - 1) / 2;
    float x[MOST * C], whole[MOST * C];
    double s[C], truth[C] = { 0 }, mean[C] = { 0 };
    for (int i = 0; i < all * C; i++) {
        whole[i] = (float)(rng_normal(3, 0, (uint64_t)i) + 10);
        mean[i % C] += whole[i] / (double)all;
    }
    memcpy(x, whole + first * C, (size_t)(here * C) * sizeof *x);
    assert_int_equal(svd_centre(&svd, x, here, C), all);
    for (int i = 0; i < here * C; i++)                  /* a float near 10, rounded once */
        assert_true(fabs(x[i] - (whole[first * C + i] - mean[i % C])) < 1e-6);
    assert_true(svd_values(&svd, s, x, here, C, 0));
    same_everywhere(s, C);
    for (int i = 0; i < all * C; i++)
        whole[i] = (float)(whole[i] - mean[i % C]);
    if (all)
        lapack(truth, whole, all, C);
    for (int i = 0; i < C; i++)
        assert_true(agrees(s[i], truth[i], truth[0], C));
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    svd_open(&svd, MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_decay),
        cmocka_unit_test(a_fast_decay),
        cmocka_unit_test(few_directions),
        cmocka_unit_test(what_is_not_finite_is_refused_by_all),
        cmocka_unit_test(rows_in_any_number),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    svd_close(&svd);
    MPI_Finalize();
    return failed;
}
