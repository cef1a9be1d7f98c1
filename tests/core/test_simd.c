/* The polynomials of core/cpu/simd.h against libm in double, over all of their range, and at the edges. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/cpu/simd.h"

static const double PI = 3.14159265358979323846;

/* Asserts |got - want| <= error * |want|; want may be subnormal, where half a unit is all that float can promise. */
static void assert_relative(const char *what, double x, float got, double want, double error)
{
    if (!(fabs((double)got - want) <= error * fabs(want) + (double)FLT_TRUE_MIN))
        fail_msg("%s(%.9g) is %.9g, not %.9g", what, x, (double)got, want);
}

/* Every 61st float between two positive bounds, with both signs. */
static float next_sample(float x) { return x > 0 ? -x : simd_from_bits(simd_bits(-x) + 61); }

static void exp_everywhere(void **state)
{
    (void)state;
    /* The last Horner step rounds by half a unit, 6e-8, the one before by a third of that; measured 7.5e-8 in all, 9.8e-8 without fma. */
    const double error = 1e-7;
    for (float x = 0x1p-30f; fabsf(x) < 104.f; x = next_sample(x))
        if (x < 88.7228f)
            assert_relative("exp", x, simd_exp(x), exp((double)x), error);
    assert_true(simd_exp(0.f) == 1.f);
}

static void sigmoid_everywhere(void **state)
{
    (void)state;
    for (float x = 0x1p-30f; fabsf(x) < 88.f; x = next_sample(x))           /* below -88 exp(-x) is inf: 0, not subnormal */
        assert_relative("sigmoid", x, simd_sigmoid(x), 1 / (1 + exp(-(double)x)), 2e-7);
}

static void normal_everywhere(void **state)
{
    (void)state;
    /* Ten roundings and the fit's 5e-8; x^2/2 is rounded to 2^-24 of itself, which exp makes a relative error. */
    for (float x = 0x1p-30f; fabsf(x) < 13.f; x = next_sample(x)) {
        float cdf, pdf;
        const double error = 6e-7 + 1e-7 * x * x;
        simd_normal(&cdf, &pdf, x);
        assert_relative("cdf", x, cdf, 0.5 * erfc(-x / sqrt(2)), error);
        assert_relative("pdf", x, pdf, exp(-0.5 * x * x) / sqrt(2 * PI), error);
    }
}

static void edges(void **state)
{
    (void)state;
    float cdf, pdf;
    assert_true(simd_exp(INFINITY) == INFINITY && simd_exp(89.f) == INFINITY && simd_exp(FLT_MAX) == INFINITY);
    assert_true(simd_exp(-INFINITY) == 0.f && simd_exp(-FLT_MAX) == 0.f && isnan(simd_exp(NAN)));
    assert_true(simd_sigmoid(INFINITY) == 1.f && simd_sigmoid(-INFINITY) == 0.f && isnan(simd_sigmoid(NAN)));
    simd_normal(&cdf, &pdf, INFINITY);
    assert_true(cdf == 1.f && pdf == 0.f);
    simd_normal(&cdf, &pdf, -INFINITY);
    assert_true(cdf == 0.f && pdf == 0.f);
    simd_normal(&cdf, &pdf, NAN);
    assert_true(isnan(cdf) && isnan(pdf));
}

static void turns(void **state)
{
    (void)state;
    for (int i = -40000; i <= 40000; i++) {
        const double at = i * 0.0123456789, far = at + 65536 * (i % 3);     /* whole turns change nothing */
        float s, c;
        simd_turn(&s, &c, far);
        if (!(fabs(s - sin(2 * PI * at)) < 1.2e-7 && fabs(c - cos(2 * PI * at)) < 1.2e-7))
            fail_msg("%.9g turns: (%.9g, %.9g)", far, (double)c, (double)s);
    }
    float s, c;
    simd_turn(&s, &c, 0.25);
    assert_true(fabsf(s - 1.f) < 2e-7f && fabsf(c) < 2e-7f);
}

/* The remainder loop of an op must give the bits of its vector loop: a row's result may not depend on where it lies. */
static void vector_and_scalar_agree(void **state)
{
    (void)state;
    enum { LENGTH = 64 };
    float x[LENGTH], vector[LENGTH];
    for (int i = 0; i < LENGTH; i++)
        x[i] = -9.f + 0.281f * (float)i;
#pragma omp simd
    for (int i = 0; i < LENGTH; i++)
        vector[i] = simd_sigmoid(x[i]);
    for (int i = 0; i < LENGTH; i++) {
        volatile float one = x[i];
        assert_true(simd_sigmoid(one) == vector[i]);
    }
}

static void max_of_any_length(void **state)
{
    (void)state;
    float x[40];
    for (int n = 1; n <= 40; n++)
        for (int top = 0; top < n; top++) {
            for (int i = 0; i < n; i++)
                x[i] = i == top ? -1.f : -2.f;
            assert_true(simd_max(x, n) == -1.f);
        }
    assert_true(simd_max(x, 0) == -INFINITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_everywhere), cmocka_unit_test(sigmoid_everywhere), cmocka_unit_test(normal_everywhere),
        cmocka_unit_test(edges), cmocka_unit_test(turns), cmocka_unit_test(vector_and_scalar_agree),
        cmocka_unit_test(max_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
