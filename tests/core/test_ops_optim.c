/* Ops of optimizer and reduction on flat ranges, in the reference and in the backend of the program. */
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

/* A column's sum is the same bits whichever columns are asked for: owners of parts must agree with an owner of all. */
static void sums_of_columns_do_not_know_their_neighbours(void **state)
{
    const Ops *o = *state;
    enum { ROWS = 37, LD = 203 };
    static float x[ROWS * LD];
    double all[LD], want[LD], some[LD];
    fill(x, ROWS * LD, 5);
    o->sumsq_columns(all, x, ROWS, LD, LD);
    OPS_REF.sumsq_columns(want, x, ROWS, LD, LD);
    for (int c = 0; c < LD; c++)
        assert_float_equal(all[c], want[c], 1e-12 * want[c]);           /* doubles, 37 additions */
    for (int from = 0; from < LD; from += 29) {
        const int n = from + 29 < LD ? 29 : LD - from;
        o->sumsq_columns(some, x + from, ROWS, n, LD);
        assert_memory_equal(some, all + from, (size_t)n * sizeof *some);
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
        cmocka_unit_test_prestate(sums_of_columns_do_not_know_their_neighbours, s),
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
