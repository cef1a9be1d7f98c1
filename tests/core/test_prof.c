/* test_prof.c -- spans nest, the ring keeps the newest, ops become spans or sums and themselves again (core/prof.h, opspans.h, opsums.h) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops.h"
#include "core/opspans.h"
#include "core/opsums.h"
#include "core/prof.h"
#include "tests/core/op_values.h"

enum { RING = 64 };
static ProfSpan ring[RING];

static void busy(void)
{
    const double t = now();
    while (now() - t < 1e-5)
        ;
}

static void spans_nest(void **state)
{
    (void)state;
    prof_keep(ring, RING);
    prof_begin("step");
    prof_begin("a");
    busy();
    prof_sent(2, 100);
    prof_end();
    prof_begin("?");
    prof_is("b");
    busy();
    prof_end();
    prof_end();
    prof_keep(NULL, 0);
    assert_int_equal(prof_kept(), 3);
    assert_string_equal(ring[0].name, "a");
    assert_string_equal(ring[1].name, "b");
    assert_string_equal(ring[2].name, "step");
    assert_int_equal(ring[0].axis, 2);
    assert_int_equal(ring[0].bytes, 100);
    assert_int_equal(ring[1].bytes, 0);
    assert_int_equal(ring[0].depth, 1);
    assert_int_equal(ring[2].depth, 0);
    assert_true(ring[2].begin <= ring[0].begin && ring[0].end <= ring[1].begin && ring[1].end <= ring[2].end);
    assert_true(ring[0].end - ring[0].begin >= 1e-5);
}

static void nothing_without_a_ring(void **state)
{
    (void)state;
    prof_keep(ring, RING);
    prof_keep(NULL, 0);
    const int64_t kept = prof_kept();
    prof_begin("a");
    prof_sent(1, 1);
    prof_end();
    prof_end();                                     /* no more than a look at prof_on: there is nothing to end */
    assert_int_equal(prof_kept(), kept);
}

static void the_oldest_make_room(void **state)
{
    static const char *const name[] = { "0", "1", "2", "3", "4" };
    (void)state;
    prof_keep(ring, 3);
    for (int i = 0; i < 5; i++) {
        prof_begin(name[i]);
        prof_end();
    }
    prof_keep(NULL, 0);
    assert_int_equal(prof_kept(), 5);
    assert_string_equal(ring[2].name, "2");
    assert_string_equal(ring[0].name, "3");
    assert_string_equal(ring[1].name, "4");
}

static void too_deep_is_not_kept(void **state)
{
    (void)state;
    prof_keep(ring, RING);
    for (int i = 0; i < PROF_DEPTH + 5; i++) {
        prof_begin("x");
        prof_sent(1, i);
    }
    for (int i = 0; i < PROF_DEPTH + 5; i++)
        prof_end();
    prof_keep(NULL, 0);
    assert_int_equal(prof_kept(), PROF_DEPTH);
    assert_int_equal(ring[0].depth, PROF_DEPTH - 1);
    assert_int_equal(ring[0].bytes, PROF_DEPTH - 1);
}

/* Each op has a span of its name, gives the same bits, and is itself again afterwards. */
static void ops_are_spans(void **state)
{
    enum { N = 3, I = 4, O = 2 };
    float x[N * I], w[O * I], plain[N * O], traced[N * O];
    const Linear l = { .w = w, .I = I, .O = O };
    Ops before;
    (void)state;
    for (int i = 0; i < N * I; i++)
        x[i] = (float)i / 7;
    for (int i = 0; i < O * I; i++)
        w[i] = (float)(i - 3) / 5;
    ops_use(&OPS_CPU, 1);
    before = op;
    op.linear_fwd(plain, x, &l, N);
    prof_keep(ring, RING);
    ops_watch(OPS_SPANS);
#define SPANNED(f)                                           \
    if (op.f == before.f)                                    \
        fail_msg("%s has no span: core/opspans.c", #f);
    OPS_LIST(SPANNED)
#undef SPANNED
    op.linear_fwd(traced, x, &l, N);
    const double sum = op_sumsq(&op, traced, N * O);
    ops_watch(0);
    prof_keep(NULL, 0);
    assert_memory_equal(&op, &before, sizeof op);
    assert_memory_equal(plain, traced, sizeof plain);
    assert_true(sum == op_sumsq(&op, plain, N * O));
    assert_int_equal(prof_kept(), 2);
    assert_string_equal(ring[0].name, "linear_fwd");
    assert_string_equal(ring[1].name, "sumsq");
}

static const OpSum *sum_of(int which, int phase)
{
    int n;
    const OpSum *s = opsums(&n);
    for (int i = 0; i < n; i++)
        if (s[i].op == which && s[i].phase == phase)
            return &s[i];
    fail_msg("no sum of %s in phase %d", OP_NAME[which], phase);
    return NULL;
}

/* Calls, flops and bytes by op, phase and shape; the program's own count of flops and what an op writes are as without. */
static void ops_are_sums(void **state)
{
    enum { N = 3, I = 4, O = 2 };
    float x[N * I], w[O * I], out[N * O];
    const Linear l = { .w = w, .I = I, .O = O };
    double square = -1;
    int n;
    (void)state;
    for (int i = 0; i < N * I; i++)
        x[i] = 1;
    for (int i = 0; i < O * I; i++)
        w[i] = 2;
    ops_use(&OPS_CPU, 1);
    opsums_clear();
    ops_shapes = true;
    ops_watch(OPS_SUMS);
    const double flops = prof_flops;
    ops_phase = 1;
    op.linear_fwd(out, x, &l, N);
    op.linear_fwd(out, x, &l, N);
    op.linear_fwd(out, x, &l, N - 1);
    ops_phase = 2;
    op.sumsq(&square, out, N * O);
    ops_watch(0);
    ops_phase = 0;
    ops_shapes = false;
    assert_true(prof_flops - flops == 2.0 * (2 * N + N - 1) * I * O);
    assert_true(square == 64.0 * N * O);
    const OpSum *s = opsums(&n);
    assert_int_equal(n, 3);
    assert_int_equal(s[0].op, OP_linear_fwd);
    assert_int_equal(s[0].shape[0], N);
    assert_int_equal(s[0].shape[1], O);
    assert_int_equal(s[0].shape[2], I);
    assert_int_equal(s[0].calls, 2);
    assert_true(s[0].flops == 2 * 2.0 * N * I * O && s[0].bytes == 2 * 4.0 * (N * I + O * I + N * O));
    assert_int_equal(s[1].calls, 1);
    assert_int_equal(s[1].shape[0], N - 1);
    assert_true(sum_of(OP_sumsq, 2)->bytes == 4.0 * N * O && sum_of(OP_sumsq, 2)->flops == 0);
    assert_int_equal(sum_of(OP_sumsq, 2)->shape[0], 32);
    assert_true(s[0].seconds > 0 && s[0].cpu >= 0);
}

/* A table with no room for more shapes counts on without them. */
static void sums_without_room(void **state)
{
    int n;
    int64_t calls = 0;
    (void)state;
    opsums_clear();
    ops_shapes = true;
    for (int i = 1; i <= OP_SUMS; i++) {
        OpCall c = opsums_begin(OP_product, i, 2, 3);
        opsums_count(&c);
        opsums_end(&c);
    }
    ops_shapes = false;
    const OpSum *s = opsums(&n);
    for (int i = 0; i < n; i++)
        calls += s[i].calls;
    assert_true(n < OP_SUMS);
    assert_int_equal(calls, OP_SUMS);
    assert_int_equal(s[n - 1].shape[0], 0);
    opsums_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_nest), cmocka_unit_test(nothing_without_a_ring), cmocka_unit_test(the_oldest_make_room),
        cmocka_unit_test(too_deep_is_not_kept), cmocka_unit_test(ops_are_spans), cmocka_unit_test(ops_are_sums),
        cmocka_unit_test(sums_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
