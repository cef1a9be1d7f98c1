/* Buckets against plain sums, with ranks that mark in different orders and skip what they like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rng.h"
#include "dist/bucket.h"
#include "dist/comm.h"

enum { TENSORS = 40, MOST = 1 << 14 /* starts that the seam can note */ };

static int rank, size;
static Params table;
static float *grads, *plain;

/* ---- the seam: what MPI is asked to do ---- */

static struct { int64_t at[MOST]; int count[MOST]; int starts, tests; } seen;

int MPI_Iallreduce(const void *in, void *x, int count, MPI_Datatype type, MPI_Op how, MPI_Comm comm, MPI_Request *r)
{
    assert_true(seen.starts < MOST);
    seen.at[seen.starts] = (float *)x - grads;
    seen.count[seen.starts++] = count;
    return PMPI_Iallreduce(in, x, count, type, how, comm, r);
}

int MPI_Test(MPI_Request *r, int *flag, MPI_Status *status)
{
    seen.tests++;
    return PMPI_Test(r, flag, status);
}

/* ---- a table of odd sizes, every fifth part frozen ---- */

static int open_table(void **state)
{
    (void)state;
    char trainable[256] = "";
    Binder b = binder_declare(&table, &TP_ALONE);
    for (int i = 0; i < TENSORS; i++)
        param(&b, 1 + i * i % 91, 1 + i % 3 * 40, -1, 0, "part%d.%d.w", i % 5, i);
    for (int i = 0; i < 4; i++)
        snprintf(trainable + strlen(trainable), 16, "part%d ", i);
    assert_true(params_seal(&table, trainable));
    grads = calloc((size_t)table.grads, sizeof *grads);
    plain = calloc((size_t)table.grads, sizeof *plain);
    return !grads || !plain;
}

static int close_table(void **state)
{
    (void)state;
    params_free(&table);
    free(grads);
    free(plain);
    return 0;
}

enum { WHOLE, FRACTION };                       /* whole numbers: any order of additions gives the same bits */

static float value(int kind, int r, int64_t i)
{
    double u = rng_uniform(5, (uint64_t)r, (uint64_t)i);
    return kind == WHOLE ? (float)((int)(u * 2000) - 1000) : (float)(2 * u - 1);
}

static void fill(float *g, const Param *p, int kind)
{
    for (int64_t i = p->grad; p->grad >= 0 && i < p->grad + p->count; i++)
        g[i] = value(kind, rank, i);
}

/* Does this rank never produce tensor i?  Another choice on each rank. */
static bool skipped(int i, int share) { return rng_below(100, 6, (uint64_t)rank, (uint64_t)i) < share; }

/* One backward: this rank's own random order, each gradient written just before it is marked, junk until then. */
static void backward(Buckets *b, int kind, int share, uint64_t seed)
{
    int order[TENSORS];
    for (int i = 0; i < TENSORS; i++) {
        int j = (int)rng_below(i + 1, seed, (uint64_t)rank, (uint64_t)i);
        order[i] = order[j];
        order[j] = i;
    }
    memset(grads, 0, (size_t)table.grads * sizeof *grads);
    for (int i = 0; i < TENSORS; i++)
        if (table.p[i].grad >= 0 && !skipped(i, share))
            grads[table.p[i].grad] = 1e9f;
    OnGrad door = buckets_door(b);
    buckets_begin(b);
    for (int i = 0; i < TENSORS; i++) {
        if (skipped(order[i], share))
            continue;
        fill(grads, &table.p[order[i]], kind);
        door.final(door.ctx, order[i], order[i] + 1);
        door.final(door.ctx, 0, 0);
    }
    buckets_wait(b);
}

static void plain_sum(int kind, int share)
{
    memset(plain, 0, (size_t)table.grads * sizeof *plain);
    for (int i = 0; i < TENSORS; i++)
        if (!skipped(i, share))
            fill(plain, &table.p[i], kind);
    comm_sum_f32(MPI_COMM_WORLD, plain, table.grads);
}

static void any_order_gives_the_plain_sum(void **state)
{
    (void)state;
    const int64_t bytes[] = { 60, 1000, 4096, 1 << 20 };        /* within a tensor, odd, some tensors, all */
    for (int k = 0; k < 4; k++)
        for (int share = 0; share <= 100; share += 50) {
            Buckets *b = buckets_open(&table, grads, MPI_COMM_WORLD, bytes[k]);
            for (uint64_t step = 0; step < 3; step++) {
                seen.starts = 0;
                backward(b, WHOLE, share, step);
                plain_sum(WHOLE, share);
                assert_memory_equal(grads, plain, (size_t)table.grads * sizeof *grads);
            }
            assert_true(buckets_waited(b) >= 0);
            assert_int_equal(buckets_bytes(b), size > 1 ? 4 * table.grads : 0);
            buckets_close(b);
        }
}

static void ranks_start_the_same_buckets_from_the_end(void **state)
{
    (void)state;
    Buckets *b = buckets_open(&table, grads, MPI_COMM_WORLD, 1000);
    seen.starts = 0;
    backward(b, WHOLE, 30, 1);
    int64_t border = table.grads;
    assert_int_equal(seen.starts, size > 1 ? ceil_div(table.grads, 250) : 0);
    for (int k = 0; k < seen.starts; k++) {
        assert_int_equal(seen.at[k] + seen.count[k], border);
        border = seen.at[k];
    }
    assert_int_equal(border, size > 1 ? 0 : table.grads);
    buckets_close(b);
}

static void a_bucket_starts_when_all_behind_it_is_final(void **state)
{
    (void)state;
    Buckets *b = buckets_open(&table, grads, MPI_COMM_WORLD, 400);
    OnGrad door = buckets_door(b);
    seen.starts = 0;
    buckets_begin(b);
    int middle = TENSORS / 2;                           /* part0: trainable */
    door.final(door.ctx, middle + 1, TENSORS - 1);
    int before = seen.starts;                           /* the last tensor is frozen: it need not be marked */
    door.final(door.ctx, 0, middle);
    int blocked = seen.starts, tests = seen.tests;
    door.final(door.ctx, 0, 0);
    tests = seen.tests - tests;
    door.final(door.ctx, middle, middle + 1);
    int after = seen.starts;
    buckets_wait(b);
    buckets_close(b);
    int64_t behind = table.grads - table.p[middle + 1].grad;
    assert_int_equal(table.p[TENSORS - 1].grad, -1);
    assert_int_equal(before, size > 1 ? behind / 100 : 0);
    assert_int_equal(blocked, before);
    assert_int_equal(after, size > 1 ? ceil_div(table.grads, 100) : 0);
    assert_true(size == 1 || tests > 0);                /* an empty range polls */
}

static void the_border_is_exact(void **state)
{
    (void)state;
    int middle = TENSORS / 2;
    int64_t behind = table.grads - table.p[middle + 1].grad;
    for (int extra = 0; extra < 2; extra++) {           /* the first bucket needs what is final, or one element more */
        Buckets *b = buckets_open(&table, grads, MPI_COMM_WORLD, 4 * (behind + extra));
        OnGrad door = buckets_door(b);
        seen.starts = 0;
        buckets_begin(b);
        door.final(door.ctx, middle + 1, TENSORS);
        int starts = seen.starts;
        buckets_wait(b);
        buckets_close(b);
        assert_int_equal(starts, size > 1 && extra == 0);
    }
}

/* The bits depend on the number of ranks and on nothing else: neither on the order of marks nor on the rank. */
static void fractions_give_the_same_bits(void **state)
{
    (void)state;
    Buckets *b = buckets_open(&table, grads, MPI_COMM_WORLD, 4096);
    size_t bytes = (size_t)table.grads * sizeof *grads;
    float *first = malloc(bytes), *root = malloc(bytes);
    assert_true(first && root);
    backward(b, FRACTION, 20, 1);
    memcpy(first, grads, bytes);
    memcpy(root, grads, bytes);
    comm_bcast(MPI_COMM_WORLD, root, bytes, 0);
    bool repeated = true;
    for (uint64_t seed = 2; seed < 8; seed++) {
        backward(b, FRACTION, 20, seed);
        repeated = repeated && memcmp(grads, first, bytes) == 0;
    }
    plain_sum(FRACTION, 20);
    assert_true(repeated);
    assert_memory_equal(first, root, bytes);
    /* Two orders of adding `size` terms below 1: each of size - 1 additions errs by half an ulp of at most `size`. */
    double tolerance = (size - 1) * size * 1.2e-7;
    for (int64_t i = 0; i < table.grads; i++)
        assert_true(first[i] - plain[i] <= tolerance && plain[i] - first[i] <= tolerance);
    free(first);
    free(root);
    buckets_close(b);
}

static void one_rank_calls_no_mpi(void **state)
{
    (void)state;
    Buckets *b = buckets_open(&table, grads, MPI_COMM_SELF, 400);
    seen.starts = seen.tests = 0;
    backward(b, FRACTION, 20, 3);
    assert_int_equal(seen.starts + seen.tests, 0);
    assert_int_equal(buckets_bytes(b), 0);
    for (int i = 0; i < TENSORS; i++)
        if (table.p[i].grad >= 0)
            assert_true(grads[table.p[i].grad] == (skipped(i, 20) ? 0 : value(FRACTION, rank, table.p[i].grad)));
    buckets_close(b);
}

int main(int argc, char **argv)
{
    int level;
    comm_environment();
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    rank = comm_rank(MPI_COMM_WORLD);
    size = comm_size(MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_gives_the_plain_sum),
        cmocka_unit_test(ranks_start_the_same_buckets_from_the_end),
        cmocka_unit_test(a_bucket_starts_when_all_behind_it_is_final),
        cmocka_unit_test(the_border_is_exact),
        cmocka_unit_test(fractions_give_the_same_bits),
        cmocka_unit_test(one_rank_calls_no_mpi),
    };
    int failed = cmocka_run_group_tests(tests, open_table, close_table);
    MPI_Finalize();
    return failed;
}
