/* test_store -- differences of pixels: the bytes of an example, its definition, and back to every bit */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "io/set/store.h"

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(store_find("raw"), STORE_RAW);
    assert_int_equal(store_find("delta"), STORE_DELTA);
    assert_int_equal(store_find("del"), -1);
    assert_int_equal(store_find(""), -1);
}

/* The example of store.h, twice: a picture knows nothing of the one before. */
static void test_golden(void **state)
{
    (void)state;
    static const uint8_t px[2][12] = { { 10, 20, 30, 12, 23, 35, 9, 20, 29, 11, 22, 255 },
                                       { 10, 20, 30, 12, 23, 35, 9, 20, 29, 11, 22, 255 } };
    static const uint8_t is[12] = { 246, 20, 10, 255, 3, 2, 255, 0, 255, 1, 255, 222 };
    uint8_t out[2][12];
    store_encode(out[0], px[0], 2, 2);
    assert_memory_equal(out[0], is, 12);
    assert_memory_equal(out[1], is, 12);
    store_decode(out[0], 2, 2);
    assert_memory_equal(out, px, 24);
}

enum { RANDOM, BLACK, WHITE, GRADIENT, CONTENTS };

static uint8_t content(int kind, int side, int64_t at)
{
    const int64_t c = at % 3, x = at / 3 % side, y = at / 3 / side;
    switch (kind) {
    case RANDOM: return (uint8_t)rng_bits(1, rng_stream("pixels"), (uint64_t)at);
    case BLACK:  return 0;
    case WHITE:  return 255;
    default:     return (uint8_t)(2 * x + 3 * y + 40 * c);
    }
}

/* q of store.h's definition; 0 outside. */
static int q(const uint8_t *px, int side, int y, int x, int c)
{
    if (y < 0 || x < 0)
        return 0;
    const uint8_t *p = px + 3 * ((int64_t)y * side + x);
    return c == 1 ? p[1] : p[c] - p[1];
}

static void check_definition(const uint8_t *out, const uint8_t *px, int side)
{
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            for (int c = 0; c < 3; c++) {
                int want = q(px, side, y, x, c) - q(px, side, y, x - 1, c) - q(px, side, y - 1, x, c) + q(px, side, y - 1, x - 1, c);
                if (*out++ != (uint8_t)want)
                    fail_msg("side %d, row %d, column %d, channel %d", side, y, x, c);
            }
}

static void test_round_trip(void **state)
{
    (void)state;
    static const int sides[] = { 1, 2, 7, 16, 33, 64, 384, 385, 801 };    /* a block of store.c is a row of 384 */
    for (size_t s = 0; s < sizeof sides / sizeof *sides; s++)
        for (int kind = 0; kind < CONTENTS; kind++) {
            const int side = sides[s], pictures = 3;
            const int64_t picture = 3 * (int64_t)side * side, all = pictures * picture;
            uint8_t *px = malloc((size_t)all), *out = malloc((size_t)all + 1), *copy = malloc((size_t)all);
            assert_true(px && out && copy);
            for (int64_t i = 0; i < all; i++)
                px[i] = content(kind, side, i);
            memcpy(copy, px, (size_t)all);
            out[all] = 77;
            store_encode(out, px, pictures, side);
            assert_memory_equal(px, copy, (size_t)all);             /* the input is left alone */
            for (int i = 0; i < pictures; i++)
                check_definition(out + i * picture, px + i * picture, side);
            store_decode(out, pictures, side);
            assert_memory_equal(out, px, (size_t)all);
            assert_int_equal(out[all], 77);                         /* nothing behind the last picture */
            free(px), free(out), free(copy);
        }
}

/* Damaged or padded rows are bytes like any others: decode then encode gives them back, too. */
static void test_any_bytes(void **state)
{
    (void)state;
    enum { SIDE = 33, BYTES = 3 * SIDE * SIDE };
    static uint8_t stored[BYTES], px[BYTES], again[BYTES];
    for (int i = 0; i < BYTES; i++)
        stored[i] = px[i] = content(RANDOM, SIDE, i);
    store_decode(px, 1, SIDE);
    store_encode(again, px, 1, SIDE);
    assert_memory_equal(again, stored, BYTES);
    store_encode(again, px, 0, SIDE);                               /* no picture: nothing happens */
    assert_memory_equal(again, stored, BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
