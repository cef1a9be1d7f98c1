/* Exact reductions of 12 micro-batches, and of one each, where two of them have an element that is too large or no number: they must not
   cancel, vanish or be taken for another number, whoever has which of them, in all levels. */
#include "tests/dist/bucket_case.h"

/* The sum is NaN there, on whoever has it, and what it should be elsewhere; the next step does not know of it. */
static void spoils(const Zero *z, Buckets *b, int leaves, int tensor)
{
    const Param *p = &table.p[tensor];
    const Range mine = z->section[z->of[tensor]].owned ? zero_part(z, tensor, z->rank) : (Range){ p->grad, p->count };
    const bool there = spoil.at >= mine.at && spoil.at < mine.at + mine.n;
    step(b, leaves, SPOILED, 0, 1);
    if (there) {
        assert_true(isnan(grads[spoil.at]));
        grads[spoil.at] = want[0][spoil.at];
    }
    check(z, want[0]);
    step(b, leaves, MIXED, 0, 2);
    check(z, want[0]);
}

/* Both of one replica, of the first and the last, of the last and the first. */
static void every_place(const Levels *levels, bool zero1, bool drop, int leaves)
{
    static const int OF[] = { 0, 13, TENSORS - 2 };
    const int last = leaves * size - 1, m[][2] = { { 0, leaves - 1 }, { 0, last }, { last, 0 } };
    Zero z;
    zero_open(&z, &table, grid.dp_rank, grid.dp_size, &(ZeroConf){ .zero1 = zero1, .bytes = 20000, .levels = *levels });
    Buckets *b = buckets_open(&z, grads, &grid, &(BucketConf){ REDUCE_EXACT, WIRE_FP32, leaves, 3000, drop });
    for (int k = 0; k < 3; k++) {
        spoil.at = table.p[OF[k]].grad + table.p[OF[k]].count * k / 3;
        memcpy(spoil.m, m[k], sizeof spoil.m);
        spoils(&z, b, leaves, OF[k]);
    }
    buckets_close(b);
    zero_close(&z);
}

static void lost_addends_are_seen(void **state)
{
    (void)state;
    Levels levels[FACTORINGS];
    const int n = factorings(size, levels), all[] = { 12, size };
    for (int way = 0; way < 2; way++) {
        const float large = FIXED_MOST / (float)all[way], bad[][2] = { { NAN, 0 }, { INFINITY, -INFINITY }, { 1e30f, -1e30f }, { large, -large } };
        if (all[way] % size || all[way] == 1)
            continue;
        open_table(1);
        exact(want[0], MIXED, all[way], 0);
        for (int stage = 0; stage < 3; stage++)
            for (int i = 0; i < n; i++)
                for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
                    memcpy(spoil.x, bad[k], sizeof spoil.x);
                    every_place(&levels[i], stage > 0, stage > 1, all[way] / size);
                }
        close_table();
    }
}

/* 12 micro-batches at home, of two, three, four ranks: the bits are those of one list of numbers, whose order is known to nobody. */
static void any_share_is_the_same_sum(void **state)
{
    (void)state;
    Levels levels[FACTORINGS];
    open_table(1);
    exact(want[0], MIXED, 12, 40);
    for (int i = 0; i < factorings(size, levels) && 12 % size == 0; i++)
        for (int stage = 0; stage < 3; stage++) {
            Zero z;
            zero_open(&z, &table, grid.dp_rank, grid.dp_size, &(ZeroConf){ .zero1 = stage > 0, .bytes = 20000, .levels = levels[i] });
            Buckets *b = buckets_open(&z, grads, &grid, &(BucketConf){ REDUCE_EXACT, WIRE_FP32, 12 / size, 3000, stage > 1 });
            step(b, 12 / size, MIXED, 40, 1);
            check(&z, want[0]);
            buckets_close(b);
            zero_close(&z);
        }
    close_table();
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    rank = comm_rank(MPI_COMM_WORLD);
    size = comm_size(MPI_COMM_WORLD);
    ops_use(&OPS_CPU, 1);
    grid_open(&grid, MPI_COMM_WORLD, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_addends_are_seen),
        cmocka_unit_test(any_share_is_the_same_sum),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    grid_close(&grid);
    MPI_Finalize();
    return failed;
}
