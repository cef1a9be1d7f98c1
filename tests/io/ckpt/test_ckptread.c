/*
 * Reading checkpoints: any slice on any grid out of hashed blocks, no block twice and none that nobody wants; a bit that flips
 * on one rank alone, a step that fails on one rank alone, a checkpoint that is removed while it is looked at; 1,000 flipped
 * bits.  Run with 1, 2 and 4 ranks.
 */
#include "tests/io/ckpt/ckpt_case.h"

#include <dlfcn.h>

#include "core/rng.h"
#include "io/ckpt/tensors.h"

/* ---- what this program's reads give on one rank ---- */

static int64_t spoil_at = -1;       /* a byte of tensors.h5 that arrives changed; -1: none */

ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
    static __typeof__(pread) *real;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pread");
    ssize_t got = real(fd, buf, n, at);
    if (spoil_at >= at && spoil_at < at + got)
        ((unsigned char *)buf)[spoil_at - at] ^= 4;
    return got;
}

static int victim, fail_at = -1;

static bool fails(int point)
{
    return rank == victim && point == fail_at;
}

/* ---- slices ---- */

static Slice random_slice(Rng *r, int dims, const int64_t *n)
{
    Slice s = slice_whole(dims, n);
    for (int d = 0; d < dims; d++) {
        if (rng_draw(r, 3) == 0)
            continue;
        s.block[d] = rng_draw(r, min64(n[d], 200));
        s.stride[d] = s.block[d] + 1 + rng_draw(r, 20);
        s.start[d] = rng_draw(r, max64(1, n[d] - s.block[d] - 20));
        s.count[d] = 1 + rng_draw(r, max64(1, (n[d] - s.start[d] - s.block[d]) / s.stride[d]));
        if (s.start[d] + (s.count[d] - 1) * s.stride[d] + s.block[d] > n[d])
            s = slice_whole(dims, n);
    }
    return s;
}

/* Several pieces of the same tensors, of any kind and another for each rank. */
static void any_slices_are_filled(void **state)
{
    (void)state;
    enum { N = 9 };
    Err e = { 0 };
    Rng r = { 7, (uint64_t)rank, 0 };
    save(10, 0);
    Ckpt *c = ckpt_open(MPI_COMM_WORLD, in_step(10, ""), &e);
    assert_non_null(c);
    for (int round = 0; round < 60; round++) {
        Piece p[N];
        for (int k = 0; k < N; k++) {
            const int i = k % TENSORS;
            const Slice s = random_slice(&r, TABLE[i].dims, TABLE[i].size);
            p[k] = (Piece){ TABLE[i].name, s, calloc((size_t)slice_total(&s) + 1, sizeof(float)), false };
        }
        assert_true(ckpt_fill(c, p, N, round % 2 ? CKPT_WHOLE : CKPT_WANTED, &e));
        for (int k = 0; k < N; k++) {
            const int i = k % TENSORS;
            Slice whole = slice_whole(TABLE[i].dims, TABLE[i].size);
            const int64_t n = slice_total(&whole), mine = slice_total(&p[k].slice);
            float *all = malloc((size_t)n * sizeof *all), *want = calloc((size_t)mine + 1, sizeof *want);
            for (int64_t g = 0; g < n; g++)
                all[g] = value(i, g, 10);
            slice_copy(want, &p[k].slice, all, &whole, sizeof *all);
            assert_memory_equal(p[k].data, want, (size_t)(mine + 1) * sizeof *want);        /* and nothing behind its end */
            free(all), free(want), free(p[k].data);
        }
    }
    ckpt_close(c);
}

/* ---- bytes ---- */

static void no_block_is_read_twice_or_in_vain(void **state)
{
    (void)state;
    Err e = { 0 };
    save(10, 0);
    const int64_t bytes = bytes_of(in_step(10, TENSORS_NAME));
    assert_true(bytes > HASH_BLOCK && bytes < 2 * HASH_BLOCK);
    int64_t from = ckpt_read_bytes;
    Ckpt *c = ckpt_open(MPI_COMM_WORLD, in_step(10, ""), &e);
    assert_int_equal(ckpt_read_bytes, from);                        /* opening reads no tensor */
    Model m = model_new(0, 1, 0);
    assert_true(ckpt_fill(c, m.p, TENSORS, CKPT_WANTED, &e));
    assert_true(model_visit(&m, 10, false));
    assert_int_equal(ckpt_read_bytes - from, bytes);                /* six tensors in two blocks */
    ckpt_close(c);

    c = ckpt_open(MPI_COMM_WORLD, in_step(10, ""), &e);
    from = ckpt_read_bytes;
    assert_true(ckpt_fill(c, m.p, 1, CKPT_WANTED, &e));
    assert_int_equal(ckpt_read_bytes - from, HASH_BLOCK);           /* the small one lies in the first */
    assert_true(ckpt_fill(c, m.p + 1, 2, CKPT_WANTED, &e));
    assert_int_equal(ckpt_read_bytes - from, bytes);                /* the first block is kept for what comes next */
    ckpt_close(c);

    c = ckpt_open(MPI_COMM_WORLD, in_step(10, ""), &e);
    from = ckpt_read_bytes;
    assert_true(ckpt_fill(c, NULL, 0, CKPT_WHOLE, &e));
    int64_t all = ckpt_read_bytes - from;
    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    assert_int_equal(all, bytes);                                   /* each block by one rank */
    ckpt_close(c);
    model_free(&m);
}

/* A flip that no wanted tensor sees is found by CKPT_WHOLE alone. */
static void whole_looks_behind_what_is_wanted(void **state)
{
    (void)state;
    Err e = { 0 };
    save(10, 0);
    Model m = model_new(0, 1, 0);
    flip(in_step(10, TENSORS_NAME), 8 * (HASH_BLOCK + 100000));
    assert_true(load(MPI_COMM_WORLD, in_step(10, ""), m.p, 1, CKPT_WANTED, &e));
    assert_false(load(MPI_COMM_WORLD, in_step(10, ""), m.p, 1, CKPT_WHOLE, &e));
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.what, "damaged between byte 1048576 and "));
    assert_non_null(strstr(e.what, ", in weights/head.in"));
    model_free(&m);
}

/* ---- one rank alone ---- */

/* What arrives changed on one rank is damage for all; nobody keeps it, nobody waits. */
static void a_bit_that_one_rank_reads_wrong(void **state)
{
    (void)state;
    save(10, 0);
    save(20, 0);
    for (victim = 0; victim < size; victim++) {
        Err e = { 0 };
        Model m = model_new(0, 1, 0);
        spoil_at = rank == victim ? 9000 : -1;
        assert_false(load(MPI_COMM_WORLD, in_step(20, ""), m.p, TENSORS, CKPT_WANTED, &e));
        assert_int_equal(e.code, EXIT_DATA);
        assert_non_null(strstr(e.what, "damaged between byte 0 and"));
        model_free(&m);
    }
    spoil_at = -1;
    assert_int_equal(newest_step(), 20);
}

static bool use_all(void *with, Ckpt *c, Err *e)
{
    return ckpt_fill(c, with, TENSORS, CKPT_WHOLE, e);
}

static void a_step_that_fails_on_one_rank(void **state)
{
    (void)state;
    save(10, 0);
    for (victim = 0; victim < size; victim++)
        for (int point = 0; point < CKPT_POINTS; point++) {
            Err e = { 0 };
            Ckpt *c = NULL;
            Model m = model_new(0, 1, 0);
            fail_at = point;
            ckpt_fail = fails;
            const bool ok = ckpt_choose(MPI_COMM_WORLD, dir, use_all, m.p, &c, &e) && ckpt_verify(c, &e);
            ckpt_fail = NULL;
            assert_false(ok);
            assert_int_equal(e.code, EXIT_IO);
            int lo = e.code, hi = e.code, same = ok;
            MPI_Allreduce(MPI_IN_PLACE, &lo, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
            MPI_Allreduce(MPI_IN_PLACE, &hi, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
            MPI_Allreduce(MPI_IN_PLACE, &same, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
            assert_true(lo == hi && same == 0);
            ckpt_close(c);
            model_free(&m);
        }
    assert_int_equal(newest_step(), 10);
}

/* ---- choosing ---- */

static void passed_over_while_it_is_filled(void **state)
{
    (void)state;
    Err e = { 0 };
    Ckpt *c;
    save(10, 0);
    save(20, 0);
    Model m = model_new(0, 1, 0);
    flip(in_step(20, TENSORS_NAME), 8 * (HASH_BLOCK + 100000));
    assert_true(ckpt_choose(MPI_COMM_WORLD, dir, use_all, m.p, &c, &e));
    assert_int_equal(ckpt_meta(c)->step, 10);
    assert_true(model_visit(&m, 10, false));                        /* all of it: nothing of step 20 is left */
    assert_int_equal(warnings, rank == 0);
    ckpt_close(c);
    model_free(&m);
}

static bool refuse(void *with, Ckpt *c, Err *e)
{
    ++*(int *)with;
    return err_set(e, EXIT_CONFIG, ckpt_path(c), "", "not mine");
}

/* What is whole but refused is final: the next older one is not asked. */
static void a_refusal_is_final(void **state)
{
    (void)state;
    Err e = { 0 };
    Ckpt *c;
    int asked = 0;
    save(10, 0);
    save(20, 0);
    assert_false(ckpt_choose(MPI_COMM_WORLD, dir, refuse, &asked, &c, &e));
    assert_int_equal(e.code, EXIT_CONFIG);
    assert_int_equal(asked, 1);
    assert_int_equal(warnings, 0);
}

/* Between the reading of the folder and the opening, a running job saves step 30 and removes what is old. */
static bool prune_now(int point)
{
    static int gone;
    char from[256], to[256];
    if (point != CKPT_AT_MANIFEST || rank != 0 || access(in_step(20, ""), F_OK))
        return false;
    snprintf(from, sizeof from, "%s/hidden", dir);
    snprintf(to, sizeof to, "%s/.tmp-gone-%d", dir, ++gone);
    assert_int_equal(rename(in_step(20, ""), to), 0);
    if (!access(from, F_OK))
        assert_int_equal(rename(from, in_step(30, "")), 0);
    return false;
}

static void a_pruned_one_is_looked_for_again(void **state)
{
    (void)state;
    Err e = { 0 };
    char hidden[256];
    snprintf(hidden, sizeof hidden, "%s/hidden", dir);
    save(20, 0);
    save(30, 0);
    sync_ranks();
    if (rank == 0)
        assert_int_equal(rename(in_step(30, ""), hidden), 0);
    sync_ranks();
    ckpt_fail = prune_now;
    assert_int_equal(newest_step(), 30);
    ckpt_fail = NULL;
    assert_int_equal(warnings, 0);
    /* the last one vanishes: that is no fresh start */
    sync_ranks();
    if (rank == 0) {
        char to[256];
        snprintf(to, sizeof to, "%s", in_step(20, ""));
        assert_int_equal(rename(in_step(30, ""), to), 0);
        snprintf(to, sizeof to, "%s/latest", dir);
        unlink(to);
    }
    sync_ranks();
    ckpt_fail = prune_now;
    assert_int_equal(newest(&e), -2);
    ckpt_fail = NULL;
    assert_int_equal(e.code, EXIT_IO);
}

/* ---- verify ---- */

/* A manifest that says other sums than the tensors have, and is whole. */
static void say_other_sums(uint64_t weights, uint64_t moments)
{
    char path[256], *text;
    size_t n;
    Manifest m;
    Err e = { 0 };
    snprintf(path, sizeof path, "%s", in_step(10, MANIFEST_NAME));
    assert_true(file_read(path, MANIFEST_MAX, &text, &n, &e) && manifest_parse(&m, text, n, path, &e));
    free(text);
    m.meta.fingerprint += weights;
    m.meta.moments += moments;
    text = manifest_text(&m);
    assert_true(file_replace(path, text, strlen(text), &e));
    free(text);
    manifest_free(&m);
}

static void verify_adds_up_the_tensors(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 3; wrong++) {
        Err e = { 0 };
        Model m = model_new(rank, size, 0);
        CkptMeta meta = meta_of(10);
        model_visit(&m, 10, true);
        assert_true(ckpt_save(MPI_COMM_WORLD, dir, &meta, m.p, TENSORS, 0, &e));
        model_free(&m);
        if (rank == 0)
            say_other_sums(wrong == 1, wrong == 2);
        sync_ranks();
        assert_int_equal(verifies(MPI_COMM_WORLD, in_step(10, ""), &e), !wrong);
        assert_int_equal(e.code, wrong ? EXIT_DATA : 0);
        assert_true(!wrong || strstr(e.what, wrong == 1 ? "the weights in the file" : "the moments in the file"));
    }
}

/* The flipped byte's range is named, and its tensor where it lies in one. */
static void check_named(const char *what, const Ckpt *c, int64_t byte)
{
    char text[64];
    const int64_t from = byte / HASH_BLOCK * HASH_BLOCK;
    snprintf(text, sizeof text, "damaged between byte %lld and ", (long long)from);
    assert_non_null(strstr(what, text));
    int n, in = 0;
    const CkptTensor *t = ckpt_tensors(c, &n);
    for (int i = 0; i < n; i++)
        in += t[i].offset < from + HASH_BLOCK && strstr(what, t[i].name);
    assert_true(in > 0);
}

static void verify_finds_a_thousand_flips(void **state)
{
    (void)state;
    const int flips = size == 1 ? 1000 : 100;
    char path[256];
    Err e = { 0 };
    save(10, 0);
    snprintf(path, sizeof path, "%s", in_step(10, TENSORS_NAME));
    const int64_t bits = bytes_of(path) * 8;
    Ckpt *c = ckpt_open(MPI_COMM_WORLD, in_step(10, ""), &e);
    assert_true(ckpt_verify(c, &e));
    for (int i = 0; i < flips; i++) {
        const int64_t bit = rng_below(bits, 3, 0, (uint64_t)i);
        Err why = { 0 };
        flip(path, bit);
        assert_false(verifies(MPI_COMM_WORLD, in_step(10, ""), &why));
        assert_int_equal(why.code, EXIT_DATA);
        check_named(why.what, c, bit / 8);
        flip(path, bit);
    }
    assert_true(verifies(MPI_COMM_WORLD, in_step(10, ""), &e));
    ckpt_close(c);
}

/* ---- beside ---- */

static void put(const char *name, const char *text)
{
    char path[256];
    sync_ranks();
    if (rank == 0) {
        snprintf(path, sizeof path, "%s/../hf/%s", dir, name);
        if (text)
            assert_true(file_replace(path, text, strlen(text), &(Err){0}));
        else
            assert_int_equal(unlink(path), 0);
    }
    sync_ranks();
}

static void files_beside_are_hashed(void **state)
{
    (void)state;
    Err e = { 0 };
    char folder[256];
    snprintf(folder, sizeof folder, "%s/../hf", dir);
    if (rank == 0)
        assert_true(dir_make(dir, &e) && dir_make(folder, &e));
    put("config.json", "{}");
    put("tokens.txt", "a b c");
    Model m = model_new(rank, size, 0);
    CkptMeta meta = meta_of(10);
    model_visit(&m, 10, true);
    snprintf(meta.beside, sizeof meta.beside, "hf");
    assert_true(ckpt_save(MPI_COMM_WORLD, dir, &meta, m.p, TENSORS, 0, &e));
    model_free(&m);
    static const struct { const char *name, *bad, *good, *says; } change[] = {
        { "config.json", "{ }", "{}", "hf/config.json is not the one" }, { "tokens.txt", NULL, "a b c", "hf/tokens.txt of the checkpoint is missing" },
        { "more.json", "1", NULL, "hf/more.json is none of the checkpoint's" },
    };
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        assert_true(verifies(MPI_COMM_WORLD, in_step(10, ""), &e));
        put(change[i].name, change[i].bad);
        Err why = { 0 };
        assert_false(verifies(MPI_COMM_WORLD, in_step(10, ""), &why));
        assert_int_equal(why.code, EXIT_DATA);
        assert_non_null(strstr(why.what, change[i].says));
        put(change[i].name, change[i].good);
    }
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        TEST(any_slices_are_filled), TEST(no_block_is_read_twice_or_in_vain), TEST(whole_looks_behind_what_is_wanted),
        TEST(a_bit_that_one_rank_reads_wrong), TEST(a_step_that_fails_on_one_rank), TEST(passed_over_while_it_is_filled),
        TEST(a_refusal_is_final), TEST(a_pruned_one_is_looked_for_again), TEST(verify_adds_up_the_tensors),
        TEST(verify_finds_a_thousand_flips), TEST(files_beside_are_hashed),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
    return run_all(&argc, &argv, tests);
}
