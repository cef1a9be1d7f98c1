/* test_shard -- any number of ranks writes the same file, byte for byte, or none at all */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/io/set/sample_shard.h"

static int  rank, ranks;
static char dir[256];

static const char *file(const char *name)
{
    static char path[2][512];
    static int which;
    which = !which;
    snprintf(path[which], sizeof path[which], "%s/%s", dir, name);
    return path[which];
}

static void good(bool ok, const Err *e)
{
    if (!ok)
        fail_msg("%s (%s; expected %s, got %s)", e->what, e->where, e->expected, e->got);
}

/* n samples, written by `writers` ranks; of three or more the second has none.  Collective over all ranks. */
static void write_drawn(const char *path, int64_t n, int writers, const ShardMeta *m)
{
    MPI_Comm comm;
    MPI_Comm_split(MPI_COMM_WORLD, rank < writers ? 0 : MPI_UNDEFINED, rank, &comm);
    if (comm != MPI_COMM_NULL) {
        Err e = { 0 };
        int holders = writers > 2 ? writers - 1 : writers, me = writers > 2 && rank > 1 ? rank - 1 : rank;
        int64_t first = n * me / holders, end = writers > 2 && rank == 1 ? first : n * (me + 1) / holders;
        ShardPart p = drawn_part(first, end - first);
        good(shard_write(comm, path, m, &p, &e), &e);
        part_free(&p);
        MPI_Comm_free(&comm);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static int64_t bytes_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static bool same_bytes(const char *a, const char *b)
{
    int64_t n = bytes_of(a);
    char *x = some(n, 1), *y = some(n, 1);
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    bool same = bytes_of(b) == n && fread(x, 1, (size_t)n, f) == (size_t)n && fread(y, 1, (size_t)n, g) == (size_t)n &&
                !memcmp(x, y, (size_t)n);
    fclose(f);
    fclose(g);
    free(x);
    free(y);
    return same;
}

/* Enough for two chunks and a part of each array. */
static void test_any_number_of_ranks(void **state)
{
    (void)state;
    enum { N = 700 };
    for (int eval = 0; eval < 2; eval++) {
        uint64_t first = 0;
        ShardMeta m = drawn_meta(eval);
        for (int writers = 1; writers <= ranks; writers++) {
            Err e = { 0 };
            uint64_t is;
            write_drawn(file("a.h5"), N, writers, &m);
            if (writers == 1)
                write_drawn(file("b.h5"), N, 1, &m);
            assert_true(same_bytes(file("a.h5"), file("b.h5")));
            assert_int_not_equal(access(file("a.h5.tmp"), F_OK), 0);
            good(shards_verify(file("a.h5"), &is, &e), &e);
            if (writers == 1)
                first = is;
            assert_true(is == first);

            Shards *s = shards_glob(file("a*.h5"), eval ? SPLIT_VAL : SPLIT_TRAIN, &e);
            good(s, &e);
            const ShardMeta *got = shards_meta(s);
            assert_true(got->samples == N && got->image == T_IMAGE && got->patch == T_PATCH && got->depth == T_DEPTH);
            assert_true(got->text_model == m.text_model && got->codes_model == m.codes_model && got->eval == eval);
            assert_string_equal(got->template_, "v1");
            assert_string_equal(got->tasks, m.tasks);
            assert_string_equal(got->baseline, m.baseline);
            ShardReader *r = reader_open(s);
            for (int64_t k = 0; k < N; k++) {
                int64_t i = k * 269 % N;                /* out of order: 269 and 700 have no common divisor */
                Sample sample;
                good(reader_sample(r, i, &sample, &e), &e);
                assert_true(is_drawn(&sample, i, eval));
                assert_in_range(sample.n_tokens, 0, shards_max_tokens(s));
                assert_in_range(sample.n_images, 0, shards_max_images(s));
            }
            reader_close(r);
            shards_close(s);
            MPI_Barrier(MPI_COMM_WORLD);
        }
    }
}

static void test_fingerprint_knows_all(void **state)
{
    (void)state;
    ShardMeta m = drawn_meta(false), other = m;
    other.text_model++;
    write_drawn(file("a.h5"), 20, 1, &m);
    write_drawn(file("b.h5"), 20, 1, &other);
    write_drawn(file("c.h5"), 21, 1, &m);
    Err e = { 0 };
    uint64_t a = 0, b = 0, c = 0;
    good(shards_verify(file("a.h5"), &a, &e), &e);
    good(shards_verify(file("b.h5"), &b, &e), &e);
    good(shards_verify(file("c.h5"), &c, &e), &e);
    assert_true(a != b && a != c && b != c);
    Err no = { 0 };
    assert_null(shards_glob(file("[ab].h5"), SPLIT_TRAIN, &no));
    assert_int_equal(no.code, EXIT_DATA);
    assert_non_null(strstr(no.what, "text_model"));
    MPI_Barrier(MPI_COMM_WORLD);
}

static void test_several_files(void **state)
{
    (void)state;
    ShardMeta m = drawn_meta(false);
    write_drawn(file("a-10.h5"), 30, 1, &m);
    write_drawn(file("a-2.h5"), 11, 1, &m);
    write_drawn(file("a-3.h5"), 0, ranks, &m);
    Err e = { 0 }, none = { 0 }, empty = { 0 };
    Shards *s = shards_glob(file("a-*.h5"), SPLIT_TRAIN, &e);
    good(s, &e);
    assert_int_equal(shards_meta(s)->samples, 41);
    ShardReader *r = reader_open(s);
    for (int64_t i = 0; i < 41; i++) {
        Sample sample;
        good(reader_sample(r, i, &sample, &e), &e);
        assert_true(is_drawn(&sample, i < 30 ? i : i - 30, false));
    }
    reader_close(r);
    shards_close(s);
    assert_null(shards_glob(file("no-*.h5"), SPLIT_TRAIN, &none));
    assert_int_equal(none.code, EXIT_DATA);
    assert_non_null(strstr(none.hint, "asvr pack"));
    assert_null(shards_glob(file("a-3.h5"), SPLIT_TRAIN, &empty));
    assert_int_equal(empty.code, EXIT_DATA);
    MPI_Barrier(MPI_COMM_WORLD);
}

/* The disk fills up: all ranks learn it, and nothing is left behind. */
static void test_full_disk(void **state)
{
    (void)state;
    ShardMeta m = drawn_meta(false);
    ShardPart p = drawn_part(rank * 100, 100);
    Err no = { 0 }, full = { 0 };
    assert_false(shard_write(MPI_COMM_WORLD, file("no/a.h5"), &m, &p, &no));
    assert_int_equal(no.code, EXIT_IO);
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 16 << 10;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    bool ok = shard_write(MPI_COMM_WORLD, file("full.h5"), &m, &p, &full);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_false(ok);
    assert_int_equal(full.code, EXIT_IO);
    MPI_Barrier(MPI_COMM_WORLD);
    assert_int_not_equal(access(file("full.h5"), F_OK), 0);
    assert_int_not_equal(access(file("full.h5.tmp"), F_OK), 0);
    part_free(&p);
}

static void clean(void)
{
    static const char *const name[] = { "a.h5", "b.h5", "c.h5", "a-10.h5", "a-2.h5", "a-3.h5" };
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        unlink(file(name[i]));
    if (rmdir(dir))
        perror(dir);
}

int main(int argc, char **argv)
{
    setenv("CMOCKA_TEST_ABORT", "1", 1);        /* a failure on one rank must not leave the others waiting */
    h5_environment();
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/asvr-shard-XXXXXX", base ? base : "/tmp");
    if (rank == 0 && !mkdtemp(dir))
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Bcast(dir, sizeof dir, MPI_CHAR, 0, MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_number_of_ranks), cmocka_unit_test(test_fingerprint_knows_all),
        cmocka_unit_test(test_several_files),       cmocka_unit_test(test_full_disk),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        clean();
    MPI_Finalize();
    return failed != 0;
}
