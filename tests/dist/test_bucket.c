/* Buckets against the definitions: the canonical tree, an exact sum that is rounded once, a plain sum, 16 bits on the wire; with and
   without ZeRO; in every way to divide the replicas into levels; with ranks that mark in different orders and skip what they like.  More
   than four ranks: levels alone. */
#include <sys/mman.h>
#include <unistd.h>

#include "tests/dist/bucket_case.h"

enum { MOST_LEAVES = 6, MOST = 1 << 14 /* starts that the seam can note */ };

/* ---- the seam: what MPI is asked to do ---- */

static struct { int64_t at[MOST]; int starts, tests; } seen;

int MPI_Ialltoallv(const void *out, const int *to, const int *out_at, MPI_Datatype type, void *in, const int *from, const int *in_at,
                   MPI_Datatype in_type, MPI_Comm comm, MPI_Request *r)
{
    if (seen.starts < MOST)
        seen.at[seen.starts] = (const float *)out - grads;
    seen.starts++;
    return PMPI_Ialltoallv(out, to, out_at, type, in, from, in_at, in_type, comm, r);
}

int MPI_Test(MPI_Request *r, int *flag, MPI_Status *status)
{
    seen.tests++;
    return PMPI_Test(r, flag, status);
}

/* The definition of canon.h, for element e of tensor t. */
static float node(int level, int64_t index, int64_t all, int kind, int t, int64_t e, int share)
{
    if (level == 0)
        return produced(kind, (int)index, t, e, share);
    const int64_t right = (2 * index + 1) << (level - 1);
    const float left = node(level - 1, 2 * index, all, kind, t, e, share);
    return right < all ? left + node(level - 1, 2 * index + 1, all, kind, t, e, share) : left;
}

static void tree(float *sum, int kind, int all, int share)
{
    int level = 0;
    while (1 << level < all)
        level++;
    for (int t = 0; t < TENSORS; t++)
        for (int64_t e = 0; table.p[t].grad >= 0 && e < table.p[t].count; e++)
            sum[table.p[t].grad + e] = node(level, 0, all, kind, t, e, share);
}

/* Two steps, none and two fifths of the tensors skipped, among replicas in such levels; `want` holds what comes out. */
static const int SHARE[] = { 0, 40 };
static void two_steps(const Levels *levels, bool zero1, int64_t bytes, const BucketConf *c, int kind)
{
    Zero z;
    memset(grads, 0, (size_t)table.grads * sizeof *grads);
    zero_open(&z, &table, grid.dp_rank, grid.dp_size, &(ZeroConf){ .zero1 = zero1, .bytes = bytes, .levels = *levels });
    Buckets *b = buckets_open(&z, grads, &grid, c);
    const int64_t before = comm_count[AXIS_DP].bytes;
    for (uint64_t seed = 0; seed < 2; seed++) {
        step(b, c->leaves, kind, SHARE[seed], seed);
        check(&z, want[seed]);
    }
    assert_int_equal(comm_count[AXIS_DP].bytes - before, 2 * buckets_bytes(&z, c));
    assert_true((buckets_bytes(&z, c) > 0) == (grid.dp_size > 1));
    buckets_close(b);
    zero_close(&z);
}

static void every_way(int reduction, int wire, int kind)
{
    static const int64_t bytes[] = { 3000, 20000, 1 << 19 };            /* within a tensor, some tensors, all */
    Levels levels[FACTORINGS];
    const int n = factorings(size, levels);
    for (int tp = 1; tp <= (size > 4 ? 1 : 2); tp++)
        for (int leaves = 1; leaves <= (size > 4 ? 3 : MOST_LEAVES); leaves += leaves > 2 ? 3 : 1) {
            open_table(tp);
            for (int i = 0; i < 2; i++)
                (reduction == REDUCE_EXACT ? exact : tree)(want[i], kind, leaves * size, SHARE[i]);
            for (int zero1 = 0; zero1 < 2; zero1++)
                for (int k = 0; k < 3; k++)
                    for (int i = 0; i < n; i++)
                        if (k == zero1 || (size <= 4 && levels[i].n <= 1))
                            for (int drop = 0; drop <= zero1; drop++)
                                two_steps(&levels[i], zero1, bytes[k], &(BucketConf){ reduction, wire, leaves, bytes[k], drop }, kind);
            close_table();
        }
}

static void canonical_is_the_tree(void **state)
{
    (void)state;
    every_way(REDUCE_CANONICAL, WIRE_FP32, FRACTION);
}

static void exact_is_the_sum_rounded_once(void **state)
{
    (void)state;
    every_way(REDUCE_EXACT, WIRE_FP32, MIXED);
}

static void fast_is_the_sum(void **state)
{
    (void)state;
    every_way(REDUCE_FAST, WIRE_FP32, WHOLE);
}

/* Whole numbers of at most 8 bits, and sums of them: 16 bits on the wire lose nothing. */
static void sixteen_bits_carry_small_numbers(void **state)
{
    (void)state;
    every_way(REDUCE_FAST, WIRE_BF16, SMALL);
}

/* Fractions are rounded, equally on all ranks, by at most half a unit of 8 bits on the way to each level and on the way back. */
static void rounds_alike(const Levels *levels)
{
    Zero z;
    open_table(1);
    zero_open(&z, &table, grid.dp_rank, grid.dp_size, &(ZeroConf){ .bytes = 16384, .levels = *levels });
    Buckets *b = buckets_open(&z, grads, &grid, &(BucketConf){ REDUCE_FAST, WIRE_BF16, 2, 4096, false });
    step(b, 2, FRACTION, 0, 1);
    tree(want[0], FRACTION, 2 * size, 0);
    const size_t bytes = (size_t)table.grads * sizeof *grads;
    float *root = malloc(bytes);
    assert_non_null(root);
    memcpy(root, grads, bytes);
    comm_bcast(MPI_COMM_WORLD, root, bytes, 0);
    assert_memory_equal(root, grads, bytes);
    bool rounded = false;
    for (int64_t i = 0; i < table.grads; i++) {         /* what is rounded is 2 size at most, each time by 1/512 of it; sums of fp32 are off by less */
        const float off = grads[i] - want[0][i], most = (float)(2 * size * (levels->n + 1)) / 512 * 1.01f;
        assert_true(off <= most && -off <= most);
        rounded |= off != 0;
    }
    assert_true(rounded == (size > 1));
    free(root);
    buckets_close(b);
    zero_close(&z);
    close_table();
}

static void sixteen_bits_round_alike(void **state)
{
    (void)state;
    Levels levels[FACTORINGS];
    for (int i = factorings(size, levels) - 1; i >= 0; i--)
        rounds_alike(&levels[i]);
}

/* New weights are on their way in more lots than are under way at once, and only rank 0 names them all, as where no other rank
   has a picture: the others must not leave it waiting in backward. */
static void some_are_not_named(const Levels *levels)
{
    Zero z;
    open_table(1);
    float *w = calloc((size_t)table.weights, sizeof *w);
    assert_non_null(w);
    zero_open(&z, &table, grid.dp_rank, grid.dp_size, &(ZeroConf){ .zero1 = true, .bytes = 2400, .levels = *levels });
    Buckets *b = buckets_open(&z, grads, &grid, &(BucketConf){ REDUCE_CANONICAL, WIRE_FP32, 1, 2400, false });
    grid.coming = zero_weights_open(&z, w, &grid, 2400);
    zero_weights_start(grid.coming);
    zero_weights_need(grid.coming, 0, rank == 0 ? TENSORS : 1);
    step(b, 1, FRACTION, rank == 0 ? 0 : 100, 1);       /* the others mark nothing, either */
    zero_weights_close(grid.coming);
    grid.coming = NULL;
    buckets_close(b);
    zero_close(&z);
    close_table();
    free(w);
}

static void backward_waits_for_weights_nobody_named(void **state)
{
    (void)state;
    Levels levels[FACTORINGS];
    for (int i = factorings(size, levels) - 1; i >= 0; i--)
        some_are_not_named(&levels[i]);
}

/* ---- when buckets start ---- */

static Buckets *open_fast(Zero *z, int64_t section, int64_t bytes)
{
    open_table(1);
    zero_open(z, &table, grid.dp_rank, grid.dp_size, &(ZeroConf){ .bytes = section });
    return buckets_open(z, grads, &grid, &(BucketConf){ REDUCE_FAST, WIRE_FP32, 1, bytes, false });
}

static void close_fast(Zero *z, Buckets *b)
{
    buckets_close(b);
    zero_close(z);
    close_table();
}

/* Sections from the last to the first, each in as many rounds as it has. */
static void ranks_start_the_same_buckets_from_the_end(void **state)
{
    (void)state;
    Zero z;
    Buckets *b = open_fast(&z, 20000, 2000);
    seen.starts = 0;
    step(b, 1, WHOLE, 30, 1);
    int k = 0;
    for (int s = z.sections - 1; s >= 0 && size > 1; s--) {
        int64_t each;
        for (int left = zero_rounds(&z.section[s], size, 2000, &each); left > 0; left--, k++)
            assert_int_equal(seen.at[k], z.section[s].at);
    }
    assert_int_equal(seen.starts, k);
    assert_true(size == 1 || k > z.sections);
    close_fast(&z, b);
}

static void a_bucket_starts_when_all_behind_it_is_final(void **state)
{
    (void)state;
    Zero z;
    Buckets *b = open_fast(&z, 400, 1 << 20);           /* a section a tensor, or a few small ones; a bucket a section */
    OnGrad door = buckets_door(b);
    const int middle = TENSORS - 10, section = z.of[middle];        /* part0: trainable */
    assert_true(section > 0 && section + 1 < z.sections && b != NULL);
    assert_int_equal(table.p[TENSORS - 1].grad, -1);
    seen.starts = 0;
    buckets_begin(b, 0);
    if (rank > 0)
        comm_barrier(MPI_COMM_WORLD);                   /* rank 0 has something under way that cannot have come */
    door.final(door.ctx, z.section[section].last, TENSORS - 1);     /* the last tensor is frozen: it need not be marked */
    const int before = seen.starts;
    door.final(door.ctx, 0, middle);
    const int blocked = seen.starts, tests = seen.tests;
    door.final(door.ctx, 0, 0);
    const int polls = seen.tests - tests;
    if (rank == 0)
        comm_barrier(MPI_COMM_WORLD);
    door.final(door.ctx, middle, z.section[section].last);
    const int after = seen.starts;
    buckets_wait(b);
    assert_int_equal(before, size > 1 ? z.sections - 1 - section : 0);
    assert_int_equal(blocked, before);
    assert_true(size == 1 || after > before);
    assert_true(size == 1 || rank > 0 || polls > 0);    /* an empty range polls what is under way */
    assert_int_equal(seen.starts, size > 1 ? z.sections : 0);
    close_fast(&z, b);
}

/* ---- what ZeRO-2 leaves in memory ---- */

enum { BIG = 6, BIG_ROWS = 256, BIG_COLS = 1024, BIG_BUCKET = 1 << 16 };       /* 1 MiB each, a section; 16 buckets */

static int64_t pages(double bytes) { return (int64_t)(bytes / (double)sysconf(_SC_PAGESIZE)); }

/* Pages of x (n) that have memory. */
static int64_t resident(float *x, int64_t n)
{
    static unsigned char page[1 << 13];
    const int64_t all = pages((double)n * sizeof *x);
    int64_t sum = 0;
    assert_true(all <= (int64_t)sizeof page);
    assert_int_equal(mincore(x, (size_t)n * sizeof *x, page), 0);
    for (int64_t i = 0; i < all; i++)
        sum += page[i] & 1;
    return sum;
}

static float whole(int m, int64_t i) { return (float)((7 * i + 13 * m) % 100); }         /* exact sums have room for it */

/* A micro-batch's tensors from the last to the first.  After each mark there are at most this rank's shares so far (waits: a node that is
   not the last moves on), the buckets that may be under way, and pages on the borders of pieces. */
static void big_leaf(Buckets *b, const Zero *z, const Params *t, float *x, int leaf, int leaves, bool waits, int64_t way)
{
    const int64_t borders = 2 * z->ranks * 16;
    OnGrad door = buckets_door(b);
    buckets_begin(b, leaf);
    assert_true(leaf > 0 || resident(x, t->grads) == 0);
    int64_t own = 0;
    for (int i = BIG - 1; i >= 0; i--) {
        const Param *p = &t->p[i];
        for (int64_t e = 0; e < p->count; e++)
            x[p->grad + e] += whole(grid.dp_rank * leaves + leaf, p->grad + e);
        door.final(door.ctx, i, i + 1);
        own += zero_part(z, i, z->rank).n;
        const int64_t later = leaf > 0 && !waits ? t->grads / z->ranks : own;          /* of the micro-batch before */
        assert_in_range(resident(x, t->grads), 0, (waits && leaf < leaves - 1 ? 0 : pages(4.0 * (double)later) + way) + borders);
    }
}

static void only_shares_stay(const Levels *levels, int reduction, int leaves)
{
    const bool packed = levels->n > 1;
    Arena a = { .name = "gradients", .fleeting = true };
    Params t = { 0 };
    Tp one = TP_ALONE;
    Zero z;
    Binder declare = binder_declare(&t, &one);
    for (int i = 0; i < BIG; i++)
        param(&declare, BIG_ROWS, BIG_COLS, -1, 0, "part0.%d.w", i);
    assert_true(params_seal(&t, "part0"));
    TAKE(&a, float, t.grads);
    arena_alloc(&a);
    float *x = TAKE(&a, float, t.grads);
    zero_open(&z, &t, grid.dp_rank, grid.dp_size, &(ZeroConf){ .zero1 = true, .bytes = 1 << 20, .levels = *levels });
    const BucketConf c = { reduction, WIRE_FP32, leaves, BIG_BUCKET, true };
    BucketLevel level[LEVELS];
    const int ring = buckets_ring(&z, &c, level);
    assert_true(z.sections == BIG && ring * 4 < BIG * 16);
    Buckets *b = buckets_open(&z, x, &grid, &c);
    assert_int_equal(resident(x, t.grads), 0);
    for (int leaf = 0; leaf < leaves; leaf++)
        big_leaf(b, &z, &t, x, leaf, leaves, reduction == REDUCE_CANONICAL, packed ? 0 : ring * pages(BIG_BUCKET));
    buckets_wait(b);
    int64_t own = 0;
    for (int k = 0; k < z.sections; k++)
        own += zero_share(&z.section[k], z.rank).n;
    assert_in_range(resident(x, t.grads), 1, pages(4.0 * (double)own) + 3 * BIG);
    for (int k = 0; k < z.sections; k++) {
        const Range r = zero_share(&z.section[k], z.rank);
        for (int64_t i = r.at; i < r.at + r.n; i++) {
            float sum = 0;
            for (int m = 0; m < grid.dp_size * leaves; m++)
                sum += whole(m, i);
            if (x[i] != sum)
                fail_msg("element %lld of section %d is %g, not %g", (long long)i, k, (double)x[i], (double)sum);
        }
    }
    buckets_close(b);
    zero_close(&z);
    arena_free(&a);
    params_free(&t);
}

static void others_shares_go_when_they_are_sent(void **state)
{
    (void)state;
    Levels levels[FACTORINGS];
    for (int i = factorings(size, levels) - 1; i >= 0 && size > 1; i--)
        for (int reduction = 0; reduction <= REDUCE_FAST; reduction++)
            for (int leaves = 1; leaves <= 3; leaves++)
                only_shares_stay(&levels[i], reduction, leaves);
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
        cmocka_unit_test(canonical_is_the_tree),
        cmocka_unit_test(exact_is_the_sum_rounded_once),
        cmocka_unit_test(fast_is_the_sum),
        cmocka_unit_test(sixteen_bits_carry_small_numbers),
        cmocka_unit_test(sixteen_bits_round_alike),
        cmocka_unit_test(backward_waits_for_weights_nobody_named),
        cmocka_unit_test(ranks_start_the_same_buckets_from_the_end),
        cmocka_unit_test(a_bucket_starts_when_all_behind_it_is_final),
        cmocka_unit_test(others_shares_go_when_they_are_sent),
    };
    if (size > 4)
        cmocka_set_skip_filter("*_start*");             /* they are of one level */
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    grid_close(&grid);
    MPI_Finalize();
    return failed;
}
