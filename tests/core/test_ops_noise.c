/* test_ops_noise.c -- fill, noise, its mixture, the mean squared error: each against what ops.h says, in both backends */
#include "tests/core/op_check.h"
#include "tests/core/op_values.h"

static void fill_sets_all(void **state)
{
    const Ops *o = *state;
    static float x[100004];
    for (int n = 0; n <= 100003; n = 3 * n + 1) {                       /* 0 1 4 13 40 .. */
        x[n] = 42;
        o->fill(x, n, -1.5f);
        for (int i = 0; i < n; i++)
            assert_true(x[i] == -1.5f);
        assert_true(x[n] == 42);
    }
}

/* Few and many rows: the bits of the formula, whoever computes them. */
static void noise_is_the_formula(void **state)
{
    const Ops *o = *state;
    enum { C = 5 };
    for (int N = 0; N <= 3000; N = 7 * N + 1) {
        float *out = buffer(N * C);
        uint64_t *stream = malloc((size_t)N * sizeof *stream + 1);
        int64_t *key = malloc((size_t)N * sizeof *key + 1);
        for (int n = 0; n < N; n++)
            stream[n] = rng_bits(1, 2, (uint64_t)n % 3), key[n] = ((int64_t)1 << 40) - 17 * n;
        o->noise(out, stream, key, N, C, 99);
        for (int i = 0; i < N * C; i++)
            assert_true(out[i] == (float)rng_normal(99, stream[i / C], (uint64_t)(key[i / C] * C + i % C)));
        free(out), free(stream), free(key);
    }
}

static void mix_keeps_its_share(void **state)
{
    const Ops *o = *state;
    enum { N = 700, M = 11, C = 67 };                                    /* enough for several threads */
    static float x[M * C], noise[N * C], out[N * C];
    static double kept[N];
    int32_t row[N];
    fill(x, M * C, 1), fill(noise, N * C, 2);
    for (int n = 0; n < N; n++)
        row[n] = n * 7 % M, kept[n] = n < 2 ? n : rng_uniform(1, 1, (uint64_t)n);
    o->noise_mix(out, x, noise, row, kept, N, C);
    for (int i = 0; i < N * C; i++) {
        const double k = kept[i / C], want = sqrt(k) * x[row[i / C] * C + i % C] + sqrt(1 - k) * noise[i];
        assert_float_equal(out[i], want, 1e-6);                         /* two products of order 1 in float: 4e-7 */
    }
    for (int c = 0; c < C; c++)
        assert_true(out[c] == noise[c] && out[C + c] == x[row[1] * C + c]);
}

/* By hand: (1,2),(3,4) against (0,4),(3,1): (1 + 4 + 0 + 9) / 2; gradient (x - want) 2 / 2 scale. */
static void mse_by_hand(void **state)
{
    const Ops *o = *state;
    float x[] = { 1, 2, 3, 4 }, d[4];
    const float want[] = { 0, 4, 3, 1 }, slope[] = { 0.5f, -1, 0, 1.5f };
    assert_true(op_mse(o, d, x, want, 2, 2, 0.5f) == 7);
    assert_memory_equal(d, slope, sizeof d);
    assert_true(op_mse(o, NULL, x, want, 2, 2, 0.5f) == 7);
    assert_true(op_mse(o, x, x, want, 2, 2, 0.5f) == 7);                   /* in place */
    assert_memory_equal(x, slope, sizeof x);
    assert_true(op_mse(o, NULL, x, want, 0, 2, 1) == 0);
}

/* The sum in double errs by 1e-12 at most; the gradient by the float roundings of three factors. */
static void mse_of_any_length(void **state)
{
    const Ops *o = *state;
    for (int N = 1; N < 20000; N = 5 * N + 2) {
        enum { C = 11 };
        float *x = buffer(N * C), *want = buffer(N * C), *d = buffer(N * C);
        double sum = 0;
        fill(x, N * C, 1), fill(want, N * C, 2);
        for (int i = 0; i < N * C; i++)
            sum += pow((double)x[i] - want[i], 2) / C;
        const double got = op_mse(o, d, x, want, N, C, 3);
        assert_true(fabs(got / sum - 1) < 1e-12 && op_mse(o, NULL, x, want, N, C, 3) == got);
        for (int i = 0; i < N * C; i++)
            assert_float_equal(d[i], 6.0 / C * ((double)x[i] - want[i]), 1e-6);
        free(x), free(want), free(d);
    }
}

static int suite(const char *name, const Ops *o)
{
    void *s = (void *)(uintptr_t)o;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(fill_sets_all, s),       cmocka_unit_test_prestate(noise_is_the_formula, s),
        cmocka_unit_test_prestate(mix_keeps_its_share, s), cmocka_unit_test_prestate(mse_by_hand, s),
        cmocka_unit_test_prestate(mse_of_any_length, s),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    ops_use(&OPS_CPU, 2);
    return suite("ref", &OPS_REF) + suite("fast", &op);
}
