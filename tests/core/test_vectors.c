/*
 * Every level of core/cpu that is built and that this processor runs (core/vectors.h): products, attention, activations, norms, losses,
 * bf16 and AdamW beside the reference.  Of ARCH=native there is one level; test_ops has every op, of the widest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/vectors.h"

#include <math.h>
#include <string.h>

enum { M = 131, K = 77, N = 93, T = 67, H = 3, D = 24, ROOM = 1 << 15, OUTPUTS = 5 };

static float x[4][ROOM], out[OUTPUTS][ROOM], want[OUTPUTS][ROOM];

static void fill(void)
{
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < ROOM; i++)
            x[k][i] = (float)((i * 7919 + k * 104729) % 2003) / 1001.f - 1.f;
}

/* What `op` gives, in out[0 .. OUTPUTS). */
static void products(void)
{
    for (int t = 0; t < 4; t++) {
        op.fill(out[t], M * N, 0.25f);
        op.product(out[t], N, x[0], t & 1 ? M : K, t & 1, x[1], t & 2 ? K : N, t & 2, M, N, K, 0.5f, 1);
    }
}

static void attention(void)
{
    const int32_t start[] = { 0, T };
    op.attention_fwd(out[0], out[1], x[0], x[1], x[2], 1, start, start, H, H, D, CAUSAL);
    op.attention_bwd(out[2], out[3], out[4], x[3], out[0], out[1], x[0], x[1], x[2], 1, start, start, H, H, D, CAUSAL, 0);
}

static void rows(void)
{
    op.rmsnorm_fwd(out[0], out[1], x[0], x[1], M, K, 1e-5f);
    op.fill(out[2], K, 0);
    op.rmsnorm_bwd(out[3], out[2], x[2], x[0], out[1], x[1], M, K, 0, false);
    op.gelu_fwd(out[4], x[0], M * K, GELU_ERF);
}

static void passes(void)
{
    for (int k = 0; k < 3; k++)
        op.copy(out[k], x[k], M * K);
    op.fill(out[2], M * K, 0.5f);
    op.adamw(out[0], out[1], out[2], x[3], M * K, 1e-3f, .9f, .95f, 1e-8f, .1f, 3, 1);
    op.swiglu_fwd(out[3], x[0], x[1], M * K);
    op.to_bf16((uint16_t *)(void *)out[4], x[2], M * K);
    static int64_t sum[M * K];
    op.fixed_add(sum, NULL, x[0], M * K, 1.01f);
    op.fixed_add(sum, sum, x[1], M * K, 1.01f);
    op.fixed_join(sum, sum, sum, M * K);
    op.fixed_round(out[4] + M * K, sum, M * K);
}

/* Sums of some hundred terms of order 1 in float: 2e-5 is ten times what they differ by. */
static void near(const char *level, const char *what)
{
    for (int k = 0; k < OUTPUTS; k++)
        for (int i = 0; i < ROOM; i++)
            if (!(fabsf(out[k][i] - want[k][i]) <= 2e-5f * (1 + fabsf(want[k][i]))))
                fail_msg("%s, %s: result %d at %d is %g, the reference has %g", level, what, k, i, (double)out[k][i], (double)want[k][i]);
}

static void every_level(void **state)
{
    static const struct { const char *name; void (*run)(void); } OF[] = {
        { "products", products }, { "attention", attention }, { "rows", rows }, { "passes", passes },
    };
    (void)state;
    const int levels = vectors_levels();
    fill();
    for (size_t k = 0; k < sizeof OF / sizeof *OF; k++) {
        memset(out, 0, sizeof out);
        ops_use(NULL, 1);
        OF[k].run();
        memcpy(want, out, sizeof out);
        for (int n = 1; n <= levels; n++) {
            memset(out, 0, sizeof out);
            vectors_limit(n);
            ops_use(&OPS_CPU, 2);
            OF[k].run();
            near(op.name, OF[k].name);
        }
    }
}

/* The widest is taken, and no two are the same. */
static void widest(void **state)
{
    (void)state;
    enum { MOST = 8 };
    const Ops *seen[MOST];
    const int levels = vectors_levels();
    assert_in_range(levels, 1, MOST);
    for (int n = 1; n <= levels; n++) {
        vectors_limit(n);
        assert_int_equal(vectors_levels(), n);
        seen[n - 1] = vectors_ops();
        for (int i = 0; i < n - 1; i++) {
            assert_string_not_equal(seen[i]->name, seen[n - 1]->name);
            assert_ptr_not_equal(seen[i]->product, seen[n - 1]->product);
        }
    }
    vectors_limit(MOST);
    assert_int_equal(vectors_levels(), levels);
    assert_ptr_equal(vectors_ops(), seen[levels - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_level), cmocka_unit_test(widest) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
