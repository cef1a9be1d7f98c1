/* Tables as pandas reads them, Python's lists, base64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/bench/base64.h"
#include "io/bench/pylist.h"
#include "io/bench/tsv.h"

static void write_file(const char *name, const char *text, size_t n)
{
    const int fd = file_open(name, O_WRONLY | O_CREAT | O_TRUNC);
    assert_true(fd >= 0 && file_write(fd, text, n) && file_close(fd));
}

static char where[PATH_ROOM];
static const char *in_tmp(const char *name)
{
    snprintf(where, sizeof where, "%s/%s", getenv("TMP") ? getenv("TMP") : "/tmp", name);
    return where;
}

/* Fields of all rows, "|" between them and "/" behind a row: what pandas.read_csv(sep="\t", keep_default_na=False) makes of the text. */
static const struct { const char *text, *is; } reads[] = {
    { "a\tb\n1\t2\n3\t4\n", "1|2/3|4/" },
    { "a\tb\n1\t2", "1|2/" },                                              /* no end of the last line */
    { "\xef\xbb\xbf" "a\tb\r\n1\t2\r\n\r\n3\t\r\n", "1|2/3|/" },           /* Windows */
    { "a\tb\r1\t2\r", "1|2/" },
    { "\n\na\tb\n\n1\t2\n", "1|2/" },
    { "a\tb\n\"x\ty\"\t\"l1\nl2\"\n", "x\ty|l1\nl2/" },
    { "a\tb\n\"say \"\"hi\"\"\"\t\"\"\n", "say \"hi\"|/" },
    { "a\tb\n5\" nail\tx\"y\"\n", "5\" nail|x\"y\"/" },                    /* a quote inside of a field is text */
    { "a\tb\n\"ab\"cd\t\"e\"\"f\"g\n", "abcd|e\"fg/" },
    { "a\tb\n\t\n", "|/" },
};

static void test_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        Tsv t;
        Err e = { 0 };
        TsvText field = { 0 }, all = { 0 };
        tsv_add(&all, "", 0);
        write_file(in_tmp("t.tsv"), reads[i].text, strlen(reads[i].text));
        assert_true(tsv_open(&t, where, &e) && tsv_index(&t, &e));
        assert_true(t.cols == 2 && tsv_column(&t, "a") == 0 && tsv_column(&t, "b") == 1 && tsv_column(&t, "c") == -1);
        for (int64_t r = 0; r < t.rows; r++)
            for (int c = 0; c < 2; c++) {
                assert_true(tsv_text(&t, r, c, &field, &e));
                tsv_add(&all, field.bytes, field.n);
                tsv_add(&all, c ? "/" : "|", 1);
            }
        assert_string_equal(all.bytes, reads[i].is);
        assert_true(t.open == (i == 1));
        tsv_close(&t);
        tsv_text_free(&field);
        tsv_text_free(&all);
    }
}

/* A field longer than what is read at once, quotes at each place of its border. */
static void test_long(void **state)
{
    (void)state;
    enum { N = 1 << 18 };
    char *text = malloc(N + 64);
    assert_non_null(text);
    for (int shift = -3; shift <= 3; shift++) {
        Tsv t;
        Err e = { 0 };
        TsvText field = { 0 };
        int n = sprintf(text, "a\tb\n\"");
        memset(text + n, 'x', (size_t)(N + shift - n));
        n = N + shift;
        n += sprintf(text + n, "\"\"q\n\"\t7\n8\t9\n");
        write_file(in_tmp("long.tsv"), text, (size_t)n);
        assert_true(tsv_open(&t, where, &e) && tsv_index(&t, &e));
        assert_int_equal(t.rows, 2);
        assert_true(tsv_text(&t, 0, 0, &field, &e));
        assert_string_equal(field.bytes + field.n - 4, "x\"q\n");
        assert_true(tsv_text(&t, 1, 1, &field, &e));
        assert_string_equal(field.bytes, "9");
        tsv_close(&t);
        tsv_text_free(&field);
    }
    free(text);
}

static const struct { const char *text; size_t n; const char *what, *where; } refused[] = {
    { "", 0, "the table is empty", "t.tsv" },
    { "a\tb\n1\n", 6, "too few fields", "row 1, column \"b\", byte 5" },
    { "a\tb\n1\t2\t3\n", 10, "too many fields", "row 1, byte 8" },
    { "a\tb\n1\t\"2\n", 9, "no end", "row 1, column \"b\", byte 6" },
    { "a\tb\n1\t\0002\n", 9, "a byte 0", "row 1, column \"b\", byte 6" },
    { "a\ta\n", 4, "two columns are called \"a\"", "t.tsv" },
    { "\xff\tb\n", 4, "no UTF-8", "t.tsv" },
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        Tsv t;
        Err e = { 0 };
        write_file(in_tmp("t.tsv"), refused[i].text, refused[i].n);
        assert_false(tsv_open(&t, where, &e) && tsv_index(&t, &e));
        assert_int_equal(e.code, EXIT_DATA);
        if (!strstr(e.what, refused[i].what) || !strstr(e.where, refused[i].where))
            fail_msg("case %zu: \"%s\" at \"%s\"", i, e.what, e.where);
        tsv_close(&t);
    }
}

static void test_lists(void **state)
{
    (void)state;
    char text[] = "['nokia', \"l'eau\", 'a\\nb\\\\', 3, '\\u00e9\\x41\\'' ,]", short_[] = "[]", no[] = "['a", not[] = "['a' 'b']";
    const char *const is[] = { "nokia", "l'eau", "a\nb\\", "3", "éA'" };
    char **item;
    assert_int_equal(pylist_read(text, strlen(text), &item), 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(item[i], is[i]);
    free(item);
    assert_int_equal(pylist_read(short_, 2, &item), 0);
    free(item);
    assert_int_equal(pylist_read(no, strlen(no), &item), -1);
    assert_int_equal(pylist_read(not, strlen(not), &item), -1);
}

static void test_base64(void **state)
{
    (void)state;
    uint8_t out[64];
    static const struct { const char *text, *is; } cases[] = { { "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm8", "fo" }, { "Zm9v\nYmFy", "foobar" }, { "__-_", "\xff\xff\xbf" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(base64_decode(out, cases[i].text, strlen(cases[i].text)), strlen(cases[i].is));
        assert_memory_equal(out, cases[i].is, strlen(cases[i].is));
    }
    assert_int_equal(base64_decode(out, "Zm9%", 4), -1 - 3);
    assert_int_equal(base64_decode(out, "Zm=9", 4), -1 - 3);
    assert_int_equal(base64_decode(out, "Zm9vY", 5), -1 - 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_reads), cmocka_unit_test(test_long), cmocka_unit_test(test_refused), cmocka_unit_test(test_lists), cmocka_unit_test(test_base64) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
