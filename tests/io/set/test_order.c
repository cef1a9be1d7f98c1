/* test_order -- every epoch is a permutation, epochs and seeds differ, positions and samples are unrelated */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "io/set/order.h"

static void permutation(int64_t n, uint64_t seed, int64_t epoch)
{
    uint8_t *seen = calloc((size_t)n, 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t s = order_sample(n, seed, epoch * n + i);
        assert_true(s >= 0 && s < n && !seen[s]);
        seen[s] = 1;
    }
    free(seen);
}

static void test_bijection(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 130; n++)
        for (int64_t epoch = 0; epoch < 3; epoch++)
            permutation(n, 11, epoch);
    static const int64_t big[] = { 255, 256, 257, 1000, 4095, 4096, 4097, 65536, 100003 };
    for (size_t k = 0; k < sizeof big / sizeof *big; k++)
        permutation(big[k], 5, (int64_t)k);
}

static void test_large(void **state)
{
    (void)state;
    const int64_t n = INT64_C(1) << 40;
    for (int64_t i = 0; i < 1000; i++) {
        int64_t s = order_sample(n - 7, 1, (n - 7) * 1000 + i);
        assert_true(s >= 0 && s < n - 7);
        assert_true(order_sample(n, 1, i) != order_sample(n, 1, i + 1));
    }
}

/* Positions that two orders of n samples have in common; 1 is expected of unrelated permutations. */
static int64_t common(int64_t n, uint64_t seed, int64_t epoch, uint64_t other_seed, int64_t other_epoch)
{
    int64_t same = 0;
    for (int64_t i = 0; i < n; i++)
        same += order_sample(n, seed, epoch * n + i) == order_sample(n, other_seed, other_epoch * n + i);
    return same;
}

static void test_epochs_and_seeds_differ(void **state)
{
    (void)state;
    /* Poisson with mean 1: more than 8 happens once in a million. */
    assert_in_range(common(5000, 1, 0, 1, 1), 0, 8);
    assert_in_range(common(5000, 1, 7, 1, 8), 0, 8);
    assert_in_range(common(5000, 1, 0, 2, 0), 0, 8);
    assert_int_equal(common(5000, 3, 4, 3, 4), 5000);
}

static double chi_square(const int64_t *count, int cells, double expected)
{
    double x = 0;
    for (int i = 0; i < cells; i++)
        x += ((double)count[i] - expected) * ((double)count[i] - expected) / expected;
    return x;
}

/* Where position i and position i+1 go, as cells of a 16 x 16 table: 255 degrees of freedom, deviation 22.6. */
static void test_pairs_uniform(void **state)
{
    (void)state;
    enum { K = 16 };
    const int64_t n = 40000;                    /* not a power of two: cycle walking is at work */
    int64_t count[K * K] = { 0 }, place[K * K] = { 0 };
    for (int64_t i = 0; i < n; i++) {
        int64_t a = order_sample(n, 9, i), b = order_sample(n, 9, (i + 1) % n);
        count[a * K / n * K + b * K / n]++;
        place[i * K / n * K + a * K / n]++;     /* and where in the order: sorted output would fail here */
    }
    /* Five deviations: once in three million. */
    assert_true(chi_square(count, K * K, (double)n / (K * K)) < 255 + 5 * 22.6);
    assert_true(chi_square(place, K * K, (double)n / (K * K)) < 255 + 5 * 22.6);
}

/* Small sets, where a Feistel network has the fewest keys: over many epochs each sample comes first equally often. */
static void test_small_sets_uniform(void **state)
{
    (void)state;
    for (int n = 2; n <= 12; n++) {
        int64_t count[12] = { 0 }, epochs = 6000;
        for (int64_t epoch = 0; epoch < epochs; epoch++)
            count[order_sample(n, 3, epoch * n)]++;
        /* n - 1 degrees of freedom; 45 is beyond one in 100 000 for all of them. */
        assert_true(chi_square(count, n, (double)epochs / n) < 45);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bijection),     cmocka_unit_test(test_large), cmocka_unit_test(test_epochs_and_seeds_differ),
        cmocka_unit_test(test_pairs_uniform), cmocka_unit_test(test_small_sets_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
