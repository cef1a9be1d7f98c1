/* test_damage -- nothing that was damaged, cut or made up is believed: it is found, named, and costs no memory */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/set/frame.h"
#include "tests/io/set/sample_shard.h"

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

static void write_drawn(const char *path, int64_t n, bool eval)
{
    Err e = { 0 };
    ShardMeta m = drawn_meta(eval);
    ShardPart p = drawn_part(0, n);
    good(shard_write(MPI_COMM_SELF, path, &m, &p, &e), &e);
    part_free(&p);
}

static int64_t bytes_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
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
static bool readable(const char *path, bool eval, Err *e)
{
    Shards *s = shards_glob(path, eval ? SPLIT_VAL : SPLIT_TRAIN, e);
    if (!s)
        return false;
    ShardReader *r = reader_open(s);
    Sample sample;
    bool ok = true;
    for (int64_t i = 0; ok && i < shards_meta(s)->samples; i++)
        ok = reader_sample(r, i, &sample, e);
    reader_close(r);
    shards_close(s);
    return ok;
}

static void test_flipped_bytes(void **state)
{
    (void)state;
    write_drawn(file("a.h5"), 8, true);
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
        bool read = readable(file("a.h5"), true, &why), ok = shards_verify(file("a.h5"), &is, &whole);
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
    good(readable(file("a.h5"), true, &e), &e);
}

static void test_truncated(void **state)
{
    (void)state;
    write_drawn(file("a.h5"), 50, false);
    int64_t size = bytes_of(file("a.h5"));
    const int64_t left[] = { size - 1, size - 100, size / 2, 100, 8, 0 };
    for (size_t k = 0; k < sizeof left / sizeof *left; k++) {
        Err e = { 0 };
        uint64_t is;
        assert_int_equal(truncate(file("a.h5"), left[k]), 0);
        assert_false(shards_verify(file("a.h5"), &is, &e));
        assert_int_equal(e.code, EXIT_DATA);
    }
    /* Cut while it is open: what the index speaks of is no longer there.  (Sample 0 has no picture, sample 3 has.) */
    write_drawn(file("a.h5"), 50, false);
    Err e = { 0 }, cut = { 0 };
    Sample sample;
    Shards *s = shards_glob(file("a.h5"), SPLIT_TRAIN, &e);
    good(s, &e);
    ShardReader *r = reader_open(s);
    good(reader_sample(r, 0, &sample, &e), &e);
    assert_int_equal(truncate(file("a.h5"), 64), 0);
    assert_false(reader_sample(r, 3, &sample, &cut));
    assert_int_equal(cut.code, EXIT_DATA);
    assert_non_null(strstr(cut.where, "byte offset"));
    reader_close(r);
    shards_close(s);
}

/* A writer that believes what it is given makes a whole file of nonsense: readers must not follow it. */
static void nonsense(ShardPart *p, bool opens)
{
    Err e = { 0 }, open = { 0 }, verify = { 0 };
    ShardMeta m = drawn_meta(true);
    uint64_t is;
    good(shard_write(MPI_COMM_SELF, file("n.h5"), &m, p, &e), &e);
    assert_false(readable(file("n.h5"), true, &open));
    assert_int_equal(open.code, EXIT_DATA);
    assert_non_null(strstr(open.where, "n.h5"));
    assert_false(shards_verify(file("n.h5"), &is, &verify));
    assert_int_equal(verify.code, EXIT_DATA);
    Err only = { 0 };
    Shards *s = shards_glob(file("n.h5"), SPLIT_VAL, &only);
    assert_true(opens == (s != NULL));
    if (s)
        shards_close(s);
    part_free(p);
}

static void test_nonsense(void **state)
{
    (void)state;
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
    for (size_t k = 0; k < sizeof claim / sizeof *claim; k++) {
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
        assert_null(shards_glob(file("h.h5"), SPLIT_TRAIN, &no));
        assert_int_equal(no.code, EXIT_DATA);
        assert_non_null(strstr(no.where, "h.h5"));
    }
}

/* A frame that unpacks to more or less than it should, or is none, or lies nowhere, although its hash is right. */
static void test_hostile_frame(void **state)
{
    (void)state;
    enum { RAW = 100000 };
    char path[512], *zeros = some(RAW, 1), *packed = some(4096, 1), *raw = some(RAW, 1);
    snprintf(path, sizeof path, "%s/frame", dir);
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
    write_drawn(file("a.h5"), 40, false);
    for (int k = 0; k < 3; k++) {
        Err e = { 0 };
        Sample sample;
        Shards *s = shards_glob(file("a.h5"), SPLIT_TRAIN, &e);
        good(s, &e);
        ShardReader *r = reader_open(s);
        reader_limits(r, k == 1 ? 200 : T_VOCAB, k == 2 ? T_CODES / 2 : T_CODES);
        bool ok = true;
        for (int64_t i = 0; i < 40 && ok; i++)
            ok = reader_sample(r, i, &sample, &e);
        assert_true(ok == (k == 0));
        assert_int_equal(e.code, k ? EXIT_DATA : 0);
        reader_close(r);
        shards_close(s);
    }
}

int main(int argc, char **argv)
{
    h5_environment();
    MPI_Init(&argc, &argv);
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/asvr-damage-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(dir))
        MPI_Abort(MPI_COMM_WORLD, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flipped_bytes),  cmocka_unit_test(test_truncated),     cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_hostile_header), cmocka_unit_test(test_hostile_frame), cmocka_unit_test(test_limits),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file("a.h5"));
    unlink(file("h.h5"));
    unlink(file("n.h5"));
    if (rmdir(dir))
        perror(dir);
    MPI_Finalize();
    return failed != 0;
}
