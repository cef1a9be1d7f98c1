/* Ops of optimizer and reduction on flat ranges, in the reference and in the backend of the program. */
#include "core/exact.h"
#include "tests/core/op_check.h"
#include "tests/core/op_values.h"

static const int64_t LENGTHS[] = { 0, 1, 3, 17, 33, 100003 };
enum { NLENGTHS = sizeof LENGTHS / sizeof *LENGTHS, LONGEST = 100003 };

static void sumsq_is_exact_enough(void **state)
{
    const Ops *o = *state;
    static float x[LONGEST];
    fill(x, LONGEST, 1);
    for (int l = 0; l < NLENGTHS; l++) {
        double want = 0, got = op_sumsq(o, x, LENGTHS[l]);
        for (int64_t i = 0; i < LENGTHS[l]; i++)
            want += (double)x[i] * x[i];
        assert_true(fabs(got - want) <= 1e-11 * want);          /* double sums: 1e5 * 1e-16 */
        assert_true(op_sumsq(o, x, LENGTHS[l]) == got);
    }
    x[0] = 1e30f;                                               /* its square is beyond float */
    assert_true(fabs(op_sumsq(o, x, 5) / 1e60 - 1) < 1e-6);
    x[LONGEST - 1] = INFINITY;
    assert_true(isinf(op_sumsq(o, x, LONGEST)));
    x[777] = NAN;
    assert_true(isnan(op_sumsq(o, x, LONGEST)));
}

/* A block's sum is the same bits whichever blocks are asked for: owners of parts must agree with an owner of all. */
static void sums_of_blocks_do_not_know_their_neighbours(void **state)
{
    const Ops *o = *state;
    enum { BLOCK = 64, BLOCKS = 700, FIRST = 19, N = FIRST + (BLOCKS - 2) * BLOCK + 5 };
    static float x[N];
    static double all[BLOCKS + 1], want[BLOCKS], some[BLOCKS];
    fill(x, N, 5);
    all[BLOCKS] = -1;
    o->sumsq_blocks(all, x, N, BLOCK, FIRST, false);
    OPS_REF.sumsq_blocks(want, x, N, BLOCK, FIRST, false);
    assert_true(all[BLOCKS] == -1);
    for (int k = 0; k < BLOCKS; k++)
        assert_float_equal(all[k], want[k], 1e-12 * want[k]);           /* doubles, 64 additions */
    for (int from = 1; from < BLOCKS; from += 97) {
        const int64_t at = FIRST + (from - 1) * BLOCK;
        o->sumsq_blocks(some, x + at, N - at, BLOCK, BLOCK, false);
        assert_memory_equal(some, all + from, (size_t)(BLOCKS - from) * sizeof *some);
    }
}

/* Split, their exact sum is that of the squares, however they are cut; what is not finite is seen. */
static void split_squares_make_the_same_sum(void **state)
{
    const Ops *o = *state;
    enum { N = 20011, LEAST = 5 };
    static const int BLOCK[] = { 256, 255, 64, 17, LEAST };
    static float x[N];
    static double part[3 * (N / LEAST + 2)];
    Exact want = { 0 };
    for (int i = 0; i < N; i++) {
        x[i] = i % 7 == 3 ? 0 : ldexpf((float)rng_normal(3, 1, (uint64_t)i), i % 5 * -7 - i / 400);
        exact_add(&want, (double)x[i] * x[i]);
    }
    for (int k = 0; k < 5; k++) {
        Exact got = { 0 };
        o->sumsq_blocks(part, x, N, BLOCK[k], BLOCK[k] / 2, true);
        exact_add_all(&got, part, 3 * (1 + ceil_div(N - BLOCK[k] / 2, BLOCK[k])));
        assert_true(exact_value(&got) == exact_value(&want));
    }
    for (int i = 0; i < 2; i++) {
        Exact got = { 0 };
        x[77] = i ? NAN : INFINITY;
        o->sumsq_blocks(part, x, 256, 256, 256, true);
        exact_add_all(&got, part, 3);
        assert_true(isnan(exact_value(&got)));
    }
}

/* Every order of additions that is asked for, into a buffer of its own or one of them. */
static void trees_add_in_their_order(void **state)
{
    const Ops *o = *state;
    enum { N = 40001, TERMS = 5 };
    static float term[TERMS][N], out[N];
    static const Addition tree[TERMS - 1] = { { 0, 1 }, { 2, 3 }, { 0, 2 }, { 0, 4 } };
    for (int into = -1; into < TERMS; into++) {
        float *x[TERMS], *sum = into < 0 ? out : term[into];
        for (int k = 0; k < TERMS; k++) {
            x[k] = term[k];
            fill(x[k], N, k);
        }
        static float want[N];
        for (int i = 0; i < N; i++)
            want[i] = ((term[0][i] + term[1][i]) + (term[2][i] + term[3][i])) + term[4][i];
        o->sum_tree(sum, x, tree, TERMS - 1, N);
        assert_memory_equal(sum, want, sizeof want);
    }
}

static void blend_by_hand(void **state)
{
    const Ops *o = *state;
    static float x[LONGEST], y[2][LONGEST];
    for (int l = 0; l < NLENGTHS; l++) {
        fill(x, LENGTHS[l], 1);
        for (int k = 0; k < 2; k++) {
            fill(y[k], LENGTHS[l], 2);
            (k ? o : &OPS_REF)->blend(y[k], x, LENGTHS[l], -0.3f, 0.95f);
        }
        assert_near("blend", "y", y[1], y[0], LENGTHS[l]);
    }
}

/* Every 16-bit pattern comes back; halves go to the even neighbour; a NaN stays one. */
static void bf16_rounds_to_even(void **state)
{
    const Ops *o = *state;
    static float wide[65536];
    static uint16_t half[65536], back[65536];
    for (int i = 0; i < 65536; i++)
        half[i] = (uint16_t)i;
    o->from_bf16(wide, half, 65536);
    o->to_bf16(back, wide, 65536);
    assert_memory_equal(half, back, sizeof half);
    const float in[] = { 1 + 0x1p-8f, 1 + 0x3p-8f, 1 + 0x1.01p-8f, -1 - 0x1p-8f, 3.4e38f, NAN };
    const float want[] = { 1, 1 + 0x4p-8f, 1 + 0x2p-8f, -1, INFINITY };
    o->to_bf16(half, in, 6);
    o->from_bf16(wide, half, 6);
    assert_memory_equal(wide, want, sizeof want);
    assert_true(isnan(wide[5]));
}

/* Three steps of torch.optim.AdamW (1.13, float64): lr .01, betas (.9, .95), eps 1e-8, decay .1, gradients
   (.5 t, -1, .1 (2 - t), 0) * .25.  Weights are float here, 6e-8 a step. */
static void adamw_as_torch(void **state)
{
    const Ops *o = *state;
    const double want[] = { 0.9680076132847032, -1.9640359891988004, 0.482600295102734, 0 };
    float w[] = { 1, -2, 0.5f, 0 }, m[4] = { 0 }, v[4] = { 0 };
    for (int t = 1; t <= 3; t++) {
        const float g[] = { 0.5f * (float)t, -1, 0.1f * (float)(2 - t), 0 };
        o->adamw(w, m, v, g, 4, 0.01f, 0.9f, 0.95f, 1e-8f, 0.1f, t, 0.25f);
    }
    for (int i = 0; i < 4; i++)
        assert_float_equal(w[i], want[i], 1e-6);
}

/* The reference is the judge for lengths; step 100000 has unbiased moments, gradients and eps of one size. */
static void adamw_of_any_length(void **state)
{
    const Ops *o = *state;
    static float p[2][4][LONGEST];
    for (int l = 0; l < NLENGTHS; l++) {
        int64_t n = LENGTHS[l];
        for (int k = 0; k < 2; k++) {
            for (int s = 0; s < 4; s++)
                fill(p[k][s], n, (uint64_t)s);
            for (int64_t i = 0; i < n; i++)
                p[k][2][i] *= p[k][2][i];
            (k ? o : &OPS_REF)->adamw(p[k][0], p[k][1], p[k][2], p[k][3], n, 0.1f, 0.9f, 0.999f, 0.5f, 0.01f,
                                      l < 3 ? 1 : 100000, 2);
        }
        assert_near("adamw", "w", p[1][0], p[0][0], n);
        assert_near("adamw", "m", p[1][1], p[0][1], n);
        assert_near("adamw", "v", p[1][2], p[0][2], n);
    }
}

static int suite(const char *name, const Ops *o)
{
    void *s = (void *)(uintptr_t)o;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(sumsq_is_exact_enough, s),
        cmocka_unit_test_prestate(sums_of_blocks_do_not_know_their_neighbours, s),
        cmocka_unit_test_prestate(split_squares_make_the_same_sum, s),
        cmocka_unit_test_prestate(trees_add_in_their_order, s),
        cmocka_unit_test_prestate(blend_by_hand, s),
        cmocka_unit_test_prestate(bf16_rounds_to_even, s),
        cmocka_unit_test_prestate(adamw_as_torch, s),
        cmocka_unit_test_prestate(adamw_of_any_length, s),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    ops_use(&OPS_CPU, 2);
    return suite("ref", &OPS_REF) + suite("fast", &op);
}
