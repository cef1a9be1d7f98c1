/* The process grid and the door between tensor-parallel ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/rng.h"
#include "dist/comm.h"
#include "dist/tp.h"

static int rank, size;

static double sum_over(MPI_Comm comm, double x)
{
    comm_sum_f64(comm, &x, 1);
    return x;
}

static void axes_are_where_the_formula_says(void **state)
{
    (void)state;
    for (int tp = 1; tp <= size; tp++) {
        if (size % tp)
            continue;
        Grid g;
        grid_open(&g, MPI_COMM_WORLD, tp);
        /* Who shares a group with me: each rank brings a bit of its own. */
        double in_tp = sum_over(g.tp, 1 << g.rank), in_dp = sum_over(g.dp, 1 << g.rank);
        double in_node = sum_over(g.node, 1), in_world = sum_over(g.world, 1);
        int all[3][3] = { { comm_rank(g.world), comm_rank(g.dp), comm_rank(g.tp) },
                          { comm_size(g.world), comm_size(g.dp), comm_size(g.tp) } };
        int want_tp = 0, want_dp = 0;
        for (int r = 0; r < size; r++) {
            want_tp |= (r / tp == rank / tp) << r;
            want_dp |= (r % tp == rank % tp) << r;
        }
        assert_int_equal((int)in_tp, want_tp);
        assert_int_equal((int)in_dp, want_dp);
        assert_int_equal((int)in_world, size);
        assert_int_equal((int)in_node, g.node_size);
        assert_true(g.node_rank >= 0 && g.node_rank < g.node_size);
        assert_int_equal(g.rank, rank);
        assert_int_equal(g.rank, g.dp_rank * g.tp_size + g.tp_rank);
        assert_int_equal(g.tp_size, tp);
        assert_int_equal(g.dp_size * tp, g.size);
        assert_true(all[0][0] == g.rank && all[0][1] == g.dp_rank && all[0][2] == g.tp_rank);
        assert_true(all[1][0] == g.size && all[1][1] == g.dp_size && all[1][2] == g.tp_size);
        grid_close(&g);
    }
}

static jmp_buf back;
static void jump(int code) { longjmp(back, code); }

static void a_grid_that_does_not_divide_dies(void **state)
{
    (void)state;
    const int bad[] = { 0, size + 1 };
    for (volatile int i = 0; i < 2; i++) {
        Grid g;
        die_hook = jump;
        int code = setjmp(back);
        if (code == 0)
            grid_open(&g, MPI_COMM_WORLD, bad[i]);
        die_hook = NULL;
        assert_int_equal(code, EXIT_INTERNAL);
    }
}

static void the_door_sums_over_tp_only(void **state)
{
    (void)state;
    enum { N = 100 };
    for (int ranks = 1; ranks <= size; ranks++) {
        if (size % ranks)
            continue;
        Grid g;
        grid_open(&g, MPI_COMM_WORLD, ranks);
        Tp tp = tp_door(&g);
        float sum[N], max[N];
        for (int i = 0; i < N; i++)
            sum[i] = max[i] = (float)(rank * N - i);
        tp.sum(&tp, sum, N);
        tp.max(&tp, max, N);
        assert_int_equal(tp.rank, rank % ranks);
        assert_int_equal(tp.size, ranks);
        int first = rank - rank % ranks, last = first + ranks - 1;
        for (int i = 0; i < N; i++) {
            assert_true(sum[i] == (float)(ranks * ((first + last) * N - 2 * i)) / 2);
            assert_true(max[i] == (float)(last * N - i));
        }
        grid_close(&g);
    }
}

/* Doubles cross as floats and are whole again: sums as one rank would add them up, to the last bit, for any number of them. */
static void doubles_are_summed_exactly(void **state)
{
    (void)state;
    enum { N = 1100 };
    Grid g;
    grid_open(&g, MPI_COMM_WORLD, size);
    Tp tp = tp_door(&g);
    static double x[N];
    for (int i = 0; i < N; i++)
        x[i] = rng_normal(1, (uint64_t)rank, (uint64_t)i) * (i % 3 ? 1 : 1e20);
    x[0] = 16777217 + 0x1p-28;                             /* 53 bits */
    tp_sum_f64(&tp, x, N);
    for (int i = 0; i < N; i++) {
        double want = 0;
        for (int r = 0; r < size; r++)
            want += i ? rng_normal(1, (uint64_t)r, (uint64_t)i) * (i % 3 ? 1 : 1e20) : 16777217 + 0x1p-28;
        assert_true(x[i] == want);
    }
    tp_sum_f64(&tp, x, 0);
    grid_close(&g);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    rank = comm_rank(MPI_COMM_WORLD);
    size = comm_size(MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes_are_where_the_formula_says),
        cmocka_unit_test(a_grid_that_does_not_divide_dies),
        cmocka_unit_test(the_door_sums_over_tp_only),
        cmocka_unit_test(doubles_are_summed_exactly),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
