/* Hostile safetensors, one table: each is refused with EXIT_DATA, the file and a byte of it, before memory is taken for what it claims. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/hf/safetensors.h"

static char dir[400];

/* header (n bytes), data bytes behind it; length: in front, 0: the header's. */
typedef struct { const char *what, *head; size_t n; uint64_t length; size_t data; } Case;

#define T(dtype, shape, at) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" at "}"
#define C(what, head, data) { what, head, sizeof head - 1, 0, data }
#define L(length, head, data) { "length of its header", head, sizeof head - 1, length, data }

static const Case cases[] = {
    /* the length in front */
    L(1ull << 63, "{}", 0), L(UINT64_MAX, "{}", 8), L(UINT64_MAX - 7, "{}", 8), L(1ull << 40, "{}", 0), L((100ull << 20) + 1, "{}", 0), L(3, "{}", 0), L(1, "{}", 0),
    /* no header */
    C("begin with {", "  {}", 0), C("begin with {", "\xEF\xBB\xBF{}", 0), C("begin with {", "[{}]", 0), C("not JSON", "{\"a\"", 0), C("not JSON", "{}{}", 0),
    C("not JSON", "{\"a\":\"\xff\"}", 0), C("not JSON", "{\"\xC0\x80\":1}", 0), C("not JSON", "{\"a\\u0000\":" T("F32", "[1]", "[0,4]") "}", 4),
    C("not JSON", "{\0}", 0), C("not JSON", "{\"a\":" T("F32", "[1e400]", "[0,4]") "}", 4), C("not JSON", "{\"a\":" T("F32", "[18446744073709551617]", "[0,4]") "}", 4),
    C("not JSON", "{\"a\":" T("F32", "[1]", "[0,4]") ",\"\\u0061\":" T("F32", "[1]", "[4,8]") "}", 8),
    C("not JSON", "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4),
    /* entries */
    C("dtype, shape and data_offsets", "{\"a\":[]}", 0), C("dtype, shape and data_offsets", "{\"a\":null}", 0), C("dtype, shape and data_offsets", "{\"a\":" T("F32", "4", "[0,4]") "}", 4),
    C("dtype, shape and data_offsets", "{\"a\":{\"a\":" T("F32", "[1]", "[0,4]") "}}", 4), C("not 1 to 255", "{\"\":" T("F32", "[1]", "[0,4]") "}", 4),
    C("unknown dtype", "{\"a\":" T("f32", "[1]", "[0,4]") "}", 4), C("unknown dtype", "{\"a\":" T("", "[1]", "[0,4]") "}", 4), C("unknown dtype", "{\"a\":" T("C128", "[1]", "[0,16]") "}", 16),
    C("__metadata__ is not", "{\"__metadata__\":\"x\"}", 0), C("not a string", "{\"__metadata__\":{\"x\":{}}}", 0),
    /* shapes */
    C("integers >= 0", "{\"a\":" T("F32", "[-9223372036854775808]", "[0,4]") "}", 4), C("integers >= 0", "{\"a\":" T("F32", "[\"1\"]", "[0,4]") "}", 4),
    C("integers >= 0", "{\"a\":" T("F32", "[[1]]", "[0,4]") "}", 4), C("overflows", "{\"a\":" T("F32", "[9223372036854775807]", "[0,4]") "}", 4),
    C("overflows", "{\"a\":" T("F32", "[2147483648,2147483648,2]", "[0,4]") "}", 4), C("overflows", "{\"a\":" T("I64", "[1152921504606846976]", "[0,0]") "}", 0),
    C("overflows", "{\"a\":" T("U8", "[65536,65536,65536,65536]", "[0,0]") "}", 0), C("10 dims", "{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4),
    C("size that its shape", "{\"a\":" T("BF16", "[2]", "[0,8]") "}", 8), C("size that its shape", "{\"a\":" T("F32", "[0]", "[0,4]") "}", 4), C("size that its shape", "{\"a\":" T("F32", "[]", "[0,0]") "}", 0),
    /* places */
    C("two integers", "{\"a\":" T("F32", "[1]", "[-4,0]") "}", 4), C("two integers", "{\"a\":" T("F32", "[1]", "[0,4,8]") "}", 8), C("two integers", "{\"a\":" T("F32", "[1]", "[]") "}", 4),
    C("leave the file", "{\"a\":" T("F32", "[1]", "[9223372036854775803,9223372036854775807]") "}", 4), C("leave the file", "{\"a\":" T("F32", "[2]", "[0,8]") "}", 7),
    C("leave the file", "{\"a\":" T("F32", "[1]", "[8,4]") "}", 8), C("overlap", "{\"a\":" T("F32", "[2]", "[0,8]") ",\"b\":" T("F32", "[1]", "[0,4]") "}", 8),
    C("overlap", "{\"a\":" T("U8", "[9]", "[0,9]") ",\"b\":" T("U8", "[1]", "[8,9]") "}", 9), C("before tensor \"b\" belong", "{\"a\":" T("U8", "[1]", "[0,1]") ",\"b\":" T("U8", "[1]", "[2,3]") "}", 3),
    C("at the end belong", "{\"a\":" T("U8", "[1]", "[0,1]") "}", 2), C("at the end belong", "{}", 1), C("before tensor \"a\" belong", "{\"a\":" T("U8", "[1]", "[1,2]") "}", 2),
    C("overlap", "{\"a\":" T("U8", "[4]", "[0,4]") ",\"z\":" T("U8", "[0]", "[2,2]") "}", 4),
};
enum { CASES = sizeof cases / sizeof *cases };

static void refused(const char *bytes, size_t n, const char *what, const char *name)
{
    char path[480];
    Err e = { 0 }, made = { 0 };
    St s;
    long long byte = -1;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_true(file_replace(path, bytes, n, &made));
    const bool ok = st_open(&s, dir, "", &e);
    st_close(&s);
    if (ok || e.code != EXIT_DATA || !strstr(e.what, what))
        fail_msg("%s: expected \"%s\", got %d \"%s\"", name, what, e.code, e.what);
    assert_memory_equal(e.where, path, strlen(path));
    if (sscanf(e.where + strlen(path), ", byte %lld", &byte) != 1 || byte < 0 || byte > (long long)n)
        fail_msg("%s: no byte of a file of %zu in \"%s\"", name, n, e.where);
}

static void each_is_refused(void **state)
{
    (void)state;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    assert_true(CASES >= 30);
    for (int i = 0; i < CASES; i++) {
        const Case *k = &cases[i];
        const size_t n = 8 + k->n + k->data;
        const uint64_t length = k->length ? k->length : k->n;
        char *bytes = calloc(1, n + 1);
        for (int b = 0; b < 8; b++)
            bytes[b] = (char)(length >> 8 * b & 255);
        memcpy(bytes + 8, k->head, k->n);
        refused(bytes, n, k->what, k->head);
        free(bytes);
    }
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10);           /* KiB */
    print_message("%d hostile files\n", CASES);
}

/* Brackets in brackets, a hundred thousand deep: no stack is spent on them. */
static void nested(void **state)
{
    (void)state;
    enum { DEEP = 100000 };
    char *bytes = calloc(1, 8 + 5 + 2 * DEEP);
    const size_t n = 5 + 2 * DEEP;
    for (int b = 0; b < 8; b++)
        bytes[b] = (char)((uint64_t)n >> 8 * b & 255);
    memcpy(bytes + 8, "{\"a\":", 5);
    memset(bytes + 13, '[', 2 * DEEP);
    refused(bytes, 8 + n, "not JSON", "nested");
    free(bytes);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "%s/asvr-hostile-st-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    Err e = { 0 };
    return dir_remove(dir, &e) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_is_refused), cmocka_unit_test(nested) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
