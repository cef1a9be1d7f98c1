/* Each way on every grid that the ranks make, both placements, against Newton-Schulz in double on the whole matrix. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/ops.h"
#include "core/rng.h"
#include "dist/comm.h"
#include "dist/muon.h"
#include "dist/pblas.h"

/* Wide, square, tall; odd blocks; fewer rows than processes; 5 rows leave the last of four processes without any. */
static const MuonShape SHAPES[] = {
    { 24, 40, false }, { 24, 40, true }, { 32, 32, false }, { 33, 33, true }, { 45, 19, false }, { 45, 19, true },
    { 5, 37, false }, { 37, 5, true }, { 1, 9, false }, { 9, 1, false }, { 1, 1, true }, { 5, 5, false },
};
enum { N = sizeof SHAPES / sizeof *SHAPES, MOST = 45 * 45 };

static int rank, size;

static float value(int i, int64_t e) { return (float)(3 * rng_uniform(7, (uint64_t)i, (uint64_t)e) - 1); }

/* ---- the reference: the definition, in double; x (rows,cols) in place ---- */

static double xxt(const double *x, int cols, int i, int j)
{
    double sum = 0;
    for (int k = 0; k < cols; k++)
        sum += x[i * cols + k] * x[j * cols + k];
    return sum;
}

static void reference_wide(double *x, int rows, int cols)
{
    static double a[MOST], b[MOST], y[MOST];
    double sum = 0;
    for (int i = 0; i < rows * cols; i++)
        sum += x[i] * x[i];
    for (int i = 0; i < rows * cols; i++)
        x[i] /= sqrt(sum) + 1e-7;
    for (int step = 0; step < 5; step++) {
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < rows; j++)
                a[i * rows + j] = xxt(x, cols, i, j);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < rows; j++)
                b[i * rows + j] = -4.7750 * a[i * rows + j] + 2.0315 * xxt(a, rows, i, j);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < cols; j++) {
                y[i * cols + j] = 3.4445 * x[i * cols + j];
                for (int k = 0; k < rows; k++)
                    y[i * cols + j] += b[i * rows + k] * x[k * cols + j];
            }
        memcpy(x, y, (size_t)(rows * cols) * sizeof *x);
    }
}

static void turn(double *out, const double *x, int rows, int cols)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++)
            out[j * rows + i] = x[i * cols + j];
}

static void reference(double *x, int rows, int cols)
{
    static double t[MOST];
    if (rows <= cols) {
        reference_wide(x, rows, cols);
    } else {
        turn(t, x, rows, cols);
        reference_wide(t, cols, rows);
        turn(x, t, cols, rows);
    }
}

/* ---- a batch: this rank's blocks of all SHAPES ---- */

typedef struct { float *block[N]; Slice slice[N]; Muon *u; } Batch;

static void load(Batch *b)
{
    for (int i = 0; i < N; i++) {
        const Slice *s = &b->slice[i];
        int64_t at = 0;
        for (int64_t r = 0; r < slice_extent(s, 0); r++)
            for (int64_t c = 0; c < slice_extent(s, 1); c++)
                b->block[i][at++] = value(i, (s->start[0] + r) * SHAPES[i].cols + s->start[1] + c);
    }
}

static Batch open_batch(MPI_Comm comm, int pr, int pc, MuonWay way)
{
    Batch b;
    MuonWay ways[N];
    for (int i = 0; i < N; i++) {
        ways[i] = way;
        b.slice[i] = pblas_slice(SHAPES[i].rows, SHAPES[i].cols, SHAPES[i].rows_over_c, pr, pc, comm_rank(comm));
        const int64_t floats = slice_total(&b.slice[i]);
        b.block[i] = floats > 0 ? calloc((size_t)floats + 1, sizeof(float)) : NULL;
        assert_true(floats == 0 || b.block[i]);
    }
    b.u = muon_open(comm, pr, pc, SHAPES, ways, N);
    load(&b);
    return b;
}

static void close_batch(Batch *b)
{
    muon_close(b->u);
    for (int i = 0; i < N; i++)
        free(b->block[i]);
}

/* Matrix i from all ranks' blocks. */
static void gather(double *whole, const Batch *b, int i)
{
    const Slice *s = &b->slice[i];
    int64_t at = 0;
    memset(whole, 0, MOST * sizeof *whole);
    for (int64_t r = 0; r < slice_extent(s, 0); r++)
        for (int64_t c = 0; c < slice_extent(s, 1); c++)
            whole[(s->start[0] + r) * SHAPES[i].cols + s->start[1] + c] = b->block[i][at++];
    comm_sum_f64(MPI_COMM_WORLD, whole, MOST);
}

static void on_every_grid(void (*f)(int pr, int pc, MuonWay way))
{
    for (int pr = 1; pr <= size; pr++)
        for (int way = size > 1 ? MUON_GRID : MUON_LOCAL; size % pr == 0 && way <= MUON_OWNER; way++)
            f(pr, size / pr, (MuonWay)way);
}

/* ---- tests ---- */

/* Rounding moves a singular value by some 1e-7 of the largest, and the steps multiply a small one by up to 3.4445^5 = 485,
   but that is one of many.  Relative to the whole in the Frobenius norm 1e-5 is left (seen: 1.0e-6). */
static const double TOLERANCE = 1e-5;

static void check_error(int i, const double *got)
{
    static double want[MOST];
    double off = 0, all = 0;
    const int n = SHAPES[i].rows * SHAPES[i].cols;
    for (int e = 0; e < n; e++)
        want[e] = value(i, e);
    reference(want, SHAPES[i].rows, SHAPES[i].cols);
    for (int e = 0; e < n; e++) {
        off += (got[e] - want[e]) * (got[e] - want[e]);
        all += want[e] * want[e];
    }
    assert_true(sqrt(off / all) <= TOLERANCE);
}

static void right(int pr, int pc, MuonWay way)
{
    static double got[MOST];
    Batch b = open_batch(MPI_COMM_WORLD, pr, pc, way);
    muon_orthogonalize(b.u, b.block);
    for (int i = 0; i < N; i++) {
        gather(got, &b, i);
        check_error(i, got);
        assert_true(!b.block[i] || b.block[i][slice_total(&b.slice[i])] == 0);      /* nothing behind the block */
    }
    close_batch(&b);
}

static void every_way_does_what_the_definition_says(void **state)
{
    (void)state;
    on_every_grid(right);
}

static void repeated(int pr, int pc, MuonWay way)
{
    Batch b = open_batch(MPI_COMM_WORLD, pr, pc, way), again = open_batch(MPI_COMM_WORLD, pr, pc, way);
    muon_orthogonalize(b.u, b.block);
    for (int k = 0; k < 3; k++) {
        load(&again);
        muon_orthogonalize(again.u, again.block);
        for (int i = 0; i < N; i++)
            assert_memory_equal(again.block[i], b.block[i], (size_t)slice_total(&b.slice[i]) * sizeof(float));
    }
    close_batch(&again);
    close_batch(&b);
}

static void the_same_bits_again(void **state)
{
    (void)state;
    on_every_grid(repeated);
}

static void like_one_process(int pr, int pc, MuonWay way)
{
    if (way == MUON_GRID)
        return;
    Batch b = open_batch(MPI_COMM_WORLD, pr, pc, way), alone = open_batch(MPI_COMM_SELF, 1, 1, MUON_LOCAL);
    muon_orthogonalize(b.u, b.block);
    muon_orthogonalize(alone.u, alone.block);
    for (int i = 0; i < N; i++) {
        float want[MOST];
        slice_copy(want, &b.slice[i], alone.block[i], &alone.slice[i], sizeof *want);
        assert_memory_equal(b.block[i], want, (size_t)slice_total(&b.slice[i]) * sizeof *want);
    }
    close_batch(&alone);
    close_batch(&b);
}

static void owners_give_the_bits_of_one_process(void **state)
{
    (void)state;
    on_every_grid(like_one_process);
}

/* The largest and the smallest singular value of a wide matrix: its rows are turned until they are orthogonal (Jacobi). */
static void singular_values(double *x, int rows, int cols, double *least, double *most)
{
    for (int sweep = 0; sweep < 30; sweep++)
        for (int i = 0; i < rows; i++)
            for (int j = i + 1; j < rows; j++) {
                const double ii = xxt(x, cols, i, i), jj = xxt(x, cols, j, j), angle = 0.5 * atan2(2 * xxt(x, cols, i, j), ii - jj);
                for (int k = 0; k < cols; k++) {
                    const double p = x[i * cols + k], q = x[j * cols + k];
                    x[i * cols + k] = cos(angle) * p + sin(angle) * q;
                    x[j * cols + k] = cos(angle) * q - sin(angle) * p;
                }
            }
    *least = INFINITY, *most = 0;
    for (int i = 0; i < rows; i++) {
        *least = fmin(*least, sqrt(xxt(x, cols, i, i)));
        *most = fmax(*most, sqrt(xxt(x, cols, i, i)));
    }
}

static void nearly_orthogonal(int pr, int pc, MuonWay way)
{
    static double got[MOST];
    Batch b = open_batch(MPI_COMM_WORLD, pr, pc, way);
    muon_orthogonalize(b.u, b.block);
    for (int i = 0; i < 2; i++) {                   /* the two of 24 x 40: no singular value of a random one is tiny */
        double least, most;
        gather(got, &b, i);
        singular_values(got, SHAPES[i].rows, SHAPES[i].cols, &least, &most);
        /* The range of the five steps for inputs above 0.01 of the norm, in the sources. */
        assert_true(least > 0.68 && most < 1.14);
    }
    close_batch(&b);
}

static void singular_values_are_near_one(void **state)
{
    (void)state;
    on_every_grid(nearly_orthogonal);
}

static void odd_values(int pr, int pc, MuonWay way)
{
    enum { ZERO = 0, NOT = 2, INF = 5 };
    static double got[MOST];
    Batch b = open_batch(MPI_COMM_WORLD, pr, pc, way);
    memset(b.block[ZERO], 0, (size_t)slice_total(&b.slice[ZERO]) * sizeof(float));
    const int64_t in_not = slice_total(&b.slice[NOT]), in_inf = slice_total(&b.slice[INF]);
    if (rank == 0 && in_not > 0)                    /* one element on one rank */
        b.block[NOT][in_not - 1] = NAN;
    if (rank == 0 && in_inf > 0)
        b.block[INF][0] = INFINITY;
    muon_orthogonalize(b.u, b.block);
    for (int64_t e = 0; e < slice_total(&b.slice[ZERO]); e++)
        assert_true(b.block[ZERO][e] == 0);
    for (int64_t e = 0; e < in_not; e++)
        assert_false(isfinite(b.block[NOT][e]));
    for (int64_t e = 0; e < in_inf; e++)
        assert_false(isfinite(b.block[INF][e]));
    for (int i = 0; i < N; i++)
        if (i != ZERO && i != NOT && i != INF) {    /* the others of the call take no notice */
            gather(got, &b, i);
            check_error(i, got);
        }
    close_batch(&b);
}

static void zero_stays_zero_and_nan_spreads(void **state)
{
    (void)state;
    on_every_grid(odd_values);
}

/* What muon_bytes says is what the rank that needs most has. */
static void planned(int pr, int pc, MuonWay way)
{
    MuonWay ways[N];
    for (int i = 0; i < N; i++)
        ways[i] = way;
    const size_t before = mem_total();
    Batch b = open_batch(MPI_COMM_WORLD, pr, pc, way);
    double held = (double)(mem_total() - before);
    comm_max_f64(MPI_COMM_WORLD, &held, 1);
    assert_true(held == (double)muon_bytes(SHAPES, ways, N, pr, pc));
    mem_freeze();                                   /* and nothing is allocated later */
    muon_orthogonalize(b.u, b.block);
    mem_thaw();
    close_batch(&b);
}

static void the_plan_is_what_is_allocated(void **state)
{
    (void)state;
    on_every_grid(planned);
    /* By GRID no rank holds a whole matrix: B X and the pieces of A and B together are less than one. */
    const MuonShape big = { 4096, 4096, false };
    assert_true(muon_bytes(&big, &(MuonWay){ MUON_GRID }, 1, 2, 2) < 4096u * 4096 * sizeof(float));
}

/* ---- the rule ---- */

/* How many of n equal matrices go by GRID on `ranks` processes. */
static int by_grid(int rows, int cols, int n, int ranks)
{
    MuonShape s[16] = { { 0 } };
    MuonWay way[16];
    int count = 0;
    for (int i = 0; i < n; i++)
        s[i] = (MuonShape){ rows, cols, false };
    muon_ways(way, s, n, ranks, 1);
    for (int i = 0; i < n; i++) {
        assert_true(way[i] == (ranks == 1 ? MUON_LOCAL : way[i] == MUON_GRID ? MUON_GRID : MUON_OWNER));
        count += way[i] == MUON_GRID;
    }
    return count;
}

static void owners_where_they_balance(void **state)
{
    (void)state;
    assert_int_equal(by_grid(1024, 1024, 16, 1), 0);
    assert_int_equal(by_grid(1024, 1024, 16, 4), 0);        /* four for each */
    assert_int_equal(by_grid(1024, 1024, 1, 4), 1);         /* three would wait for one */
    assert_int_equal(by_grid(1024, 1024, 2, 4), 2);         /* two would wait for two */
    assert_int_equal(by_grid(1024, 1024, 3, 4), 0);         /* one waits: less than PBLAS loses, which computes both halves of a square */
    assert_int_equal(by_grid(1024, 1024, 5, 4), 1);         /* one is shared, one for each is left */
    assert_int_equal(by_grid(32, 4096, 1, 4), 0);           /* sharing would cost more than it saves */
    assert_int_equal(by_grid(8192, 16384, 16, 4), 16);      /* too large to hold */
}

static void the_costliest_are_dealt_first(void **state)
{
    (void)state;
    const MuonShape s[] = { { 64, 64, false }, { 300, 100, false }, { 300, 300, true }, { 100, 300, false }, { 9, 9, false }, { 64, 64, false } };
    const MuonWay way[] = { MUON_OWNER, MUON_OWNER, MUON_OWNER, MUON_OWNER, MUON_GRID, MUON_OWNER };
    const int want[] = { 1, 1, 0, 1, -1, 1 };               /* s n l: 81 beside 7 + 7 + 0.8 + 0.8, in millions */
    int owner[6];
    muon_owners(owner, s, way, 6, 2);
    assert_memory_equal(owner, want, sizeof want);
    muon_owners(owner, s, way, 6, 4);                       /* of equals the first: to the lowest rank */
    assert_memory_equal(owner, ((int[]){ 3, 1, 0, 2, -1, 3 }), sizeof want);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    ops_use(&OPS_CPU, 1);
    rank = comm_rank(MPI_COMM_WORLD);
    size = comm_size(MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_does_what_the_definition_says),
        cmocka_unit_test(the_same_bits_again),
        cmocka_unit_test(owners_give_the_bits_of_one_process),
        cmocka_unit_test(singular_values_are_near_one),
        cmocka_unit_test(zero_stays_zero_and_nan_spreads),
        cmocka_unit_test(the_plan_is_what_is_allocated),
        cmocka_unit_test(owners_where_they_balance),
        cmocka_unit_test(the_costliest_are_dealt_first),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
