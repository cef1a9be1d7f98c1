/* What JSON people write, and what jansson gets of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "io/source/jsonplain.h"

static bool reads(const char *key, int64_t n) { return n == 1 && (*key == 'a' || *key == 'b'); }

static const struct { const char *text, *plain; } cases[] = {
    { "{\"a\": 17, \"b\": -2.5e400}", "{\"a\": \"17\", \"b\": \"-2.5e400\"}" },
    { "{\"a\":[1,0,-0,0.5,1E+3,123456789012345678901234567890]}", "{\"a\":[\"1\",\"0\",\"-0\",\"0.5\",\"1E+3\",\"123456789012345678901234567890\"]}" },
    { "{\"a\": NaN, \"b\": [Infinity, -Infinity, true, null]}", "{\"a\": null, \"b\": [null, null, true, null]}" },
    /* no numbers of JSON: jansson refuses them */
    { "{\"a\": [01, +1, .5, 1., 1e, 1e+, -, 0x10, nan, +Infinity, 1_000]}", "{\"a\": [01, +1, .5, 1., 1e, 1e+, -, 0x10, nan, +Infinity, 1_000]}" },
    { "{\"a\": {1: 2, 3 : 4}}", "{\"a\": {1: \"2\", 3 : \"4\"}}" },
    { "{\"x\": [01, nan]}", "{\"0 x\": [01, nan]}" },
    /* what nobody reads */
    { "{\"x\": \"\xFF\\ud800\", \"a\": \"\\u0041\", \"x\": {\"y\": NaN, \"y\": [1, 2]}, \"b\": 3}",
      "{\"0 x\": \"1\", \"a\": \"\\u0041\", \"2 x\": {\"3\": null, \"4\": [\"5\", \"6\"]}, \"b\": \"3\"}" },
    { "{\"x\": {\"a\": 1, \"q\": \"}, {\"}, \"a\": {\"x\": 1, \"q\": \"\\\"]\"}}", "{\"0 x\": {\"1\": \"2\", \"3\": \"4\"}, \"a\": {\"x\": \"1\", \"q\": \"\\\"]\"}}" },
    { "{\"\\u0061\": 1, \"x\\\\\": 2}", "{\"\\u0061\": \"1\", \"x\\\\\": \"2\"}" },      /* a key with escapes may be any */
    { "{\"x \xFF\": 1, \"x \xC3\xA9\": 1, \"\": 1}", "{\"0\": \"1\", \"2\": \"3\", \"4\": \"5\"}" },
    { "[{\"x\": 1}, 2]", "[{\"x\": \"1\"}, \"2\"]" },
    { "17", "\"17\"" }, { "", "" }, { " \t", " \t" },
    /* not whole: it stays so */
    { "{\"x\": \"abc", "{\"0 x\": \"abc" }, { "{\"a\": \"abc\\", "{\"a\": \"abc\\" }, { "{\"x\": [1", "{\"0 x\": [\"1\"" }, { "]]}} 1", "]]}} \"1\"" },
};

static void test_cases(void **state)
{
    (void)state;
    JsonPlain p = { 0 };
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        json_plain(&p, cases[i].text, (int64_t)strlen(cases[i].text), reads);
        if (p.n != (int64_t)strlen(cases[i].plain) || memcmp(p.text, cases[i].plain, (size_t)p.n))
            fail_msg("%s\nwant %s\ngot  %.*s", cases[i].text, cases[i].plain, (int)p.n, p.text);
    }
    json_plain_free(&p);
}

static void test_depth(void **state)
{
    (void)state;
    static const struct { const char *text; int depth; } deep[] = { { "1", 0 }, { "{}", 1 }, { "{\"x\": [[\"[[[\"], {}]}", 3 }, { "]]][", 0 } };
    JsonPlain p = { 0 };
    for (int i = 0; i < 4; i++) {
        json_plain(&p, deep[i].text, (int64_t)strlen(deep[i].text), reads);
        assert_int_equal(p.depth, deep[i].depth);
    }
    json_plain_free(&p);
}

/* A byte that was copied came from where it stands; all others from the number, word or string that they stand for. */
static void test_source(void **state)
{
    (void)state;
    static const char text[] = "{\"long key\": \"long value\", \"a\": 123, \"b\": [NaN, ?]}";
    const int64_t n = sizeof text - 1;
    JsonPlain p = { 0 };
    json_plain(&p, text, n, reads);
    int64_t before = 0;
    for (int64_t i = 0; i < p.n; i++) {
        const int64_t from = json_plain_source(text, n, reads, i);
        assert_in_range(from, before, n - 1);
        before = from;
        if (strchr("{}[],:?", p.text[i]))
            assert_int_equal(text[from], p.text[i]);
    }
    assert_int_equal(json_plain_source(text, n, reads, p.n), n);
    assert_int_equal(json_plain_source(text, n, reads, (char *)memchr(p.text, '?', (size_t)p.n) - p.text), strchr(text, '?') - text);
    json_plain_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_depth), cmocka_unit_test(test_source) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
