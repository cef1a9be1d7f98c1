/* Fixed-point sums against whole numbers of 128 bits, in the reference and in the backend of the program. */
#include "tests/core/op_check.h"
#include "tests/core/op_values.h"

#include "core/rng.h"

enum { LENGTH = 70001 /* more than one thread's */, ADDENDS = 12 };

static float   x[ADDENDS][LENGTH], out[LENGTH];
static int64_t sum[2][LENGTH + 1], want[LENGTH];

static const float LIMIT = 0x1p12f / ADDENDS;

/* Of every size from far below the last place up to the limit, many or few bits: halves of the last place are among them. */
static float addend(int k, int64_t i)
{
    const uint64_t draw = rng_below(INT64_MAX, 7, (uint64_t)k, (uint64_t)i);
    const float whole = (float)(draw >> 8 & (draw & 128 ? 0xffffff : 7));
    return ldexpf(draw & 64 ? whole : -whole, (int)(draw % 64) - 80);
}

/* x in units of 2^-50, ties to even, by whole numbers alone. */
static __int128 units(float v)
{
    int exponent;
    const __int128 whole = (__int128)ldexpf(frexpf(fabsf(v), &exponent), 24);
    const int shift = exponent - 24 + FIXED_BITS;
    __int128 n = shift < -60 ? 0 : shift < 0 ? whole >> -shift : whole << shift;
    if (shift < 0 && shift >= -60) {
        const __int128 rest = whole - (n << -shift), half = (__int128)1 << (-shift - 1);
        n += rest > half || (rest == half && n % 2);
    }
    return v < 0 ? -n : n;
}

static void fill_addends(void)
{
    for (int k = 0; k < ADDENDS; k++)
        for (int64_t i = 0; i < LENGTH; i++)
            x[k][i] = addend(k, i);
    for (int64_t i = 0; i < LENGTH; i++) {
        __int128 all = 0;
        for (int k = 0; k < ADDENDS; k++)
            all += units(x[k][i]);
        want[i] = (int64_t)all;
        assert_true(all == want[i]);
    }
}

static void sums_are_whole_numbers(void **state)
{
    const Ops *o = *state;
    static const int64_t lengths[] = { 0, 1, 3, 17, 33, LENGTH };
    fill_addends();
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        const int64_t n = lengths[l];
        for (int64_t i = 0; i <= LENGTH; i++)
            sum[0][i] = 77;
        for (int k = 0; k < ADDENDS; k++)
            o->fixed_add(sum[0], k ? sum[0] : NULL, x[k], n, LIMIT);
        assert_memory_equal(sum[0], want, (size_t)n * sizeof *want);
        assert_true(sum[0][n] == 77);
        o->fixed_round(out, sum[0], n);
        for (int64_t i = 0; i < n; i++)
            assert_true(out[i] == (float)ldexpl((long double)want[i], -FIXED_BITS));       /* 64 bits: exact until it is float */
    }
}

/* The same numbers, backwards in two groups that are joined. */
static void order_does_not_enter(void **state)
{
    const Ops *o = *state;
    fill_addends();
    for (int group = 0; group < 2; group++)
        for (int k = ADDENDS - 1 - group; k >= 0; k -= 2)
            o->fixed_add(sum[group], k < ADDENDS - 2 ? sum[group] : NULL, x[k], LENGTH, LIMIT);
    o->fixed_join(sum[0], sum[1], sum[0], LENGTH);
    assert_memory_equal(sum[0], want, sizeof want);
}

/* What is not below the limit, or no number, makes its own sum NaN, however many of them and whatever is added before and after. */
static void lost_stays_lost(void **state)
{
    const Ops *o = *state;
    const float bad[] = { LIMIT, -LIMIT, 1e30f, -3e38f, INFINITY, -INFINITY, NAN, -NAN };
    enum { KINDS = sizeof bad / sizeof *bad, N = 37 };
    static const int64_t at[] = { 0, 5, 17, N - 1 };
    for (int kind = 0; kind < KINDS; kind++)
        for (int times = 1; times <= ADDENDS; times++) {
            for (int k = 0; k < ADDENDS; k++) {
                float y[N];
                for (int i = 0; i < N; i++)
                    y[i] = nextafterf(i % 2 ? LIMIT : -LIMIT, 0);
                for (size_t j = 0; j < sizeof at / sizeof *at && (5 * k + times) % ADDENDS < times; j++)
                    y[at[j]] = bad[kind];
                o->fixed_add(sum[k % 2], k > 1 ? sum[k % 2] : NULL, y, N, LIMIT);
            }
            o->fixed_join(sum[kind % 2], sum[0], sum[1], N);
            o->fixed_round(out, sum[kind % 2], N);
            for (int i = 0, j = 0; i < N; i++)
                if (i == at[j]) {
                    assert_true(isnan(out[i]));
                    j++;
                } else {
                    assert_float_equal(out[i], (i % 2 ? 4096 : -4096), 4096 * 1e-6);      /* all but at the limit: in range */
                }
        }
}

static int suite(const char *name, const Ops *o)
{
    void *s = (void *)(uintptr_t)o;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(sums_are_whole_numbers, s),
        cmocka_unit_test_prestate(order_does_not_enter, s),
        cmocka_unit_test_prestate(lost_stays_lost, s),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    ops_use(&OPS_CPU, 3);
    return suite("ref", &OPS_REF) + suite("fast", &op);
}
