/* JSON Lines: a line that is no JSON costs itself, and its place is right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/source/llava.h"

static char json[] = "/tmp/asvr-lines-XXXXXX";

#define TALK "\"conversations\": [{\"from\": \"human\", \"value\": \"Hi\"}, {\"from\": \"gpt\", \"value\": \"Ho\"}]"
#define GOOD "{\"id\": \"good\", " TALK "}"
#define SPREAD "{\"id\":\n \"good\",\n" TALK "\n}"

static int setup(void **state)
{
    (void)state;
    const int fd = mkstemp(json);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(json);
}

static void put(const char *bytes, size_t n)
{
    FILE *f = fopen(json, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void test_lines(void **state)
{
    (void)state;
    static const struct { const char *line, *what; int from, to; } bad[] = {
        { "}", "unexpected token", 0, 1 },                                   { GOOD "," GOOD, "behind the record", sizeof GOOD - 1, sizeof GOOD },
        { GOOD " " GOOD, "behind the record", sizeof GOOD, sizeof GOOD + 1 }, { "{\"id\": \"a", "ends in the middle", 0, 9 },
        { "{\"id\": \"a\", \"conversations\": [{", "ends in the middle", 31, 31 },
        { "{\"id\": \"a\", \"conversations\": [{]]]}}", "expected", 31, 32 }, { "[[[[", "ends in the middle", 4, 4 },
        { "{\"x\": nan, " TALK "}", "invalid token", 6, 9 },      { "{\"x\": 12345678901234567890, \"y\": NaN, \"z\": -, " TALK "}", "invalid token", 43, 45 },
        { "\"", "ends in the middle", 0, 1 },                             { "{\"conversations\": [{\"from\": \"a\tb", "control character", 28, 31 },
        { "\xEF\xBB\xBF" GOOD, "invalid token", 0, 3 },
    };
    static const char *const around[][3] = { { "", "\n", "\n" }, { "\xEF\xBB\xBF", "\r\n", "" }, { "\n \n", "\n\n \t\n", "\r\n\n" } };
    char all[2000], where[200];
    for (int i = 0; i < (int)(sizeof bad / sizeof *bad); i++)
        for (int k = 0; k < 3; k++) {
            const char *const *x = around[k];
            const int first = snprintf(all, sizeof all, "%s%s%s", x[0], GOOD, x[1]);
            snprintf(all + first, sizeof all - (size_t)first, "%s%s%s%s%s", bad[i].line, x[1], GOOD, x[1], bad[i].line);
            strcat(all, x[2]);
            put(all, strlen(all));
            Err e = { 0 };
            LlavaRecord r;
            Llava *l = llava_open(json, NULL, true, &e);
            assert_non_null(l);
            for (int n = 0; n < 4; n++) {
                e = (Err){ 0 };
                assert_int_equal(llava_next(l, &r, &e), n % 2 ? -1 : 1);
                assert_int_equal(r.record, n);
                if (n % 2 && !strstr(e.what, bad[i].what))
                    fail_msg("%s\ngave: %s", bad[i].line, e.what);
                assert_int_equal(r.bytes, strlen(n % 2 ? bad[i].line : GOOD));
                assert_memory_equal(all + r.offset, r.text, (size_t)r.bytes);
                snprintf(where, sizeof where, "%s: record %d, byte ", json, n);
                if (n % 2 && (strncmp(e.where, where, strlen(where)) || atoi(e.where + strlen(where)) < r.offset + bad[i].from ||
                              atoi(e.where + strlen(where)) > r.offset + bad[i].to))
                    fail_msg("%s: record %d at byte %d\ngave: %s", bad[i].line, n, (int)r.offset, e.where);
            }
            assert_int_equal(llava_next(l, &r, &e), 0);
            llava_close(l);
        }
}

/* Where the first record goes over several lines, so may all. */
static void test_values(void **state)
{
    (void)state;
    char all[2000];
    const int n = snprintf(all, sizeof all, "%s", SPREAD "\n" GOOD " " SPREAD);
    for (int cut = 0; cut < 2; cut++) {
        Err e = { 0 };
        LlavaRecord r;
        put(all, (size_t)(n - cut));
        Llava *l = llava_open(json, NULL, true, &e);
        assert_non_null(l);
        for (int i = 0; i < 3 - cut; i++)
            assert_int_equal(llava_next(l, &r, &e), 1);
        for (int i = 0; i < 2; i++)
            assert_int_equal(llava_next(l, &r, &e), -cut);
        assert_true(!cut || strstr(e.what, "ends in the middle"));
        llava_close(l);
    }
}

/* A line longer than a record may be costs itself. */
static void test_long_line(void **state)
{
    (void)state;
    enum { LONG = JSON_BYTES };
    char *all = malloc(LONG + 1000);
    assert_non_null(all);
    for (int more = 0; more < 2; more++) {              /* the limit, and one byte more */
        size_t n = (size_t)sprintf(all, "%s", GOOD "\n{\"x\": \"");
        memset(all + n, 'x', LONG);
        n = sizeof GOOD + LONG - 2 - sizeof TALK + (size_t)more;
        n += (size_t)sprintf(all + n, "%s", "\"," TALK "}\n" GOOD "\n");
        put(all, n);
        Err e = { 0 };
        LlavaRecord r;
        Llava *l = llava_open(json, NULL, true, &e);
        assert_int_equal(llava_next(l, &r, &e), 1);
        assert_int_equal(llava_next(l, &r, &e), more ? -1 : 1);
        assert_true(!more || strstr(e.what, "16 MiB"));
        assert_int_equal(r.bytes, LONG);
        assert_int_equal(llava_next(l, &r, &e), 1);
        assert_int_equal(llava_next(l, &r, &e), 0);
        llava_close(l);
    }
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_values), cmocka_unit_test(test_long_line) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
