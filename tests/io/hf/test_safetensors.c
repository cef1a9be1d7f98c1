/*
 * Safetensors: what is written is read, in any rectangle and type; every 16-bit pattern survives; every malformed file
 * is refused with EXIT_DATA and a word about what is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/files.h"
#include "core/half.h"
#include "io/hf/safetensors.h"

static char home[64];

/* ---- 16-bit floats ---- */

static float as_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t as_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void every_pattern_survives(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        assert_int_equal(f16_narrow(f16_widen((uint16_t)h)), h);
        assert_int_equal(bf16_narrow(bf16_widen((uint16_t)h)), h);
        const int sign = h >> 15 ? -1 : 1, exponent = h >> 10 & 31, mantissa = h & 1023;
        const float x = as_float(f16_widen((uint16_t)h));
        if (exponent == 31)
            assert_true(mantissa ? isnan(x) : isinf(x) && (x > 0) == (sign > 0));
        else                                /* the definition, exact in double */
            assert_true((double)x == sign * (exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24)));
    }
}

/* Between two neighbours: to the nearer, in the middle to the even one. */
static void narrowing_rounds_to_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        const double a = (double)as_float(f16_widen((uint16_t)h));
        const double b = h + 1 < 0x7c00 ? (double)as_float(f16_widen((uint16_t)(h + 1))) : 65536;
        const float middle = (float)((a + b) / 2);
        assert_int_equal(f16_narrow(as_bits(middle)), h & 1 ? h + 1 : h);
        assert_int_equal(f16_narrow(as_bits(nextafterf(middle, 0))), h);
        assert_int_equal(f16_narrow(as_bits(nextafterf(middle, 1e6f))), h + 1);
        assert_int_equal(f16_narrow(as_bits(-middle)), 0x8000 | (h & 1 ? h + 1 : h));
    }
    for (uint32_t h = 0; h < 0x7f80; h++) {
        const uint32_t middle = h << 16 | 0x8000;
        assert_int_equal(bf16_narrow(middle), h & 1 ? h + 1 : h);
        assert_int_equal(bf16_narrow(middle - 1), h);
        assert_int_equal(bf16_narrow(middle + 1), h + 1);
    }
    assert_int_equal(f16_narrow(as_bits(1e30f)), 0x7c00);
    assert_int_equal(f16_narrow(0x7f800001), 0x7e00);       /* a NaN whose payload lies below stays a NaN */
    assert_int_equal(bf16_narrow(0xff800001), 0xffc0);
}

/* ---- files ---- */

static const char *at(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", home, name);
    return path;
}

/* A file of this header and so many bytes of data. */
static void put(const char *name, const char *header, size_t data)
{
    const size_t n = strlen(header);
    char *all = calloc(1, 8 + n + data);
    Err e = { 0 };
    for (int i = 0; i < 8; i++)
        all[i] = (char)(n >> 8 * i & 255);
    memcpy(all + 8, header, n);
    assert_true(file_replace(at(name), all, 8 + n + data, &e));
    free(all);
}

static void put_text(const char *name, const char *text)
{
    Err e = { 0 };
    assert_true(file_replace(at(name), text, strlen(text), &e));
}

static void empty(void)
{
    Err e = { 0 };
    assert_true(dir_remove(home, &e) && dir_make(home, &e));
}

/* The folder is refused, and each of the words stands in the error. */
static void refused(const char *word, const char *where)
{
    St s;
    Err e = { 0 };
    const bool ok = st_open(&s, home, "", &e);
    st_close(&s);
    if (ok || e.code != EXIT_DATA || !strstr(e.what, word) || !strstr(e.where, where))
        fail_msg("expected \"%s\" at \"%s\", got %s: \"%s\" at \"%s\"", word, where, ok ? "no error" : "an error", e.what, e.where);
}

static void malformed(const char *header, size_t data, const char *word)
{
    put(ST_SINGLE, header, data);
    refused(word, ST_SINGLE);
}

#define A4 "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"

static void malformed_headers_are_refused(void **state)
{
    (void)state;
    empty();
    malformed("", 0, "length of its header");
    malformed("[1]", 0, "begin with {");
    malformed("{\"a\": ", 8, "not JSON");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "not JSON: duplicate");
    malformed("{\"__metadata__\":{\"format\":1}}", 0, "not a string");
    malformed("{\"__metadata__\":[]}", 0, "not an object");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "dtype, shape and data_offsets");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "dtype, shape and data_offsets");
    malformed("{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "\"a\" has the unknown dtype \"F33\"");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "integers >= 0");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, "integers >= 0");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.0]}}", 4, "two integers");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,99999999999999999999]}}", 4, "not JSON");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "two integers");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "9 dims");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "size that its shape says");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}", 4, "overflows");
    malformed("{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,4]}}", 4, "overflows");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 4, "leave the file");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 8, "leave the file");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "4 bytes before tensor \"a\"");
    malformed(A4, 5, "1 bytes at the end");
    malformed(A4, 3, "leave the file");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "overlap");
    malformed("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "overlap");
    char long_name[700];
    snprintf(long_name, sizeof long_name, "{\"%0*d\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", ST_NAME, 0);
    malformed(long_name, 4, "256 bytes");
}

/* The number in front of the header, whatever it is, costs no memory. */
static void lengths_are_refused(void **state)
{
    static const uint64_t LENGTH[] = { 1ull << 63, UINT64_MAX, 1ull << 40, (100u << 20) + 1, 62, 0, 1 };
    (void)state;
    empty();
    for (size_t i = 0; i < sizeof LENGTH / sizeof *LENGTH; i++) {
        char raw[69] = { 0 };
        Err e = { 0 };
        memcpy(raw, &LENGTH[i], 8);
        memset(raw + 8, '{', 61);
        assert_true(file_replace(at(ST_SINGLE), raw, sizeof raw, &e));
        refused("length of its header", ST_SINGLE ", byte 0");
    }
    put_text(ST_SINGLE, "");
    refused("length of its header", ST_SINGLE);
    put_text(ST_SINGLE, "short");
    refused("length of its header", ST_SINGLE);
    /* Cut anywhere, a file is refused. */
    for (size_t cut = 0; cut < 8 + strlen(A4) + 4; cut++) {
        put(ST_SINGLE, A4, 4);
        assert_int_equal(truncate(at(ST_SINGLE), (off_t)cut), 0);
        refused("", ST_SINGLE);
    }
}

static void wrong_indices_are_refused(void **state)
{
    (void)state;
    St s;
    Err e = { 0 };
    empty();
    refused("neither", "");
    put("m1.safetensors", A4, 4);
    put("m2.safetensors", "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
    put_text(ST_INDEX, "{\"weight_map\": {\"a\": \"m1.safetensors\", \"b\": \"m2.safetensors\"}}");
    assert_true(st_open(&s, home, "", &e));
    assert_int_equal(s.tensors, 2);
    st_close(&s);
    put_text(ST_INDEX, "{\"weight_map\": {\"a\": \"m1.safetensors\", \"b\": \"m3.safetensors\"}}");
    refused("is missing", "m3.safetensors");
    put_text(ST_INDEX, "{\"weight_map\": {\"a\": \"m1.safetensors\", \"b\": \"m1.safetensors\"}}");
    refused("\"b\" is in m1.safetensors; it is not", ST_INDEX);
    put_text(ST_INDEX, "{\"weight_map\": {\"a\": \"m1.safetensors\", \"c\": \"m2.safetensors\"}}");
    refused("\"c\" is in m2.safetensors; it is not", ST_INDEX);
    put("m2.safetensors", "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"c\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]}}", 4);
    put_text(ST_INDEX, "{\"weight_map\": {\"a\": \"m1.safetensors\", \"b\": \"m2.safetensors\"}}");
    refused("\"c\" in m2.safetensors is not in the index", ST_INDEX);
    put("m2.safetensors", A4, 4);
    refused("\"a\" is in m", home);
    put_text(ST_INDEX, "{\"weight_map\": {\"a\": \"../m1.safetensors\"}}");
    refused("no plain file name", ST_INDEX);
    put_text(ST_INDEX, "{\"weight_map\": {\"a\": \"/etc/passwd\"}}");
    refused("no plain file name", ST_INDEX);
    put_text(ST_INDEX, "{\"weight_map\": {\"a\": 7}}");
    refused("no plain file name", ST_INDEX);
    put_text(ST_INDEX, "{\"weight_map\": {");
    refused("the index is not JSON", ST_INDEX);
    put_text(ST_INDEX, "{}");
    refused("weight_map", ST_INDEX);
}

/* ---- there and back ---- */

enum { ROWS = 5, COLS = 12 };

static float value(int64_t i) { return (float)(i % 251 - 125) / 4; }       /* exact in all three types */

static void write_all(const St *s, const char *dir)
{
    Err e = { 0 };
    for (int i = 0; i < s->files; i++)
        assert_true(st_create(s, i, dir, &e));
    for (int k = 0; k < s->tensors; k++) {
        const StTensor *t = &s->tensor[k];
        float x[ROWS * COLS];
        const int fd = st_open_write(s, t->file, dir, &e);
        const int64_t half = t->cols / 2;
        assert_true(fd >= 0);
        for (int64_t c = 0; c < 2; c++) {               /* the left and the right half, row by row */
            const int64_t c0 = c * half, n = c ? t->cols - half : half;
            for (int64_t r = 0; r < t->rows; r++)
                for (int64_t j = 0; j < n; j++)
                    x[r * COLS + j] = value(k + r * t->cols + c0 + j);
            assert_true(st_write(s, t, fd, 0, t->rows, c0, n, x, COLS, &e));
        }
        close(fd);
    }
    if (s->index) {
        char path[128];
        snprintf(path, sizeof path, "%s/" ST_INDEX, dir);
        assert_true(file_replace(path, s->index, s->index_bytes, &e));
    }
}

static void check_all(const St *s)
{
    Err e = { 0 };
    for (int k = 0; k < s->tensors; k++) {
        const StTensor *t = &s->tensor[k];
        float x[ROWS * COLS + 1];
        for (int64_t r = 0; r < t->rows; r++)
            for (int64_t c = 0; c < t->cols; c++)
                for (int64_t n = 1; c + n <= t->cols; n += 5) {
                    const int64_t rows = t->rows - r;
                    x[(rows - 1) * COLS + n] = 77;
                    assert_true(st_read(s, t, r, rows, c, n, x, COLS, &e));
                    for (int64_t i = 0; i < rows; i++)
                        for (int64_t j = 0; j < n; j++)
                            assert_true(x[i * COLS + j] == value(k + (r + i) * t->cols + c + j));
                    assert_true(x[(rows - 1) * COLS + n] == 77);    /* nothing behind the rectangle */
                }
    }
}

static void round_trip(StType type, int64_t shard)
{
    St plan, s;
    Err e = { 0 };
    empty();
    const StTensor list[] = { st_tensor("z.weight", type, 2, (int64_t[]){ ROWS, COLS }), st_tensor("b", type, 1, (int64_t[]){ ROWS }),
                              st_tensor("conv", type, 4, (int64_t[]){ ROWS, 3, 2, 2 }), st_tensor("scalar", type, 0, (int64_t[]){ 0 }),
                              st_tensor("a", type, 3, (int64_t[]){ 1, 1, COLS }) };
    assert_true(st_plan(&plan, list, 5, shard, &e));
    assert_int_equal(plan.files > 1, shard > 0);
    write_all(&plan, home);
    assert_true(st_open(&s, home, "", &e));
    assert_int_equal(s.tensors, 5);
    assert_int_equal(st_find(&s, "conv")->cols, 12);
    assert_int_equal(s.file[0].head_bytes % 8, 0);
    assert_null(st_find(&s, "conv2"));
    check_all(&s);

    /* The headers alone are a layout by which the same files can be written. */
    char dir[80], path[400];
    snprintf(dir, sizeof dir, "%s/again", home);
    assert_true(dir_make(dir, &e));
    for (int i = 0; i < s.files; i++) {
        snprintf(path, sizeof path, "%s/%.64s" ST_HEADER, home, s.file[i].name);
        assert_true(file_replace(path, s.file[i].head, (size_t)s.file[i].head_bytes, &e));
        assert_int_equal(unlink(at(s.file[i].name)), 0);
    }
    st_close(&s);
    assert_true(st_open(&s, home, ST_HEADER, &e));
    write_all(&s, dir);
    st_close(&s);
    assert_true(st_open(&s, dir, "", &e));
    check_all(&s);
    st_close(&s);
    st_close(&plan);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    for (int type = ST_F32; type < ST_OTHER; type++) {
        round_trip((StType)type, 0);
        round_trip((StType)type, 150);
    }
}

static void other_types_are_carried(void **state)
{
    (void)state;
    St s;
    Err e = { 0 };
    float x;
    int64_t ids[3] = { 1, 1, 1 };
    empty();
    put(ST_SINGLE, "{\"ids\":{\"dtype\":\"I64\",\"shape\":[1,3],\"data_offsets\":[0,24]},\"none\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[24,24]}}  ", 24);
    assert_true(st_open(&s, home, "", &e));
    assert_true(st_read_bytes(&s, st_find(&s, "ids"), 8, 16, ids, &e));
    assert_true(ids[0] == 0 && ids[1] == 0 && ids[2] == 1);
    assert_true(st_read(&s, st_find(&s, "none"), 0, 0, 0, 4, &x, 4, &e));
    assert_false(st_read(&s, st_find(&s, "ids"), 0, 1, 0, 1, &x, 1, &e));
    assert_int_equal(e.code, EXIT_DATA);
    st_close(&s);
    /* A number that F16 cannot hold is not made infinite in silence; infinity itself is a number. */
    St plan;
    Err large = { 0 };
    const StTensor h = st_tensor("h", ST_F16, 1, (int64_t[]){ 2 });
    assert_true(st_plan(&plan, &h, 1, 0, &large) && st_create(&plan, 0, home, &large));
    const int fd = st_open_write(&plan, 0, home, &large);
    assert_true(st_write(&plan, plan.tensor, fd, 0, 2, 0, 1, (float[]){ 65504, INFINITY }, 1, &large));
    assert_false(st_write(&plan, plan.tensor, fd, 0, 2, 0, 1, (float[]){ 0, -70000 }, 1, &large));
    assert_int_equal(large.code, EXIT_DATA);
    assert_non_null(strstr(large.what, "-70000"));
    close(fd);
    st_close(&plan);
    /* A file that shrinks under the reader is the disk's fault. */
    Err cut = { 0 };
    put(ST_SINGLE, A4, 4);
    assert_true(st_open(&s, home, "", &cut));
    assert_int_equal(truncate(at(ST_SINGLE), (off_t)(8 + strlen(A4) + 2)), 0);
    assert_false(st_read(&s, st_find(&s, "a"), 0, 1, 0, 1, &x, 1, &cut));
    assert_int_equal(cut.code, EXIT_IO);
    st_close(&s);
}

static int make_home(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "%s/st-XXXXXX", "/tmp");
    return mkdtemp(home) == NULL;
}

static int remove_home(void **state)
{
    (void)state;
    Err e = { 0 };
    return !dir_remove(home, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pattern_survives),      cmocka_unit_test(narrowing_rounds_to_even),
        cmocka_unit_test(malformed_headers_are_refused), cmocka_unit_test(lengths_are_refused),
        cmocka_unit_test(wrong_indices_are_refused),   cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(other_types_are_carried),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
