/* Blocks on grids of every shape that the ranks make, and products of them against loops in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops.h"
#include "core/rng.h"
#include "dist/comm.h"
#include "dist/pblas.h"
#include "tests/core/dies.h"

enum { MOST = 64 };                                 /* rows and cols */

static int size;

/* f for each grid of `size` processes. */
static void on_every_grid(void (*f)(const Pblas *p))
{
    for (int pr = 1; pr <= size; pr++) {
        if (size % pr)
            continue;
        Pblas p;
        pblas_open(&p, MPI_COMM_WORLD, pr, size / pr);
        f(&p);
        pblas_close(&p);
    }
}

static float value(int seed, int i, int j) { return (float)(2 * rng_uniform(5, (uint64_t)seed, (uint64_t)(i * MOST + j)) - 1); }

/* A matrix of pseudo-random numbers; its block has room for what is after it, which must stay. */
static PblasMatrix matrix(const Pblas *p, int seed, int rows, int cols, bool rows_over_c)
{
    PblasMatrix m = pblas_matrix(p, NULL, rows, cols, rows_over_c);
    const int64_t nr = slice_extent(&m.slice, 0), nc = slice_extent(&m.slice, 1);
    m.block = malloc((size_t)(nr * nc + 1) * sizeof *m.block);
    assert_non_null(m.block);
    for (int64_t i = 0; i < nr; i++)
        for (int64_t j = 0; j < nc; j++)
            m.block[i * nc + j] = value(seed, (int)(m.slice.start[0] + i), (int)(m.slice.start[1] + j));
    m.block[nr * nc] = 12345;
    return m;
}

static void check_gemm(const Pblas *p, char ta, char tb, int m, int n, int k, bool rows_over_c, float alpha, float beta)
{
    const bool na = ta == 'N', nb = tb == 'N';
    PblasMatrix a = matrix(p, 1, na ? m : k, na ? k : m, rows_over_c), b = matrix(p, 2, nb ? k : n, nb ? n : k, rows_over_c);
    PblasMatrix out = matrix(p, 3, m, n, rows_over_c);
    const int64_t nr = slice_extent(&out.slice, 0), nc = slice_extent(&out.slice, 1);
    if (beta == 0)
        for (int64_t i = 0; i < nr * nc; i++)
            out.block[i] = NAN;
    pblas_gemm(&out, ta, &a, tb, &b, alpha, beta);
    for (int64_t i = 0; i < nr; i++)
        for (int64_t j = 0; j < nc; j++) {
            const int gi = (int)(out.slice.start[0] + i), gj = (int)(out.slice.start[1] + j);
            double sum = 0;
            for (int q = 0; q < k; q++)
                sum += (double)(na ? value(1, gi, q) : value(1, q, gi)) * (nb ? value(2, q, gj) : value(2, gj, q));
            const double want = alpha * sum + beta * value(3, gi, gj);
            /* k + 2 roundings of partial sums that stay below k + 2, each 6e-8 of it at most. */
            assert_true(fabs(out.block[i * nc + j] - want) <= 6e-8 * (k + 2) * (k + 2));
        }
    assert_true(out.block[nr * nc] == 12345);
    free(a.block);
    free(b.block);
    free(out.block);
}

static void products(const Pblas *p)
{
    /* Odd blocks; fewer rows than processes; a last process whose block is empty (5 in blocks of 2 over 4). */
    const int shapes[][3] = { { 13, 17, 11 }, { 1, 9, 30 }, { 40, 2, 5 }, { 5, 5, 5 }, { 48, 36, 60 }, { 33, 1, 1 } };
    for (int s = 0; s < 6; s++)
        for (int t = 0; t < 8; t++)
            check_gemm(p, "NT"[t & 1], "NT"[t >> 1 & 1], shapes[s][0], shapes[s][1], shapes[s][2], t >> 2, s & 1 ? 1 : -0.7f,
                       s & 2 ? 0 : 1.5f);
}

static void products_on_every_grid(void **state)
{
    (void)state;
    on_every_grid(products);
}

/* Every element lies in one block, and the descriptors say what the slices say: numroc is in BLACS' grid coordinates. */
static void blocks(const Pblas *p)
{
    const int shapes[][2] = { { 12, 24 }, { 5, 7 }, { 1, 3 }, { 9, 2 } };
    for (int s = 0; s < 4; s++)
        for (int over_c = 0; over_c < 2; over_c++) {
            PblasMatrix m = pblas_matrix(p, NULL, shapes[s][0], shapes[s][1], over_c);
            double held = (double)slice_total(&m.slice);
            comm_sum_f64(MPI_COMM_WORLD, &held, 1);
            assert_true(held == shapes[s][0] * shapes[s][1]);
            int rows, cols, row, col;
            Cblacs_gridinfo(p->context[over_c], &rows, &cols, &row, &col);
            assert_true(rows == (over_c ? p->pr : p->pc) && cols == (over_c ? p->pc : p->pr));
            assert_true(m.slice.start[0] == min64(shapes[s][0], (int64_t)col * m.desc[5]));
            assert_true(m.slice.start[1] == min64(shapes[s][1], (int64_t)row * m.desc[4]));
        }
}

static void blocks_cover_the_matrix(void **state)
{
    (void)state;
    on_every_grid(blocks);
}

static void repeats(const Pblas *p)
{
    PblasMatrix a = matrix(p, 1, MOST, MOST, false), out = matrix(p, 2, MOST, MOST, false), again = matrix(p, 3, MOST, MOST, false);
    pblas_gemm(&out, 'N', &a, 'T', &a, 1, 0);
    for (int i = 0; i < 5; i++) {
        pblas_gemm(&again, 'N', &a, 'T', &a, 1, 0);
        assert_memory_equal(again.block, out.block, (size_t)slice_total(&out.slice) * sizeof *out.block);
    }
    free(a.block);
    free(out.block);
    free(again.block);
}

static void the_same_bits_again(void **state)
{
    (void)state;
    on_every_grid(repeats);
}

/* PBLAS multiplies by our sgemm_, or OpenBLAS' own threads would round these otherwise. */
static void threads(const Pblas *p)
{
    enum { ROWS = 701, COLS = 517 };
    PblasMatrix a = matrix(p, 1, ROWS, COLS, false), out = matrix(p, 2, ROWS, ROWS, false), again = matrix(p, 3, ROWS, ROWS, false);
    for (int n = 1; n <= 3; n++) {
        ops_use(&OPS_CPU, n);
        pblas_gemm(n == 1 ? &out : &again, 'N', &a, 'T', &a, 1, 0);
        assert_true(n == 1 || !memcmp(out.block, again.block, (size_t)slice_total(&out.slice) * sizeof *out.block));
    }
    ops_use(&OPS_CPU, 1);
    free(a.block);
    free(out.block);
    free(again.block);
}

static void the_same_bits_with_more_threads(void **state)
{
    (void)state;
    on_every_grid(threads);
}

static void a_grid_of_other_size_dies(void **state)
{
    (void)state;
    Pblas p;
    assert_true(DIES(pblas_open(&p, MPI_COMM_WORLD, size, 2)));
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    ops_use(&OPS_CPU, 1);
    size = comm_size(MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_on_every_grid),
        cmocka_unit_test(blocks_cover_the_matrix),
        cmocka_unit_test(the_same_bits_again),
        cmocka_unit_test(the_same_bits_with_more_threads),
        cmocka_unit_test(a_grid_of_other_size_dies),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
