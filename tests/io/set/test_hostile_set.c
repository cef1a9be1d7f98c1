/*
 * Hostile zstd frames, indexes and tables of indexes, their hashes made right: refused with EXIT_DATA and a place, or what they
 * say is not believed when a sample asks.  (test_damage.c has the headers of shards, and shards of nonsense.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/set/frame.h"
#include "tests/io/set/sample_shard.h"
#include "tests/io/set/sealed_index.h"

static char dir[200];

static const char *file(const char *name)
{
    static char path[2][300];
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

/* ---- frames ---- */

#define MAGIC "\x28\xB5\x2F\xFD"
#define HELLO "\x29\0\0hello"                          /* the last block, raw, 5 bytes */

/* Stored bytes, and the size that the index says; each of them is no frame of that size. */
static const struct { const char *name, *stored; size_t n; int64_t bytes; } frames[] = {
#define FRAME(name, stored, bytes) { name, stored, sizeof stored - 1, bytes }
    FRAME("one byte", "\0", 1), FRAME("no magic", "\0\0\0\0\0\0\0\0", 5), FRAME("magic alone", MAGIC, 5), FRAME("no block", MAGIC "\x20\5", 5),
    FRAME("a frame of nothing", MAGIC "\x20\0\1\0\0", 5), FRAME("larger than asked", MAGIC "\x20\5" HELLO, 4), FRAME("smaller than asked", MAGIC "\x20\5" HELLO, 6),
    FRAME("says 4, holds 5", MAGIC "\x20\4" HELLO, 5), FRAME("says 6, holds 5", MAGIC "\x20\6" HELLO, 5),
    FRAME("says 2^63", MAGIC "\xE0\0\0\0\0\0\0\0\x80" HELLO, 5), FRAME("says 2^64 - 1", MAGIC "\xE0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF" HELLO, 5), FRAME("says 2^32 + 5", MAGIC "\xE0\5\0\0\0\1\0\0\0" HELLO, 5),
    FRAME("window of 2^31", MAGIC "\0\xA8" HELLO, 6), FRAME("window of 2^41", MAGIC "\0\xFF" HELLO, 6), FRAME("a dictionary", MAGIC "\x21\7\5" HELLO, 5), FRAME("a dictionary of 4 bytes", MAGIC "\x23\1\2\3\4\5" HELLO, 5),
    FRAME("a reserved bit", MAGIC "\x28\5" HELLO, 5), FRAME("a block of no kind", MAGIC "\x20\5\x2F\0\0hello", 5), FRAME("a block past the end", MAGIC "\x20\5\xF9\xFF\xFFhello", 5),
    FRAME("a run of 2 MiB", MAGIC "\x60\5\0\xFB\xFF\xFFx", 261), FRAME("a run of 128 KiB, asked 5", MAGIC "\0\x58\3\0\x10x", 5), FRAME("not the last block", MAGIC "\x20\5\x28\0\0hello", 5),
    FRAME("a wrong checksum", MAGIC "\x24\5" HELLO "\0\0\0\0", 5), FRAME("a checksum cut off", MAGIC "\x24\5" HELLO "\0\0", 5), FRAME("a frame to be skipped", "\x50\x2A\x4D\x18\4\0\0\0abcd", 5),
    FRAME("skips past the end", "\x50\x2A\x4D\x18\xFF\xFF\xFF\xFF" "abcd", 5), FRAME("an old frame", "\x27\xB5\x2F\xFD\x20\5" HELLO, 5), FRAME("two frames", MAGIC "\x20\5" HELLO MAGIC "\x20\5" HELLO, 5),
    FRAME("text behind it", MAGIC "\x20\5" HELLO "x", 5), FRAME("packed nonsense", MAGIC "\x20\5\x2D\0\0hello", 5), FRAME("gzip", "\x1F\x8B\x08\0\0\0\0\0\0\3", 5),
};

static void frames_are_refused(void **state)
{
    (void)state;
    enum { ROOM = 4096 };
    uint8_t raw[ROOM];
    for (size_t k = 0; k < sizeof frames / sizeof *frames; k++) {
        Err made = { 0 }, e = { 0 };
        good(file_replace(file("frame"), frames[k].stored, frames[k].n, &made), &made);
        const int fd = open(file("frame"), O_RDONLY);
        const H5Chunk c = { .dataset = "pixels", .row = 3, .size = (int64_t)frames[k].n, .xxh64 = XXH64(frames[k].stored, frames[k].n, 0) };
        Frame f;
        frame_open(&f, c.size);
        memset(raw, 0x5A, ROOM);
        if (frame_read(&f, fd, "frame", &c, raw, frames[k].bytes, &e))
            fail_msg("%s is accepted", frames[k].name);
        frame_close(&f);
        close(fd);
        if (e.code != EXIT_DATA || strcmp(e.where, "frame, dataset \"pixels\", row 3, byte offset 0"))
            fail_msg("%s: %d at \"%s\"", frames[k].name, e.code, e.where);
        for (int64_t i = frames[k].bytes; i < ROOM; i++)
            assert_int_equal(raw[i], 0x5A);
    }
    print_message("%zu hostile frames\n", sizeof frames / sizeof *frames);
}

/* ---- the JSON of an index ---- */

/* One place of a good index, written otherwise. */
static const struct { const char *was, *is, *word; } lies[] = {
    { "\"samples\":3", "\"samples\":9223372036854775807", "samples" }, { "\"samples\":3", "\"samples\":9223372036854775808", "JSON" }, { "\"samples\":3", "\"samples\":-1", "samples" },
    { "\"samples\":3", "\"samples\":3.0", "samples" }, { "\"samples\":3", "\"samples\":\"3\"", "samples" }, { "\"samples\":3", "\"samples\":268435456", "rows" }, { "\"images\":3", "\"images\":1073741825", "" },
    { "\"tokens\":490", "\"tokens\":1099511627777", "" }, { "\"tokens\":490", "\"tokens\":491", "rows" }, { "\"bytes\":8061", "\"bytes\":0", "bytes" }, { "\"bytes\":8061", "\"bytes\":9223372036854775807", "bytes" },
    { "\"fingerprint_at\":6983", "\"fingerprint_at\":8046", "fingerprint_at" }, { "\"fingerprint_at\":6983", "\"fingerprint_at\":-1", "fingerprint_at" }, { "\"stored\":\"00e9b62bd7b61177\"", "\"stored\":\"00e9\"", "stored" },
    { "\"stored\":\"00e9b62bd7b61177\"", "\"stored\":\"-0e9b62bd7b61177\"", "stored" }, { "\"stored\":\"00e9b62bd7b61177\"", "\"stored\":\" 0x9b62bd7b61177\"", "stored" }, { "\"rows\":[3,", "\"rows\":[0,", "rows" }, { "\"rows\":[3,", "\"rows\":[1152921504606846976,", "rows" }, { "\"rows\":[3,0,", "\"rows\":[3,", "rows" },
    { "\"chunks\":[1,", "\"chunks\":[2,", "chunks" }, { "\"chunks\":[1,", "\"chunks\":[-1,", "chunks" }, { "\"chunks\":[1,0", "\"chunks\":[1,1", "chunks" }, { "\"rest\":3", "\"rest\":1099511627776", "" }, { "\"rest\":3", "\"rest\":999999", "do not fit" },
    { "\"tables\":496", "\"tables\":16384", "do not fit" }, { "\"tables\":496", "\"tables\":9223372036854775807", "tables" }, { "\"most\":[181,", "\"most\":[4194305,", "larger than" }, { "\"most\":[181,1", "\"most\":[181,1025", "larger than" },
    { "\"most\":[181,1,0,1055]", "\"most\":[181,1,0,9999999999]", "larger than" }, { "\"name\":\"train-00000-00e9b62bd7b61177.h5\"", "\"name\":\"../index.set\"", "no name" }, { "\"name\":\"train-00000-00e9b62bd7b61177.h5\"", "\"name\":\"/etc/passwd\"", "no name" },
    { "\"name\":\"train-00000-00e9b62bd7b61177.h5\"", "\"name\":\"\"", "no name" }, { "\"name\":\"train-00000-00e9b62bd7b61177.h5\"", "\"name\":\".hidden\"", "no name" }, { "\"name\":\"train-00000-00e9b62bd7b61177.h5\"", "\"name\":\"a\\u0000b\"", "JSON" },
    { "\"name\":\"train-00000-00e9b62bd7b61177.h5\"", "\"name\":\"0123456789012345678901234567890123456789012345678901234567890123\"", "name" }, { "\"name\":\"train-00000-00e9b62bd7b61177.h5\"", "\"name\":7", "name" },
    { "\"split\":\"train\"", "\"split\":\"val\"", "rows of" }, { "\"split\":\"val\"", "\"split\":\"train\"", "rows of" }, { "\"split\":\"train\"", "\"split\":\"test\"", "split" }, { "\"image\":16", "\"image\":4097", "image" }, { "\"image\":16", "\"image\":0", "image" }, { "\"patch\":8", "\"patch\":17", "patch" },
    { "\"patch\":8", "\"patch\":0", "patch" }, { "\"scales\":1", "\"scales\":3", "scales" }, { "\"scales\":1", "\"scales\":0", "scales" }, { "\"scales\":1", "\"scales\":17", "scales" }, { "\"depth\":0", "\"depth\":65", "depth" }, { "\"depth\":0", "\"depth\":4", "rows" },
    { "\"store\":\"delta\"", "\"store\":\"zip\"", "store" }, { "\"template\":\"v1\"", "\"template\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"", "template" }, { "\"held\":0", "\"held\":2305843009213693952", "" },
    { "\"held\":0", "\"held\":99999", "held-out" }, { "\"held_out\":832", "\"held_out\":-8", "held_out" }, { "\"kinds\":{", "\"kind\":{", "train" }, { "\"train\":[0,0,0]", "\"train\":[0,0]", "train" }, { "\"shards\":[", "\"shards\":{},\"x\":[", "shards" },
    { "\"eval\":true", "\"eval\":true,\"eval\":true", "JSON" }, { "\"source\":\"scenes\"", "\"source\":\"\xFF\"", "JSON" }, { "{\"image\"", "[{\"image\"", "JSON" },
};

static void judged(const char *name, const uint8_t *bytes, size_t n, const char *word)
{
    Err made = { 0 }, e = { 0 };
    good(file_replace(file("lie.set"), bytes, n, &made), &made);
    Index *x = index_open(file("lie.set"), &e);
    if (x)
        fail_msg("%s is accepted", name);
    if (e.code != EXIT_DATA || !strstr(e.what, word) || strcmp(e.where, file("lie.set")))
        fail_msg("%s: expected \"%s\", got %d \"%s\" at \"%s\"", name, word, e.code, e.what, e.where);
}

static void indexes_are_refused(void **state)
{
    (void)state;
    Err e = { 0 };
    char *base;
    size_t n, all;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    good(file_read("tests/fuzz/corpus/index/two_shards", 1 << 20, &base, &n, &e), &e);
    for (size_t k = 0; k < sizeof lies / sizeof *lies; k++) {
        const char *at = strstr(base, lies[k].was);
        if (!at)
            fail_msg("the index has no %s", lies[k].was);
        const size_t head = (size_t)(at - base), was = strlen(lies[k].was), is = strlen(lies[k].is);
        uint8_t *lie = malloc(n + is);
        memcpy(lie, base, head);
        memcpy(lie + head, lies[k].is, is);
        memcpy(lie + head + is, base + head + was, n - head - was);
        uint8_t *bytes = index_sealed(lie, n + is - was, &all);
        judged(lies[k].is, bytes, all, lies[k].word);
        free(bytes);
        free(lie);
    }
    uint8_t *bytes = index_sealed((const uint8_t *)base, n, &all);
    static const struct { int at; const char *is, *word; } line[] = {
        { 0, "xsvr", "no index" }, { 9, "2", "version" }, { 9, "0", "" }, { 28, "-", "" }, { 28, "9999999999", "" }, { 39, "4294967297", "" }, { 39, "0000000009", "cut off" }, { 50, "x", "not as it was written" }, { 63, " ", "not as it was written" },
    };
    for (size_t k = 0; k < sizeof line / sizeof *line; k++) {
        uint8_t *other = malloc(all);
        memcpy(other, bytes, all);
        memcpy(other + line[k].at, line[k].is, strlen(line[k].is));
        judged(line[k].is, other, all, line[k].word);
        free(other);
    }
    for (size_t cut = 0; cut < all; cut += 1 + all / 16)
        judged("cut", bytes, cut, "");
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10);           /* KiB */
    print_message("%zu hostile indexes\n", sizeof lies / sizeof *lies + sizeof line / sizeof *line);
    free(bytes);
    free(base);
}

/* ---- tables ---- */

enum { N = 12 };

typedef enum { PIECE_OFFSET, PIECE_SIZE, PIECE_HASH, IMAGE_START, TOKEN_START } Table;

/* The first entry of a table, or entry `i` of it. */
static const struct { Table table; int i; int64_t is; } tables[] = {
    { PIECE_OFFSET, 0, -1 }, { PIECE_OFFSET, 0, INT64_MAX }, { PIECE_OFFSET, 0, INT64_MIN }, { PIECE_OFFSET, 0, 0 }, { PIECE_OFFSET, 0, 1 << 30 }, { PIECE_OFFSET, 1, 7 },
    { PIECE_SIZE, 0, 0 }, { PIECE_SIZE, 0, -1 }, { PIECE_SIZE, 0, INT64_MAX }, { PIECE_SIZE, 0, INT64_MIN }, { PIECE_SIZE, 0, 1 << 30 }, { PIECE_SIZE, 0, 1 }, { PIECE_HASH, 0, 7 }, { PIECE_HASH, 1, 0 },
    { IMAGE_START, 0, 1 }, { IMAGE_START, 1, -1 }, { IMAGE_START, 3, INT64_MAX }, { IMAGE_START, 3, INT64_MIN }, { IMAGE_START, 5, 0 }, { IMAGE_START, N, 1 << 20 }, { IMAGE_START, 4, 900 },
    { TOKEN_START, 0, INT64_MIN }, { TOKEN_START, 2, INT64_MAX }, { TOKEN_START, 2, 0 }, { TOKEN_START, N, INT64_MAX }, { TOKEN_START, 6, -7 }, { TOKEN_START, N, 0 },
};

static void one_table(Table table, int i, int64_t is)
{
    Err e = { 0 };
    Index *x = index_new(file("t.set"));
    good(index_add(x, file("t.h5"), "t.h5", SPLIT_TRAIN, 0, &e), &e);
    const IndexShard *s = &x->shard[0];
    const int64_t at = table <= PIECE_HASH ? s->tables + i * (int64_t)sizeof(IndexPiece) + 8 * table : index_starts(s, table - IMAGE_START) + 8 * i;
    memcpy(x->memory + at, &is, sizeof is);
    good(index_write(x, &e), &e);
    index_close(x);
    Err said = { 0 };
    Shards *shards = shards_open(file("t.set"), SPLIT_TRAIN, &said);
    good(shards, &said);
    ShardReader *r = reader_open(shards);
    int bad = 0;
    for (int64_t k = 0; k < N; k++) {
        Sample sample;
        Err why = { 0 };
        if (reader_sample(r, k, &sample, &why))
            continue;
        bad++;
        if (why.code != EXIT_DATA || !why.what[0] || !why.where[0])
            fail_msg("table %d[%d] = %lld: %d \"%s\" at \"%s\"", table, i, (long long)is, why.code, why.what, why.where);
    }
    if (!bad)
        fail_msg("table %d[%d] = %lld is believed", table, i, (long long)is);
    reader_close(r);
    shards_close(shards);
}

static void tables_are_not_believed(void **state)
{
    (void)state;
    Err e = { 0 };
    ShardMeta m = drawn_meta(false);
    ShardPart p = drawn_part(0, N);
    good(shard_write(MPI_COMM_SELF, file("t.h5"), &m, &p, &e), &e);
    part_free(&p);
    for (size_t k = 0; k < sizeof tables / sizeof *tables; k++)
        one_table(tables[k].table, tables[k].i, tables[k].is);
    print_message("%zu hostile tables\n", sizeof tables / sizeof *tables);
}

int main(int argc, char **argv)
{
    h5_environment();
    MPI_Init(&argc, &argv);
    Err e = { 0 };
    snprintf(dir, sizeof dir, "%s/asvr-hostile-set-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(dir))
        MPI_Abort(MPI_COMM_WORLD, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_refused), cmocka_unit_test(indexes_are_refused), cmocka_unit_test(tables_are_not_believed),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dir_remove(dir, &e);
    MPI_Finalize();
    return failed;
}
