/* test_exact.c -- exact sums: any order gives the same bits, and they are the right ones */
#include "core/exact.h"
#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { N = 5000 };

static uint64_t bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* Doubles of both signs over many magnitudes, so that an ordinary sum loses most of them. */
static double sample(int i, int spread)
{
    const double m = 2 * rng_uniform(7, 1, (uint64_t)i) - 1;
    return ldexp(m, (int)rng_below(2 * spread + 1, 7, 2, (uint64_t)i) - spread);
}

static void any_order_gives_the_same_bits(void **state)
{
    (void)state;
    Exact forwards = { 0 }, backwards = { 0 }, parts[7] = { 0 }, all = { 0 };
    double plain = 0, back = 0;
    for (int i = 0; i < N; i++) {
        exact_add(&forwards, sample(i, 60));
        exact_add(&backwards, sample(N - 1 - i, 60));
        exact_add(&parts[rng_below(7, 7, 3, (uint64_t)i)], sample(i, 60));
        plain += sample(i, 60);
        back += sample(N - 1 - i, 60);
    }
    for (int p = 6; p >= 0; p--)                    /* as ranks would be added up */
        for (int w = 0; w < EXACT_WORDS; w++)
            all.word[w] += parts[p].word[w];
    assert_true(bits(plain) != bits(back));         /* the data would show an order */
    assert_int_equal(bits(exact_value(&forwards)), bits(exact_value(&backwards)));
    assert_int_equal(bits(exact_value(&forwards)), bits(exact_value(&all)));
}

/* Multiples of 2^-40 below 2^40: their sums are integers that 128 bits hold, rounded once by the compiler. */
static void the_value_is_rounded_once(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        Exact s = { 0 };
        __int128 sum = 0;
        for (int i = 0; i < 40; i++) {
            const int64_t k = (int64_t)rng_below((int64_t)1 << 53, 11, (uint64_t)round, (uint64_t)i) - ((int64_t)1 << 52);
            const int up = (int)rng_below(28, 12, (uint64_t)round, (uint64_t)i);
            exact_add(&s, ldexp((double)k, up - 40));
            sum += (__int128)k * ((__int128)1 << up);
        }
        assert_int_equal(bits(exact_value(&s)), bits(ldexp((double)sum, -40)));
    }
}

static void cancellation_leaves_what_is_left(void **state)
{
    (void)state;
    Exact s = { 0 };
    exact_add(&s, 1e300 * 1e-190);                  /* 1e110 */
    exact_add(&s, 1e-60);
    exact_add(&s, -1e110);
    exact_add(&s, 1e110 - 1e300 * 1e-190);
    assert_int_equal(bits(exact_value(&s)), bits(1e-60));
    exact_add(&s, -1e-60);
    assert_int_equal(bits(exact_value(&s)), 0);
    exact_add(&s, -3.5);
    assert_true(exact_value(&s) == -3.5);
}

static void squares_of_floats_have_a_place(void **state)
{
    (void)state;
    Exact s = { 0 };
    exact_add(&s, (double)FLT_MAX * FLT_MAX);
    assert_true(exact_value(&s) == (double)FLT_MAX * FLT_MAX);
    s = (Exact){ 0 };
    exact_add(&s, (double)FLT_TRUE_MIN * FLT_TRUE_MIN);
    assert_true(exact_value(&s) == (double)FLT_TRUE_MIN * FLT_TRUE_MIN);
}

static void what_is_not_finite_shows(void **state)
{
    (void)state;
    const double bad[] = { NAN, INFINITY, -INFINITY, 1e200 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Exact s = { 0 };
        exact_add(&s, 1);
        exact_add(&s, bad[i]);
        exact_add(&s, -bad[i]);
        assert_true(isnan(exact_value(&s)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_gives_the_same_bits),
        cmocka_unit_test(the_value_is_rounded_once),
        cmocka_unit_test(cancellation_leaves_what_is_left),
        cmocka_unit_test(squares_of_floats_have_a_place),
        cmocka_unit_test(what_is_not_finite_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
