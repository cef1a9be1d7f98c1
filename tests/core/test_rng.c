/* Random numbers without a state: pinned values, and the moments that initial weights rely on. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"

enum { N = 100000 };

/* Computed by an independent program: a checkpoint's seed must give the same weights for ever. */
static void values_are_pinned(void **state)
{
    (void)state;
    uint64_t s = rng_stream("decoder.3.attn.wq");
    assert_true(s == 0x7f8ec6b89cd230a1u);
    assert_true(rng_bits(1, s, 0) == 0x77e4db61e3e1ac4fu);
    assert_true(rng_bits(1, s, 1) == 0xe1515e524c01d1ccu);
    assert_true(rng_bits(1, s, (uint64_t)1 << 40) == 0xa7841cc1747e1c94u);
    assert_true(rng_bits(0, 0, 0) == 0x1525442b0c196746u);
}

typedef double Draw(uint64_t seed, uint64_t stream, uint64_t index);

/* Moments of N draws; a mean of N values of variance v errs by sqrt(v / N), allowed is 5 times that. */
static void check_moments(Draw *draw, double mean, double variance, double fourth)
{
    double m = 0, v = 0, next = 0;
    for (uint64_t i = 0; i < N; i++) {
        double x = draw(7, 1, i) - mean;
        m += x / N, v += x * x / N;
        next += x * (draw(7, 1, i + 1) - mean) / N;
    }
    assert_true(fabs(m) < 5 * sqrt(variance / N));
    assert_true(fabs(v - variance) < 5 * sqrt((fourth - variance * variance) / N));
    assert_true(fabs(next) < 5 * variance / sqrt(N));                  /* neighbours do not correlate */
}

static void moments(void **state)
{
    (void)state;
    check_moments(rng_uniform, 0.5, 1.0 / 12, 1.0 / 80);
    check_moments(rng_normal, 0, 1, 3);
}

static void uniform_stays_below_one(void **state)
{
    (void)state;
    double low = 1, high = 0;
    for (uint64_t i = 0; i < N; i++) {
        double u = rng_uniform(3, 2, i);
        low = fmin(low, u), high = fmax(high, u);
        assert_true(isfinite(rng_normal(3, 2, i)));
    }
    assert_true(low >= 0 && low < 1e-4 && high < 1 && high > 1 - 1e-4);
}

/* Close seeds, streams and indices share no bits beyond chance: of 64 bits 32 +- 4 differ, over 1000 pairs +- 0.13. */
static void neighbours_are_unlike(void **state)
{
    (void)state;
    double differ[3] = { 0 };
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t here = rng_bits(i, 5, 9), there[] = { rng_bits(i + 1, 5, 9), rng_bits(i, 6, 9), rng_bits(i, 5, 10) };
        for (int k = 0; k < 3; k++)
            differ[k] += __builtin_popcountll(here ^ there[k]) / 1000.0;
    }
    for (int k = 0; k < 3; k++)
        assert_true(fabs(differ[k] - 32) < 5 * 0.13);
}

/* Ten values equally often: 10000 +- 95 each; huge n does not overflow. */
static void below_is_even(void **state)
{
    (void)state;
    int count[10] = { 0 };
    for (uint64_t i = 0; i < N; i++) {
        int64_t k = rng_below(10, 7, 3, i), big = rng_below(INT64_MAX, 7, 3, i);
        assert_in_range(k, 0, 9);
        assert_true(big >= 0);
        assert_int_equal(rng_below(1, 7, 3, i), 0);
        count[k]++;
    }
    for (int k = 0; k < 10; k++)
        assert_in_range(count[k], 10000 - 475, 10000 + 475);
}

static void a_position_advances(void **state)
{
    (void)state;
    Rng r = { 7, 3, 40 };
    int64_t a = rng_draw(&r, 1000);
    double b = rng_draw01(&r);
    assert_int_equal(a, rng_below(1000, 7, 3, 40));
    assert_true(b == rng_uniform(7, 3, 41));
    assert_int_equal(r.index, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_pinned),     cmocka_unit_test(moments),       cmocka_unit_test(uniform_stays_below_one),
        cmocka_unit_test(neighbours_are_unlike), cmocka_unit_test(below_is_even), cmocka_unit_test(a_position_advances),
    };
    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
