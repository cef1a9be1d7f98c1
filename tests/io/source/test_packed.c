/* What stands below the sources: the files that a text names, and packed files read as a stream. */

#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "io/source/bytes.h"
#include "io/source/globs.h"
#include "tests/io/source/source_case.h"

/* ---- files that a text names ---- */

static void finds(const char *text, const char *suffix, const char *const *names, int n)
{
    Globs g;
    Err e = { 0 };
    if (!globs_find(&g, file(text), suffix, &e))
        fail_msg("%s: %s (%s)", text, e.what, e.where);
    assert_int_equal(g.n, n);
    for (int i = 0; i < n; i++)
        if (strcmp(g.path[i], file(names[i])))
            fail_msg("%s: %s, not %s", text, g.path[i], names[i]);
    globs_free(&g);
}

static void finds_not(const char *text, const char *what)
{
    Globs g;
    Err e = { 0 };
    assert_false(globs_find(&g, file(text), NULL, &e));
    assert_int_equal(e.code, EXIT_DATA);
    if (!strstr(e.what, what))
        fail_msg("%s: %s", text, e.what);
}

static void test_globs(void **state)
{
    (void)state;
    mkdir(file("g"), 0777);
    mkdir(file("g/h[1]"), 0777);
    static const char *const made[] = { "g/00.tar", "g/01.tar", "g/09.tar", "g/10.tar", "g/x{0..1}.tar", "g/a.tar", "g/b[1].tar", "g/h[1]/z.tar", "g/note.txt" };
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        write_text(made[i], "x");
    finds("g/a.tar", NULL, (const char *const[]){ "g/a.tar" }, 1);
    finds("g/{00..01}.tar", NULL, (const char *const[]){ "g/00.tar", "g/01.tar" }, 2);
    finds("g/{09..10}.tar", NULL, (const char *const[]){ "g/09.tar", "g/10.tar" }, 2);
    finds("g/{b[1],a}.tar", NULL, (const char *const[]){ "g/b[1].tar", "g/a.tar" }, 2);
    finds("g/x{0..1}.tar", NULL, (const char *const[]){ "g/x{0..1}.tar" }, 1);
    finds("g/b[1].tar", NULL, (const char *const[]){ "g/b[1].tar" }, 1);
    finds("g/0*.tar", NULL, (const char *const[]){ "g/00.tar", "g/01.tar", "g/09.tar" }, 3);
    finds("g", ".tar", (const char *const[]){ "g/00.tar", "g/01.tar", "g/09.tar", "g/10.tar", "g/a.tar", "g/b[1].tar", "g/x{0..1}.tar" }, 7);
    finds("g/h[1]", ".tar", (const char *const[]){ "g/h[1]/z.tar" }, 1);
    finds("g", NULL, (const char *const[]){ "g" }, 1);
    finds_not("g/{00..02}.tar", "no such file");
    finds_not("g/q*.tar", "no file matches");
    finds_not("g/{03..01}.tar", "ends before it begins");
    finds_not("g/none.tar", "no such file");
    finds_not("g/{0..9999999}.tar", "no such file");
}

static void test_root(void **state)
{
    (void)state;
    static const struct { const char *one, *two, *root; int bytes; } of[] = {
        { "/d/a/0.tar", "/d/a/1.tar", "/d/a", 5 }, { "/d/a/0.tar", "/d/ab/1.tar", "/d", 3 }, { "a.tar", "b.tar", ".", 0 }, { "/a.tar", "/b.tar", "/", 1 },
        { "s/0.tar", "t/1.tar", ".", 0 }, { "s/x/0.tar", "s/0.tar", "s", 2 },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char root[PATH_ROOM], *path[] = { strdup(of[i].one), strdup(of[i].two) };
        const Globs g = { .path = path, .n = 2 };
        assert_int_equal(globs_root(&g, root), of[i].bytes);
        assert_string_equal(root, of[i].root);
        free(path[0]);
        free(path[1]);
    }
}

/* ---- packed files ---- */

enum { TEXT = 400000 };

static size_t gz(uint8_t *out, size_t room, const void *text, size_t n)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)room };
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static void unpacks(const char *name, const char *kind, const char *text, int64_t n)
{
    Err e = { 0 };
    char *got = malloc((size_t)n + 10);
    Bytes *b = bytes_open(file(name), &e);
    assert_non_null(b);
    assert_string_equal(bytes_packed(b), kind);
    for (int64_t at = 0, step = 1; at < n; at += step, step = min64(2 * step, n - at))
        assert_int_equal(bytes_read(b, got + at, step, &e), step);
    assert_int_equal(bytes_read(b, got + n, 10, &e), 0);
    assert_memory_equal(got, text, (size_t)n);
    bytes_close(b);
    free(got);
}

static void cut_is_said(const char *name, const uint8_t *packed, size_t n, size_t cut)
{
    static char block[TEXT * 2];
    Err e = { 0 };
    char where[32];
    write_bytes(name, packed, cut);
    Bytes *b = bytes_open(file(name), &e);
    assert_non_null(b);
    assert_int_equal(bytes_read(b, block, sizeof block, &e), -1);
    assert_int_equal(e.code, EXIT_DATA);
    snprintf(where, sizeof where, "byte %zu", cut);
    if (!strstr(e.what, "ends in the middle") || !strstr(e.where, where))
        fail_msg("%zu of %zu bytes: %s (%s)", cut, n, e.what, e.where);
    bytes_close(b);
}

static void test_packed(void **state)
{
    (void)state;
    static char text[2 * TEXT];
    static uint8_t packed[TEXT * 3];
    uint32_t x = 1;
    for (int i = 0; i < TEXT; i++)
        text[i] = "abcdefgh\n"[(x = x * 1664525 + 1013904223) >> 24 & 7];
    memcpy(text + TEXT, text, TEXT);
    write_bytes("plain", text, TEXT);
    unpacks("plain", "", text, TEXT);
    size_t n = gz(packed, sizeof packed, text, TEXT);
    write_bytes("one.gz", packed, n);
    unpacks("one.gz", "gzip", text, TEXT);
    for (int k = 1; k < 8; k++)
        cut_is_said("cut.gz", packed, n, n * (size_t)k / 8);
    cut_is_said("cut.gz", packed, n, n - 1);
    packed[n / 2] ^= 0x55;
    write_bytes("bad.gz", packed, n);
    Err e = { 0 };
    Bytes *b = bytes_open(file("bad.gz"), &e);
    while (bytes_read(b, packed, 1000, &e) > 0)
        ;
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.what, "damaged"));
    bytes_close(b);
    n = gz(packed, sizeof packed, text, TEXT);
    n += gz(packed + n, sizeof packed - n, text, TEXT);
    write_bytes("two.gz", packed, n);
    unpacks("two.gz", "gzip", text, 2 * TEXT);
    n = ZSTD_compress(packed, sizeof packed, text, TEXT, 3);
    write_bytes("one.zst", packed, n);
    unpacks("one.zst", "zstd", text, TEXT);
    for (int k = 1; k < 8; k++)
        cut_is_said("cut.zst", packed, n, n * (size_t)k / 8);
    n += ZSTD_compress(packed + n, sizeof packed - n, text, TEXT, 3);
    write_bytes("two.zst", packed, n);
    unpacks("two.zst", "zstd", text, 2 * TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_globs), cmocka_unit_test(test_root), cmocka_unit_test(test_packed) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
