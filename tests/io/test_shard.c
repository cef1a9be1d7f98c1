/* test_shard -- any number of ranks writes the same content; nothing that was damaged is believed */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/frame.h"
#include "tests/io/sample_shard.h"

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

            Shards *s = shards_open(file("a*.h5"), &e);
            good(s, &e);
            const ShardMeta *got = shards_meta(s);
            assert_true(got->samples == N && got->image == T_IMAGE && got->patch == T_PATCH && got->depth == T_DEPTH);
            assert_true(got->text_model == m.text_model && got->codes_model == m.codes_model && got->eval == eval);
            assert_string_equal(got->template_, "v1");
            assert_string_equal(got->tasks, m.tasks);
            assert_string_equal(got->baseline, m.baseline);
            ShardReader *r = reader_open(s, &e);
            good(r, &e);
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
    assert_null(shards_open(file("[ab].h5"), &no));
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
    Shards *s = shards_open(file("a-*.h5"), &e);
    good(s, &e);
    assert_int_equal(shards_meta(s)->samples, 41);
    ShardReader *r = reader_open(s, &e);
    for (int64_t i = 0; i < 41; i++) {
        Sample sample;
        good(reader_sample(r, i, &sample, &e), &e);
        assert_true(is_drawn(&sample, i < 30 ? i : i - 30, false));
        assert_non_null(strstr(shards_path(s, i), i < 30 ? "a-10.h5" : "a-2.h5"));
    }
    reader_close(r);
    shards_close(s);
    assert_null(shards_open(file("no-*.h5"), &none));
    assert_int_equal(none.code, EXIT_DATA);
    assert_non_null(strstr(none.hint, "asvr pack"));
    assert_null(shards_open(file("a-3.h5"), &empty));
    assert_int_equal(empty.code, EXIT_DATA);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void flip(const char *path, int64_t at)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1 << (at % 8);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Opens and reads everything as training does. */
static bool readable(const char *path, Err *e)
{
    Shards *s = shards_open(path, e);
    if (!s)
        return false;
    ShardReader *r = reader_open(s, e);
    Sample sample;
    bool ok = r != NULL;
    for (int64_t i = 0; ok && i < shards_meta(s)->samples; i++)
        ok = reader_sample(r, i, &sample, e);
    reader_close(r);
    shards_close(s);
    return ok;
}

static void test_flipped_bytes(void **state)
{
    (void)state;
    ShardMeta m = drawn_meta(true);
    write_drawn(file("a.h5"), 8, ranks, &m);
    if (rank == 0) {
        Err e = { 0 };
        H5Chunk *chunk = NULL;
        int64_t n = 0, size = bytes_of(file("a.h5"));
        uint64_t right, is;
        uint8_t *stored = some(size, 1);
        good(shards_verify(file("a.h5"), &right, &e), &e);
        H5 *h = h5_open(MPI_COMM_NULL, file("a.h5"), &e);
        good(h && h5_hash_read(h, "hash", &chunk, &n, 1000, &e) && h5_close(h, &e), &e);
        assert_int_equal(n, SHARD_ARRAYS);
        for (int64_t c = 0; c < n; c++)
            memset(stored + chunk[c].offset, 1, (size_t)chunk[c].size);
        free(chunk);
        /* A step that is prime to 8 meets every bit's place; wider outside the chunks, in HDF5's own metadata. */
        for (int64_t at = 0; at < size; at += stored[at] ? 5 : 23) {
            Err why = { 0 }, whole = { 0 };
            flip(file("a.h5"), at);
            bool read = readable(file("a.h5"), &why), ok = shards_verify(file("a.h5"), &is, &whole);
            if (stored[at])
                assert_false(read);
            if (read)
                assert_true(ok);                /* a byte that nothing uses */
            if (ok)
                assert_true(is == right);
            else
                assert_true(whole.code == EXIT_DATA && strstr(whole.where, "a.h5"));
            flip(file("a.h5"), at);
        }
        free(stored);
        good(readable(file("a.h5"), &e), &e);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static void test_truncated(void **state)
{
    (void)state;
    ShardMeta m = drawn_meta(false);
    write_drawn(file("a.h5"), 50, 1, &m);
    if (rank == 0) {
        int64_t size = bytes_of(file("a.h5"));
        const int64_t left[] = { size - 1, size - 100, size / 2, 100, 8, 0 };
        for (size_t k = 0; k < sizeof left / sizeof *left; k++) {
            Err e = { 0 };
            uint64_t is;
            assert_int_equal(truncate(file("a.h5"), left[k]), 0);
            assert_false(shards_verify(file("a.h5"), &is, &e));
            assert_int_equal(e.code, EXIT_DATA);
        }
    }
    MPI_Barrier(MPI_COMM_WORLD);
    /* Cut while it is open: what HDF5 has seen is no longer there. */
    write_drawn(file("a.h5"), 50, 1, &m);
    if (rank == 0) {
        Err e = { 0 }, cut = { 0 };
        Sample sample;
        Shards *s = shards_open(file("a.h5"), &e);
        good(s, &e);
        ShardReader *r = reader_open(s, &e);
        assert_int_equal(truncate(file("a.h5"), 64), 0);
        assert_false(reader_sample(r, 3, &sample, &cut));
        assert_int_equal(cut.code, EXIT_DATA);
        assert_non_null(strstr(cut.where, "byte offset"));
        reader_close(r);
        shards_close(s);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

/* A writer that believes what it is given makes a whole file of nonsense: readers must not follow it. */
static void nonsense(ShardPart *p, bool opens)
{
    Err e = { 0 }, open = { 0 }, verify = { 0 };
    ShardMeta m = drawn_meta(true);
    uint64_t is;
    good(shard_write(MPI_COMM_SELF, file("n.h5"), &m, p, &e), &e);
    assert_false(readable(file("n.h5"), &open));
    assert_int_equal(open.code, EXIT_DATA);
    assert_non_null(strstr(open.where, "n.h5"));
    assert_false(shards_verify(file("n.h5"), &is, &verify));
    assert_int_equal(verify.code, EXIT_DATA);
    Err only = { 0 };
    Shards *s = shards_open(file("n.h5"), &only);
    assert_true(opens == (s != NULL));
    if (s)
        shards_close(s);
    part_free(p);
}

static void test_nonsense(void **state)
{
    (void)state;
    if (rank == 0) {
        ShardPart p = drawn_part(0, 12);
        ((int64_t *)p.image_start)[5] = p.image_start[7];       /* goes down behind it */
        nonsense(&p, false);
        p = drawn_part(0, 12);
        ((int64_t *)p.token_start)[4] = INT64_C(1) << 62;
        nonsense(&p, false);
        p = drawn_part(0, 12);
        ((int64_t *)p.token_start)[0] = 1;
        nonsense(&p, false);
        p = drawn_part(0, 12);
        ((int64_t *)p.answer_start)[3] = -1;
        nonsense(&p, false);
        p = drawn_part(0, 12);
        ((int32_t *)p.tokens_)[p.token_start[2]] = IMAGE_TOKEN; /* a place without an image */
        nonsense(&p, true);
        p = drawn_part(0, 12);
        ((int32_t *)p.tokens_)[p.token_start[2]] = -7;
        nonsense(&p, true);
        p = drawn_part(0, 12);
        ((int32_t *)p.labels)[3] = -1;
        nonsense(&p, true);
        p = drawn_part(0, 12);
        ((int32_t *)p.task)[3] = 2;                             /* of two tasks */
        nonsense(&p, true);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Attributes that claim what no file holds are refused before anything is allocated. */
static void test_hostile_header(void **state)
{
    (void)state;
    static const struct { const char *name; int64_t value; } claim[] = {
        { "samples", INT64_C(1) << 62 }, { "samples", -1 }, { "images", INT64_MAX }, { "tokens", INT64_MAX },
        { "image", 65535 }, { "image", 0 }, { "patch", 0 }, { "patch", 5 }, { "depth", 1000 }, { "version", 2 },
        { "samples", INT64_C(1) << 28 },
    };
    static const struct { const char *name; int64_t value; } right[] = {
        { "version", 1 }, { "samples", 3 }, { "images", 1 }, { "tokens", 9 }, { "image", 16 }, { "patch", 4 }, { "depth", 0 },
    };
    for (size_t k = 0; k < sizeof claim / sizeof *claim && rank == 0; k++) {
        Err e = { 0 }, no = { 0 };
        H5 *h = h5_create(MPI_COMM_NULL, file("h.h5"), &e);
        good(h && h5_attr_write_str(h, "format", "asvr-shard", &e), &e);
        for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
            bool claimed = !strcmp(right[i].name, claim[k].name);
            good(h5_attr_write_i64(h, right[i].name, claimed ? claim[k].value : right[i].value, &e), &e);
        }
        static const char *const hex[] = { "text_model", "codes_model", "fingerprint" };
        for (int i = 0; i < 3; i++)
            good(h5_attr_write_str(h, hex[i], "0000000000000000", &e), &e);
        good(h5_attr_write_str(h, "template", "v1", &e) && h5_attr_write_str(h, "source", "x", &e), &e);
        good(h5_close(h, &e), &e);
        assert_null(shards_open(file("h.h5"), &no));
        assert_int_equal(no.code, EXIT_DATA);
        assert_non_null(strstr(no.where, "h.h5"));
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

/* A frame that unpacks to more or less than it should, or is none, or lies nowhere, although its hash is right. */
static void test_hostile_frame(void **state)
{
    (void)state;
    enum { RAW = 100000 };
    char path[512], *zeros = some(RAW, 1), *packed = some(4096, 1), *raw = some(RAW, 1);
    snprintf(path, sizeof path, "%s/frame-%d", dir, rank);
    int64_t size = (int64_t)ZSTD_compress(packed, 4096, zeros, RAW, 3);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(pwrite(fd, packed, (size_t)size, 0), size);
    const struct { int64_t offset, size, bytes; bool loads, unpacks; } c[] = {
        { 0, size, RAW, true, true },      { 0, size, RAW - 1, true, false }, { 0, size, 8, true, false },
        { 0, size - 1, RAW, true, false }, { 1, size - 1, RAW, true, false }, { 1, size, RAW, false, false },
        { 0, 4097, RAW, false, false },    { 0, 0, RAW, false, false },       { -1, size, RAW, false, false },
        { INT64_MAX - 1, size, RAW, false, false },
    };
    Frame f;
    frame_open(&f, 4096);
    for (size_t k = 0; k < sizeof c / sizeof *c; k++) {
        Err load = { 0 }, unpack = { 0 };
        H5Chunk chunk = { .dataset = "pixels", .offset = c[k].offset, .size = c[k].size };
        assert_true(frame_load(&f, fd, path, &chunk, &chunk.xxh64, &load) == c[k].loads);
        assert_int_equal(load.code, c[k].loads ? 0 : EXIT_DATA);
        memset(raw, 1, RAW);
        assert_true(frame_read(&f, fd, path, &chunk, raw, c[k].bytes, &unpack) == c[k].unpacks);
        assert_int_equal(unpack.code, c[k].unpacks ? 0 : EXIT_DATA);
        assert_true(c[k].bytes == RAW || raw[c[k].bytes] == 1);         /* nothing behind the buffer is touched */
    }
    frame_close(&f);
    close(fd);
    unlink(path);
    free(zeros);
    free(packed);
    free(raw);
}

static void test_limits(void **state)
{
    (void)state;
    ShardMeta m = drawn_meta(false);
    write_drawn(file("a.h5"), 40, 1, &m);
    for (int k = 0; k < 3; k++) {
        Err e = { 0 };
        Sample sample;
        Shards *s = shards_open(file("a.h5"), &e);
        good(s, &e);
        ShardReader *r = reader_open(s, &e);
        reader_limits(r, k == 1 ? 200 : T_VOCAB, k == 2 ? T_CODES / 2 : T_CODES);
        bool ok = true;
        for (int64_t i = 0; i < 40 && ok; i++)
            ok = reader_sample(r, i, &sample, &e);
        assert_true(ok == (k == 0));
        assert_int_equal(e.code, k ? EXIT_DATA : 0);
        reader_close(r);
        shards_close(s);
    }
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
    static const char *const name[] = { "a.h5", "b.h5", "c.h5", "h.h5", "n.h5", "a-10.h5", "a-2.h5", "a-3.h5" };
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
        cmocka_unit_test(test_several_files),       cmocka_unit_test(test_flipped_bytes),
        cmocka_unit_test(test_truncated),           cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_hostile_header),      cmocka_unit_test(test_hostile_frame),
        cmocka_unit_test(test_limits),              cmocka_unit_test(test_full_disk),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        clean();
    MPI_Finalize();
    return failed != 0;
}
