/* The process grid and the door between tensor-parallel ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/join.h"
#include "core/ops.h"
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
        Tp tp = tp_door(&g, 0);
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

/* ---- sums in two phases ---- */

enum { MOST = 50001 };
static float addend(int r, int k, int i) { return (float)rng_normal(3, (uint64_t)(100 * r + k), (uint64_t)i); }

static void fill(float *x, int k, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = addend(rank, k, i);
}

/* Ranks [first, last) of the tree, as dist/tp.h says: the left child has the largest power of two that is smaller. */
static float subtree(int first, int last, int k, int i)
{
    int left = 1;
    if (last - first == 1)
        return addend(first, k, i);
    while (2 * left < last - first)
        left *= 2;
    return subtree(first, first + left, k, i) + subtree(first + left, last, k, i);
}

static void check_sum(const float *x, int k, int n)
{
    for (int i = 0; i < n; i++)
        assert_true(x[i] == subtree(0, size, k, i));
}

/* As many as may be under way, of all sizes, with blocking ones and looks in between: whenever they are waited for, they have the
   bits of the tree, hence in two stripes those of one. */
static void a_sum_that_is_waited_for_late_has_the_same_bits(void **state)
{
    (void)state;
    static float x[UNDER_WAY][MOST], room[UNDER_WAY][MOST], blocking[MOST];
    static const int N[] = { MOST, 1, 0, 7, 1000, 3 };
    Grid g;
    grid_open(&g, MPI_COMM_WORLD, size);
    Tp tp = tp_door(&g, 0);
    for (int turn = 0; turn < 3; turn++) {
        for (int k = 0; k < UNDER_WAY; k++) {
            fill(x[k], k, N[k % 6]);
            tp.sum_start(&tp, x[k], room[k], N[k % 6]);
            if (turn == 1)
                tp.sum(&tp, blocking, k % 2 ? 10 : MOST);
            if (turn == 2 && rank % 2)
                tp.sum_start(&tp, NULL, NULL, 0);              /* looks are local */
        }
        for (int k = 0; k < UNDER_WAY; k++) {
            tp.wait(&tp);
            check_sum(x[k], k, N[k % 6]);
        }
    }
    fill(x[0], 0, MOST);
    tp.sum_start(&tp, x[0], room[0], 20000);
    tp.sum_start(&tp, x[0] + 20000, room[0] + 20000, MOST - 20000);
    tp.wait(&tp);
    tp.wait(&tp);
    check_sum(x[0], 0, MOST);
    grid_close(&g);
}

/* Short, long, and of several pieces with a short rest: they have the same bits, and cost what is said beforehand. */
static void a_sum_that_is_waited_for_at_once_has_them_too(void **state)
{
    (void)state;
    enum { LARGE = 2 * TP_PIECE + 5 };
    const int N[] = { 0, 1, 5, TP_SHORT / size, TP_SHORT / size + 1, MOST, LARGE };
    float *x = malloc(LARGE * sizeof *x);
    Grid g;
    grid_open(&g, MPI_COMM_WORLD, size);
    Tp tp = tp_door(&g, 0);
    for (size_t i = 0; i < sizeof N / sizeof *N; i++) {
        const CommCount before = comm_count[AXIS_TP];
        int64_t calls = 0, bytes = 0;
        for (int left = N[i], n; left > 0 && size > 1; left -= n) {
            int64_t c = 1, b;
            n = (int)min64(left, TP_PIECE);
            b = 4 * (int64_t)n * (size - 1);
            if (!tp_sum_short(n, size))
                tp_sum_cost(&c, &b, n, rank, size);
            calls += c, bytes += b;
        }
        fill(x, 2, N[i]);
        tp.sum(&tp, x, N[i]);
        check_sum(x, 2, N[i]);
        assert_int_equal(comm_count[AXIS_TP].calls - before.calls, calls);
        assert_int_equal(comm_count[AXIS_TP].bytes - before.bytes, bytes);
    }
    free(x);
    grid_close(&g);
}

/* Leaves that the ranks share alike: a power of two that tp divides. */
static void blocks_divide_among_ranks(void **state)
{
    (void)state;
    static const int BLOCKS[] = { 0, 8, 64, 3, 6, 128, -8 };
    const bool power = (size & (size - 1)) == 0;
    Grid g;
    grid_open(&g, MPI_COMM_WORLD, size);
    for (volatile int i = 0; i < 7; i++) {
        const int blocks = BLOCKS[i];
        Tp tp = { .leaves = -1 };
        die_hook = jump;
        const int code = setjmp(back);
        if (code == 0)
            tp = tp_door(&g, blocks);
        die_hook = NULL;
        if (i == 0 || (i < 3 && power && blocks >= size))
            assert_true(code == 0 && tp.leaves == blocks / size);
        else
            assert_int_equal(code, EXIT_INTERNAL);
    }
    grid_close(&g);
}

/* What comm counts of it is what is said of it beforehand. */
static void its_cost_is_known(void **state)
{
    (void)state;
    static float x[MOST], room[MOST];
    Grid g;
    grid_open(&g, MPI_COMM_WORLD, size);
    Tp tp = tp_door(&g, 0);
    for (int n = 0; n <= MOST; n = 9 * n + 1) {
        const CommCount before = comm_count[AXIS_TP];
        int64_t calls, bytes;
        tp_sum_cost(&calls, &bytes, n, rank, size);
        tp.sum_start(&tp, x, room, n);
        tp.wait(&tp);
        assert_int_equal(comm_count[AXIS_TP].calls - before.calls, calls);
        assert_int_equal(comm_count[AXIS_TP].bytes - before.bytes, bytes);
    }
    grid_close(&g);
}

/* Only this rank's share is sure to be a sum. */
static void check_share(const float *x, int k, int n, int64_t each)
{
    for (int64_t i = min64(n, rank * each); i < min64(n, (rank + 1) * each); i++)
        assert_true(x[i] == subtree(0, size, k, (int)i));
}

/* Of equal shares, of larger ones of which the last ranks get none, and of one rank's; between them sums, which a gather may not overtake.  What
   comm counts of it all is what is said beforehand. */
static void a_scatter_and_a_gather_are_a_sum(void **state)
{
    (void)state;
    enum { A = 50000, B = 49999, C = MOST };
    static float a[A], b[B], c[C], room[3][8 * MOST];
    Grid g;
    grid_open(&g, MPI_COMM_WORLD, size);
    Tp tp = tp_door(&g, 0);
    const int64_t shares[] = { ceil_div(A, size), ceil_div(A, size) + 1000, A };
    for (int i = 0; i < 3; i++) {
        const int64_t each = shares[i];
        const CommCount before = comm_count[AXIS_TP];
        int64_t calls[5] = { 0 }, bytes[5] = { 0 };
        if (size > 1) {
            tp_scatter_cost(&calls[0], &bytes[0], A, each, rank), tp_gather_cost(&calls[1], &bytes[1], A, each, rank, size);
            tp_scatter_cost(&calls[2], &bytes[2], B, each, rank), tp_gather_cost(&calls[3], &bytes[3], B, each, rank, size);
            tp_sum_cost(&calls[4], &bytes[4], C, rank, size);
        }
        fill(a, 0, A), fill(b, 1, B), fill(c, 2, C);
        tp.scatter_start(&tp, a, room[0], A, each);
        tp.scatter_start(&tp, b, room[1], B, each);
        tp.wait(&tp);
        check_share(a, 0, A, each);
        tp.sum_start(&tp, c, room[2], C);
        tp.gather_start(&tp, a, A, each);
        tp.wait(&tp);
        check_share(b, 1, B, each);
        tp.gather_start(&tp, b, B, each);
        for (int k = 0; k < 3; k++)
            tp.wait(&tp);
        check_sum(a, 0, A), check_sum(b, 1, B), check_sum(c, 2, C);
        assert_int_equal(comm_count[AXIS_TP].calls - before.calls, calls[0] + calls[1] + calls[2] + calls[3] + calls[4]);
        assert_int_equal(comm_count[AXIS_TP].bytes - before.bytes, bytes[0] + bytes[1] + bytes[2] + bytes[3] + bytes[4]);
    }
    grid_close(&g);
}

static void what_was_not_started_is_not_waited_for(void **state)
{
    (void)state;
    Grid g;
    grid_open(&g, MPI_COMM_WORLD, size);
    Tp tp = tp_door(&g, 0);
    die_hook = jump;
    const int code = setjmp(back);
    if (code == 0)
        tp.wait(&tp);
    die_hook = NULL;
    assert_int_equal(code, size > 1 ? EXIT_INTERNAL : 0);
    grid_close(&g);
}

/* Doubles cross as floats and are whole again: sums as one rank would join them, to the last bit, for any number of them. */
static void doubles_are_summed_exactly(void **state)
{
    (void)state;
    enum { N = 1100 };
    Grid g;
    grid_open(&g, MPI_COMM_WORLD, size);
    Tp tp = tp_door(&g, 0);
    static double x[N];
    for (int i = 0; i < N; i++)
        x[i] = rng_normal(1, (uint64_t)rank, (uint64_t)i) * (i % 3 ? 1 : 1e20);
    x[0] = 16777217 + 0x1p-28;                             /* 53 bits */
    tp_sum_f64(&tp, x, N);
    for (int i = 0; i < N; i++) {
        double of[64];
        for (int r = 0; r < size; r++)
            of[r] = i ? rng_normal(1, (uint64_t)r, (uint64_t)i) * (i % 3 ? 1 : 1e20) : 16777217 + 0x1p-28;
        assert_true(x[i] == join_f64(of, size));
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
    ops_use(&OPS_CPU, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes_are_where_the_formula_says),
        cmocka_unit_test(a_grid_that_does_not_divide_dies),
        cmocka_unit_test(the_door_sums_over_tp_only),
        cmocka_unit_test(a_sum_that_is_waited_for_late_has_the_same_bits),
        cmocka_unit_test(a_sum_that_is_waited_for_at_once_has_them_too),
        cmocka_unit_test(its_cost_is_known), cmocka_unit_test(a_scatter_and_a_gather_are_a_sum),
        cmocka_unit_test(blocks_divide_among_ranks),
        cmocka_unit_test(what_was_not_started_is_not_waited_for),
        cmocka_unit_test(doubles_are_summed_exactly),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
