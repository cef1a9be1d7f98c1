/* Tar files: the kinds that people have, and every way in which one can lie about itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/source/tar.h"

static char path[64];
static uint8_t b[1 << 16];
static size_t n;

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/asvr-tar-%d.tar", (int)getpid());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void seal(uint8_t *h)
{
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (int i = 0; i < TAR_BLOCK; i++)
        sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
}

/* One more member; its header. */
static uint8_t *put(const char *name, char kind, const void *body, size_t bytes)
{
    uint8_t *h = b + n;
    assert_true(n + 2 * TAR_BLOCK + bytes <= sizeof b);
    memset(h, 0, TAR_BLOCK);
    memcpy(h, name, strnlen(name, 100));
    snprintf((char *)h + 124, 12, "%011o", (unsigned)(bytes & 0xffff));
    h[156] = (uint8_t)kind;
    memcpy(h + 257, "ustar\0" "00", 8);
    seal(h);
    n += TAR_BLOCK;
    memset(b + n, 0, (bytes + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK);
    memcpy(b + n, body, bytes);
    n += (bytes + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    return h;
}

static void write_file(size_t bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
}

static void finish(void)
{
    memset(b + n, 0, 1024);
    n += 1024;
    write_file(n);
}

static void begin(void) { n = 0; }

/* The one file of the tar is called so, and holds "body". */
static void is_named(const char *name)
{
    Tar t;
    Err e = { 0 };
    char body[5] = "";
    finish();
    if (!tar_open(&t, path, &e) || tar_next(&t, &e) != 1)
        fail_msg("%s: %s", name, e.what);
    assert_string_equal(t.name, name);
    assert_true(t.file && t.bytes == 4);
    assert_int_equal(file_pread(t.fd, body, 4, t.at), 4);
    assert_string_equal(body, "body");
    assert_int_equal(tar_next(&t, &e), 0);
    tar_close(&t);
}

static void names(void **state)
{
    (void)state;
    char line[400], text[300], pax[400];
    begin();
    put("./a/1.jpg", '0', "body", 4);
    is_named("a/1.jpg");
    begin();
    put("old", 0, "body", 4);
    is_named("old");
    memset(text, 'x', 200);
    text[200] = 0;
    begin();
    put("././@LongLink", 'L', text, 201);
    put("short", '0', "body", 4);
    is_named(text);
    begin();
    snprintf(line, sizeof line, "30 mtime=1350244992.023960108\n%d path=%s\n", 200 + 10, text);
    put("pax", 'x', line, strlen(line));
    put("short", '0', "body", 4);
    is_named(text);
    begin();                                            /* what pax says of the size holds */
    snprintf(pax, sizeof pax, "10 size=4\n");
    put("pax", 'x', pax, strlen(pax));
    snprintf((char *)put("sized", '0', "body", 4) + 124, 12, "%011o", 0);
    seal(b + 1024);
    is_named("sized");
    begin();
    memcpy(put("tail", '0', "body", 4) + 345, "some/folder", 11);
    seal(b);
    is_named("some/folder/tail");
    begin();                                            /* GNU keeps times where ustar has its prefix */
    uint8_t *h = put("gnu", '0', "body", 4);
    memcpy(h + 257, "ustar  ", 8);
    memcpy(h + 345, "01234567012", 11);
    seal(h);
    is_named("gnu");
    begin();                                            /* base 256 */
    memcpy(put("big", '0', "body", 4) + 124, "\x80\0\0\0\0\0\0\0\0\0\0\4", 12);
    seal(b);
    is_named("big");
}

/* `cat a.tar b.tar` is refused where a.tar ends; rubbish behind the end mark is not. */
static void joined(void **state)
{
    (void)state;
    Tar t;
    Err e = { 0 };
    for (int rubbish = 0; rubbish < 2; rubbish++) {
        begin();
        put("one", '0', "body", 4);
        memset(b + n, 0, 1024);
        n += 1024;
        b[148 + (put("two", '0', "body", 4) - b)] ^= (uint8_t)rubbish;
        finish();
        assert_true(tar_open(&t, path, &e) && tar_next(&t, &e) == 1);
        assert_int_equal(tar_next(&t, &e), rubbish ? 0 : -1);
        assert_true(rubbish ? !e.code : e.code == EXIT_DATA && strstr(e.what, "end mark") && strstr(e.where, "byte 2048"));
        tar_close(&t);
        e = (Err){ 0 };
    }
}

static void kinds(void **state)
{
    (void)state;
    Tar t;
    Err e = { 0 };
    begin();
    put("folder/", '5', "", 0);
    put("link", '2', "", 0);
    put("global", 'g', "18 comment=hello\n\n", 17);
    put("empty", '0', "", 0);
    finish();
    assert_true(tar_open(&t, path, &e));
    assert_true(tar_next(&t, &e) == 1 && !t.file);
    assert_true(tar_next(&t, &e) == 1 && !t.file);
    assert_true(tar_next(&t, &e) == 1 && t.file && t.bytes == 0);
    assert_string_equal(t.name, "empty");
    assert_int_equal(tar_next(&t, &e), 0);
    tar_close(&t);
}

/* Reading the file as it lies ends with this error at that byte. */
static void refused(size_t bytes, const char *what, long long byte)
{
    Tar t;
    Err e = { 0 };
    char where[32];
    write_file(bytes);
    int got = tar_open(&t, path, &e) ? 1 : -1;
    while (got == 1)
        got = tar_next(&t, &e);
    if (got == 0)
        fail_msg("\"%s\" is not said", what);
    assert_int_equal(e.code, EXIT_DATA);
    if (!strstr(e.what, what))
        fail_msg("\"%s\", not \"%s\"", e.what, what);
    assert_non_null(strstr(e.where, path));
    snprintf(where, sizeof where, "byte %lld", byte);
    if (byte >= 0 && !strstr(e.where, where))
        fail_msg("%s is said at %s, not at %s", what, e.where, where);
    tar_close(&t);
}

static void cut_off(void **state)
{
    (void)state;
    static char body[700];
    begin();
    put("1.jpg", '0', body, 700);
    put("1.txt", '0', "x", 1);
    const size_t all = n;
    finish();
    refused(0, "is empty", -1);
    refused(100, "in the middle of a header", 0);
    refused(512, "beyond the end", 0);
    refused(1211, "beyond the end", 0);
    refused(1212, "without its end mark", 1212);
    refused(1536, "without its end mark", 1536);
    refused(1600, "in the middle of a header", 1536);
    refused(2048, "beyond the end", 1536);
    refused(all, "without its end mark", (long long)all);
    refused(all + 100, "in the middle of a header", (long long)all);
    assert_int_equal(truncate(path, (off_t)all + 512), 0);
}

static void lies(void **state)
{
    (void)state;
    static const struct { int at, bytes; const char *is, *what; } lie[] = {
        { 124, 12, "77777777777", "beyond the end" },       { 124, 12, "0000000000x", "size is no number" },
        { 124, 12, "-0000000001", "size is no number" },    { 124, 12, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "size is no number" },
        { 124, 12, "\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "size is no number" },
        { 124, 12, "\x80\0\0\0\x0f\xff\xff\xff\xff\xff\xff\xff", "beyond the end" }, { 156, 1, "S", "sparse" },
    };
    for (size_t i = 0; i < sizeof lie / sizeof *lie; i++) {
        begin();
        put("0.txt", '0', "first", 5);
        uint8_t *h = put("1.jpg", '0', "body", 4);
        memcpy(h + lie[i].at, lie[i].is, (size_t)lie[i].bytes);
        seal(h);
        finish();
        refused(n, lie[i].what, 1024);
    }
    begin();
    put("0.txt", '0', "first", 5);
    put("1.jpg", '0', "body", 4)[0] ^= 1;
    finish();
    refused(n, "checksum", 1024);
    begin();
    memset(b, 'x', 2048);
    refused(2048, "no tar file", 0);
}

static void headers_that_speak_of_others(void **state)
{
    (void)state;
    static const char *const pax[] = { "9999 path=x\n", "9 path=x", "0 path=x\n", "path=x\n", "8 nothing\n", "10 size=x\n", "99999999999999999999 size=1\n",
                                       "26 size=99999999999999999\n" };
    static char name[5000];
    for (size_t i = 0; i < sizeof pax / sizeof *pax; i++) {
        begin();
        put("pax", 'x', pax[i], strlen(pax[i]));
        put("1.jpg", '0', "body", 4);
        finish();
        refused(n, i == 7 ? "beyond the end" : "damaged pax header", -1);
    }
    begin();
    put("pax", 'x', "22 GNU.sparse.major=1\n", 22);
    put("1.jpg", '0', "body", 4);
    finish();
    refused(n, "sparse", -1);
    memset(name, 'x', sizeof name - 1);
    begin();
    put("long", 'L', name, sizeof name);
    put("1.jpg", '0', "body", 4);
    finish();
    refused(n, "longer than 4096", -1);
    begin();                                            /* one that ends with a header of another */
    put("long", 'L', "name", 5);
    write_file(n);
    refused(n, "without its end mark", -1);
}

static void packed_ones(void **state)
{
    (void)state;
    static const struct { const char *begins, *name; size_t n; } kind[] = {
        { "\x1f\x8b\x08", "gzip", 3 }, { "\x28\xb5\x2f\xfd", "zstd", 4 }, { "\xfd" "7zXZ\0", "xz", 6 }, { "BZh9", "bzip2", 4 }, { "\x04\x22\x4d\x18", "lz4", 4 },
    };
    for (size_t i = 0; i < sizeof kind / sizeof *kind; i++) {
        memset(b, 7, 2048);
        memcpy(b, kind[i].begins, kind[i].n);
        char what[64];
        snprintf(what, sizeof what, "compressed by %s", kind[i].name);
        refused(2048, what, -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names), cmocka_unit_test(joined), cmocka_unit_test(kinds), cmocka_unit_test(cut_off), cmocka_unit_test(lies),
        cmocka_unit_test(headers_that_speak_of_others), cmocka_unit_test(packed_ones),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
