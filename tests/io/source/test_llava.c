/* LLaVA-style JSON, record by record: 300 records in both forms, then everything that can be wrong with a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/rng.h"
#include "io/base/files.h"
#include "io/source/llava.h"

static char dir[] = "/tmp/asvr-llava-XXXXXX", json[64], root[64];

static const char *file(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_bytes(const char *path, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(json, sizeof json, "%s/data.json", dir);
    snprintf(root, sizeof root, "%s/pictures", dir);
    mkdir(root, 0777);
    mkdir(file("pictures/sub"), 0777);
    write_bytes(file("pictures/sub/a b.png"), "x", 1);
    write_bytes(file("pictures/é.png"), "x", 1);
    write_bytes(file("secret.png"), "x", 1);
    mkdir(file("pictures.old"), 0777);
    write_bytes(file("pictures.old/a.png"), "x", 1);
    assert_int_equal(symlink("../pictures.old/a.png", file("pictures/beside.png")), 0);
    assert_int_equal(symlink("sub/a b.png", file("pictures/inside.png")), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    Err e = { 0 };
    return dir_remove(dir, &e) ? 0 : -1;
}

/* ---- good files ---- */

enum { N = 300 };

/* Record i has i % 3 pictures, 1 + i % 4 turns, and a text of about i % 7 kB full of brackets and escapes. */
static void write_many(bool lines)
{
    FILE *f = fopen(json, "w");
    fputs(lines ? "" : "\n[\n", f);
    for (int i = 0; i < N; i++) {
        fprintf(f, i % 2 ? "{\"id\": %d, " : "{\"id\":\"%d\",", i);
        if (i % 3 == 1)
            fputs("\"image\": \"sub/a b.png\", ", f);
        if (i % 3 == 2)
            fputs("\"image\": [\"sub/a b.png\", \"\\u00e9.png\"], ", f);
        fputs("\"extra\": {\"k\": [1, -2.5e3, null, true]}, \"conversations\": [", f);
        for (int t = 0; t <= i % 4; t++) {
            fprintf(f, "%s{\"from\": \"human\", \"value\": \"%d ]}\\\"\\\\{[", t ? ", " : "", i);
            for (int k = 0; k < i % 7 * 100; k++)
                fputs("]\\\\\\\" {\\n", f);
            fprintf(f, "\"}, {\"from\": \"gpt\", \"value\": \"answer %d\"}", t);
        }
        fputs(lines ? "]}\n" : i < N - 1 ? "]}\n,\n" : "]}", f);
    }
    fputs(lines ? "\n" : "\n]\n", f);
    fclose(f);
}

static void check_record(const LlavaRecord *r, int i)
{
    char s[64];
    assert_int_equal(r->record, i);
    assert_int_equal(atoi(r->id), i);
    assert_int_equal(r->n, 1 + i % 4);
    assert_int_equal(r->images, i % 3);
    if (r->images)
        assert_non_null(strstr(r->image[0].path, "/pictures/sub/a b.png"));
    if (r->images == 2)
        assert_non_null(strstr(r->image[1].path, "/pictures/é.png"));
    for (int t = 0; t < r->n; t++) {
        snprintf(s, sizeof s, "%d ]}\"\\{[", i);
        assert_memory_equal(r->turns[t].human, s, strlen(s));
        assert_int_equal(strlen(r->turns[t].human), strlen(s) + (size_t)(i % 7 * 100 * 6));
        snprintf(s, sizeof s, "answer %d", t);
        assert_string_equal(r->turns[t].answer, s);
    }
    FILE *f = fopen(json, "rb");
    fseek(f, r->offset, SEEK_SET);
    assert_int_equal(fgetc(f), '{');
    fclose(f);
}

static void test_many_records(void **state)
{
    (void)state;
    for (int lines = 0; lines < 2; lines++) {
        write_many(lines);
        Err e = { 0 };
        LlavaRecord r;
        Llava *l = llava_open(json, root, true, &e);
        assert_non_null(l);
        for (int i = 0; i < N; i++) {
            assert_int_equal(llava_next(l, &r, &e), 1);
            check_record(&r, i);
        }
        assert_int_equal(llava_next(l, &r, &e), 0);
        assert_int_equal(llava_next(l, &r, &e), 0);
        llava_close(l);
    }
}

/* Records are read in any order, each where a first pass saw it. */
static void test_seek(void **state)
{
    (void)state;
    for (int lines = 0; lines < 2; lines++) {
        write_many(lines);
        Err e = { 0 };
        LlavaRecord r;
        int64_t offset[N];
        Llava *l = llava_open(json, root, true, &e);
        for (int i = 0; i < N; i++) {
            assert_int_equal(llava_next(l, &r, &e), 1);
            offset[i] = r.offset;
        }
        for (int k = 0; k < 2 * N; k++) {
            const int i = 77 * k % N;
            llava_seek(l, offset[i], i);
            assert_int_equal(llava_next(l, &r, &e), 1);
            check_record(&r, i);
            assert_true(r.text[0] == '{' && r.text[r.bytes - 1] == '}');
            assert_int_equal(llava_next(l, &r, &e), i < N - 1);
        }
        llava_close(l);
    }
}

/* ---- bad records: said, then passed over ---- */

#define TALK "\"conversations\": [{\"from\": \"human\", \"value\": \"Hi\"}, {\"from\": \"gpt\", \"value\": \"Ho\"}]"
#define GOOD "{\"id\": \"good\", " TALK "}"

/* A file of GOOD, `record`, GOOD: the middle one is refused with `what`, the others are read. */
static void bad_record(const char *record, size_t len, const char *what)
{
    static const char before[] = "[" GOOD ",\n", after[] = ", " GOOD "]";
    char *all = malloc(len + 500), where[160];
    memcpy(all, before, strlen(before));
    memcpy(all + strlen(before), record, len);
    strcpy(all + strlen(before) + len, after);
    write_bytes(json, all, strlen(before) + len + strlen(after));
    free(all);

    Err e = { 0 };
    LlavaRecord r;
    Llava *l = llava_open(json, root, true, &e);
    assert_non_null(l);
    assert_int_equal(llava_next(l, &r, &e), 1);
    assert_int_equal(llava_next(l, &r, &e), -1);
    assert_int_equal(e.code, EXIT_DATA);
    if (!strstr(e.what, what))
        fail_msg("%s\ngave: %s", record, e.what);
    snprintf(where, sizeof where, "%s: record 1, byte ", json);
    assert_memory_equal(e.where, where, strlen(where));
    assert_in_range(atoll(e.where + strlen(where)), strlen(before), strlen(before) + len);
    assert_int_equal(r.record, 1);
    assert_int_equal(r.offset, strlen(before));
    e = (Err){ 0 };
    assert_int_equal(llava_next(l, &r, &e), 1);
    assert_string_equal(r.id, "good");
    assert_int_equal(r.record, 2);
    assert_int_equal(llava_next(l, &r, &e), 0);
    llava_close(l);
}

static void bad_text(const char *record, const char *what) { bad_record(record, strlen(record), what); }

static void test_bad_records(void **state)
{
    (void)state;
    bad_text("17", "not an object");
    bad_text("\"[{\"", "not an object");
    bad_text("[" GOOD "]", "not an object");
    bad_text("{}", "without a conversation");
    bad_text("{\"conversations\": []}", "without a conversation");
    bad_text("{\"conversations\": [1]}", "a turn without");
    bad_text("{\"conversations\": [{\"from\": \"human\", \"value\": true}]}", "a turn without");
    bad_text("{\"conversations\": [{\"from\": \"system\", \"value\": \"Be.\"}]}", "without a question");
    bad_text("{\"conversations\": [{\"from\": \"gpt\", \"value\": \"Ho\"}]}", "without a question");
    bad_text("{\"conversations\": [{\"from\": \"human\", \"value\": \"Hi\"}, {\"from\": \"human\", \"value\": \"Hi\"}]}", "take turns");
    bad_text("{\"id\": 1, \"id\": 2, " TALK "}", "duplicate");
    bad_text("{\"id\": \"\\ud800\", " TALK "}", "invalid Unicode");
    bad_text("{\"id\": \"\\udc00\\ud800\", " TALK "}", "invalid Unicode");
    bad_text("{\"id\": \"\\u0000\", " TALK "}", "\\u0000");
    bad_text("{\"id\": \"\xff\", " TALK "}", "unable to decode");
    bad_text("{\"id\": \"\xed\xa0\x80\", " TALK "}", "unable to decode");
}

static void test_what_may_be_left_out(void **state)
{
    (void)state;
    static const char fine[] = "[{\"conversations\": [{\"from\": \"system\", \"value\": \"Be.\"}, {\"from\": \"human\", \"value\": \"Hi\"}]}, {\"image\": null, " TALK "},"
                               "{\"image\": \"inside.png\", " TALK "}, {\"image\": \"sub/./a b.png\", " TALK "}]";
    write_bytes(json, fine, strlen(fine));
    for (int with_root = 0; with_root < 2; with_root++) {
        Err e = { 0 };
        LlavaRecord r;
        Llava *l = llava_open(json, with_root ? root : NULL, true, &e);
        assert_int_equal(llava_next(l, &r, &e), 1);
        assert_true(r.n == 1 && !r.id[0] && strcmp(r.system, "Be.") == 0 && strcmp(r.turns[0].human, "Hi") == 0);
        assert_null(r.turns[0].answer);      /* a question for the model */
        assert_int_equal(llava_next(l, &r, &e), 1);
        assert_true(r.images == 0 && !r.system);
        for (int i = 0; i < 2; i++)
            assert_int_equal(llava_next(l, &r, &e), with_root ? 1 : -1);
        assert_int_equal(r.images, with_root);
        llava_close(l);
    }
}

static void test_deep_and_long(void **state)
{
    (void)state;
    enum { DEEP = 100000, LONG = 20 << 20 };
    char *s = malloc(LONG + 100);
    memset(s, '[', DEEP);
    memset(s + DEEP, ']', DEEP);
    bad_record(s, 2 * DEEP, "64 deep");
    strcpy(s, "{\"id\": \"");
    memset(s + 8, 'x', LONG);
    strcpy(s + 8 + LONG, "\"}");
    bad_record(s, LONG + 10, "16 MiB");
    for (int depth = 64; depth <= 65; depth++) {      /* exactly the limit */
        memset(s, '[', (size_t)depth);
        memset(s + depth, ']', (size_t)depth);
        bad_record(s, 2 * (size_t)depth, depth == 64 ? "not an object" : "64 deep");
    }
    free(s);
}

/* ---- broken files ---- */

/* Reads all: the number of good records; e as llava left it, and it must say the same twice. */
static int read_through(Err *e)
{
    *e = (Err){ 0 };
    LlavaRecord r;
    Llava *l = llava_open(json, root, true, e);
    int good = 0, got;
    if (!l)
        return -1;
    while ((got = llava_next(l, &r, e)) == 1)
        good++;
    if (got < 0) {
        Err again = { 0 };
        assert_int_equal(llava_next(l, &r, &again), -1);
        assert_string_equal(again.what, e->what);
        assert_string_equal(again.where, e->where);
    }
    llava_close(l);
    return good;
}

static void broken(const char *all, size_t len, int good, const char *what, int64_t byte)
{
    Err e;
    char where[160];
    write_bytes(json, all, len);
    assert_int_equal(read_through(&e), good);
    assert_int_equal(e.code, EXIT_DATA);
    if (!strstr(e.what, what))
        fail_msg("%s\ngave: %s", all, e.what);
    snprintf(where, sizeof where, "%s: record %d, byte %lld", json, good, (long long)byte);
    if (good >= 0 && byte >= 0)
        assert_string_equal(e.where, where);
}

static void broken_text(const char *all, int good, const char *what, int64_t byte)
{
    broken(all, strlen(all), good, what, byte);
}

static void test_broken_files(void **state)
{
    (void)state;
    const int64_t g = sizeof GOOD - 1;
    broken_text("", -1, "no records", -1);
    broken_text(" \n", -1, "no records", -1);
    broken_text("[]", -1, "no records", -1);
    broken_text("[ ", -1, "ends in the middle", -1);
    broken_text("hello", -1, "no JSON", -1);
    broken_text("[" GOOD, 1, "ends in the middle", 1 + g);
    broken_text("[" GOOD ",", 1, "ends in the middle", 2 + g);
    broken_text("[" GOOD ",]", 1, "a comma", 2 + g);
    broken_text("[" GOOD " " GOOD "]", 1, "no comma", 2 + g);
    broken_text("[" GOOD "] x", 1, "after the end", 3 + g);
    broken_text("[" GOOD ", {\"id\": ]}]", 1, "no JSON", 10 + g);
    broken_text("[" GOOD ", {\"id\": \"a\nb\"}]", 1, "no JSON", 12 + g);
    broken_text("[" GOOD ", {\"id\": 1 \"x\": 2}]", 1, "'}' expected", 15 + g);
    broken_text("[" GOOD ", {\"id\": nan}]", 1, "invalid token", 13 + g);
    broken_text("[" GOOD ", ,]", 1, "no JSON", 3 + g);
    broken_text("\xFF\xFE[\0", -1, "UTF-16", -1);
    static const char in_string[] = "[" GOOD ", {\"id\": \"a\0b\"}]", outside[] = "[" GOOD ", {\0}]";
    broken(in_string, sizeof in_string - 1, 1, "no JSON", 12 + g);
    broken(outside, sizeof outside - 1, 1, "expected", -1);
}

/* Cut anywhere, a file gives the whole records before the cut, and then says where it ends. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char all[] = "\xEF\xBB\xBF [" GOOD ", {\"id\": \"\\\"}\\\\\", " TALK "} ,\n" GOOD "]";
    int before = 0;
    for (size_t n = 5; n < sizeof all - 1; n++) {
        Err e;
        char where[160];
        write_bytes(json, all, n);
        const int good = read_through(&e);
        assert_int_equal(e.code, EXIT_DATA);
        assert_non_null(strstr(e.what, "ends in the middle"));
        assert_in_range(good + 1, before + (n > 5), before + 2);
        if (good >= 0) {
            snprintf(where, sizeof where, "%s: record %d, byte %zu", json, good, n);
            assert_string_equal(e.where, where);
            before = good;
        }
    }
    assert_int_equal(before, 3);
}

/* Bytes changed at random end in records and errors, never in a crash or a loop. */
static void test_random_damage(void **state)
{
    (void)state;
    static const char all[] = "[" GOOD ",{\"image\":[\"sub/a b.png\"]," TALK "},\n" GOOD "]", odd[] = "{}[]\",:\\\n\0\xff" "e1-u";
    Rng r = { 11, rng_stream("damage"), 0 };
    for (int i = 0; i < 3000; i++) {
        char torn[sizeof all];
        memcpy(torn, all, sizeof all);
        for (int64_t k = 1 + rng_draw(&r, 3); k > 0; k--)
            torn[rng_draw(&r, sizeof all - 1)] = odd[rng_draw(&r, sizeof odd - 1)];
        write_bytes(json, torn, sizeof all - 1);
        Err e = { 0 };
        LlavaRecord rec;
        Llava *l = llava_open(json, root, true, &e);
        for (int k = 0; l && k < 50; k++) {
            Err one = { 0 };
            if (llava_next(l, &rec, &one) == 0)
                break;
            assert_int_equal(one.code == 0 || one.code == EXIT_DATA, 1);
        }
        llava_close(l);
    }
}

static void test_no_such_file(void **state)
{
    (void)state;
    write_bytes(json, "[" GOOD "]", sizeof GOOD + 1);
    const char *const pair[][2] = { { "/none.json", root }, { root, root }, { json, "/none" } };
    for (int i = 0; i < 3; i++) {
        Err e = { 0 };
        assert_null(llava_open(pair[i][0], pair[i][1], true, &e));
        assert_int_equal(e.code, EXIT_DATA);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_records),   cmocka_unit_test(test_seek),          cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_deep_and_long), cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_cut_anywhere),   cmocka_unit_test(test_random_damage), cmocka_unit_test(test_no_such_file),
        cmocka_unit_test(test_what_may_be_left_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
