/* The table of parameters: layout, freezing, and the same values and fingerprint for any number of tp ranks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/bits.h"
#include "core/ops.h"
#include "core/param.h"
#include "core/rng.h"
#include "tests/core/dies.h"

typedef struct { float *embed, *wq, *wo, *norm, *bias, *scale, *code, *wk; } Module;

static void module_params(Module *w, Binder *b)
{
    w->embed = param(b, 8, 6, 0, INIT_UNIT, "decoder.embed");
    w->wq    = param(b, 12, 6, 0, INIT_NORMAL | DECAY | MUON, "decoder.%d.attn.wq", 0);
    w->wo    = param(b, 6, 12, 1, INIT_FAN_IN | DECAY, "decoder.%d.attn.wo", 0);
    w->norm  = param(b, 6, 1, -1, INIT_ONE, "decoder.norm");
    w->bias  = param(b, 12, 1, 0, INIT_NORMAL, "deco.bias");
    w->scale = param_constant(b, 2.5f, "head.logscale");
    w->code  = param(b, 4, 6, -1, INIT_UNIT | STATE, "head.code");
    const int copies = (b->table->tp_size + 1) / 2;                                 /* at most two pieces */
    w->wk    = param(b, 10, 6, 0, INIT_UNIT | MUON | COPIES(copies), "head.wk");
}

static Params table(int rank, int size, const char *trainable)
{
    Params t = { 0 };
    Module w;
    Tp tp = { .rank = rank, .size = size };
    Binder b = binder_declare(&t, &tp);
    module_params(&w, &b);
    assert_null(w.wq);
    assert_true(params_seal(&t, trainable));
    return t;
}

static float *weights_of(const Params *t)
{
    float *w = calloc((size_t)t->weights, sizeof *w);
    for (int i = 0; i < t->n; i++)
        params_init(t, i, w, 7);
    return w;
}

/* Tensors begin on 64-byte lines, do not overlap, and a frozen part has no gradient. */
static void layout(void **state)
{
    (void)state;
    Params t = table(0, 2, "head, decoder");
    Module w, dw;
    float *weights = weights_of(&t), *grads = calloc((size_t)t.grads, sizeof *grads);
    Binder b = binder_weights(&t, weights), g = binder_grads(&t, grads);
    module_params(&w, &b), module_params(&dw, &g);
    assert_int_equal(t.n, 8);
    int64_t end = 0, gend = 0;
    for (int i = 0; i < t.n; i++) {
        const Param *p = &t.p[i];
        assert_true(p->offset >= end && p->offset % 16 == 0);
        end = p->offset + p->count;
        if (p->grad < 0)
            continue;
        assert_true(p->grad >= gend && p->grad % 16 == 0);
        gend = p->grad + p->count;
    }
    assert_true(t.weights >= end && t.grads >= gend);
    assert_ptr_equal(w.wo, weights + t.p[2].offset);
    assert_ptr_equal(dw.wo, grads + t.p[2].grad);
    assert_int_equal(t.p[1].count, 36), assert_int_equal(t.p[3].count, 6);          /* split and replicated */
    assert_null(dw.bias);                                                           /* "deco" is not "decoder" */
    assert_non_null(dw.scale), assert_non_null(dw.code);
    free(weights), free(grads);
    params_free(&t);
}

static void parts(void **state)
{
    (void)state;
    Params t = table(0, 1, "");
    assert_int_equal(t.grads, 0);
    assert_false(params_seal(&t, "decoder,hea"));
    assert_false(params_seal(&t, "heads"));
    assert_true(params_seal(&t, " head ,deco"));
    assert_true(t.p[4].grad >= 0 && t.p[5].grad >= 0 && t.p[0].grad < 0);
    assert_true(param_in_part(&t.p[0], "decoder"));
    assert_false(param_in_part(&t.p[0], "deco"));
    assert_int_equal(params_find(&t, "decoder.0.attn.wo"), 2);
    assert_int_equal(params_find(&t, "decoder.0.attn"), -1);
    params_free(&t);
}

/* Of 4 ranks the first two hold the upper half of wk, and of each piece the first rank speaks. */
static void copies_are_neighbours(void **state)
{
    (void)state;
    for (int rank = 0; rank < 4; rank++) {
        Params t = table(rank, 4, "head");
        const Slice wk = param_slice(&t, 7);
        assert_int_equal(t.p[7].copies, 2), assert_int_equal(t.p[7].count, 30);
        assert_int_equal(wk.start[0], rank / 2 * 5), assert_int_equal(slice_extent(&wk, 0), 5);
        assert_int_equal(params_speak(&t, 7), rank % 2 == 0);
        assert_int_equal(t.p[1].copies, 1), assert_int_equal(t.p[3].copies, 4);
        assert_true(params_speak(&t, 1));
        assert_int_equal(params_speak(&t, 3), rank == 0);
        params_free(&t);
    }
    Params one = table(0, 1, "head");
    for (int i = 0; i < one.n; i++)
        assert_true(one.p[i].copies == 1 && params_speak(&one, i));
    params_free(&one);
}

/* Pieces of 2 and 4 ranks, put together, are bit for bit the tensors of one; so is the sum of fingerprints. */
static void any_grid_gives_the_same_weights(void **state)
{
    (void)state;
    Params one = table(0, 1, "decoder");
    float *whole = weights_of(&one);
    for (int size = 1; size <= 4; size *= 2) {
        uint64_t print = 0;
        float *joined = calloc((size_t)one.weights, sizeof *joined);
        for (int rank = 0; rank < size; rank++) {
            Params t = table(rank, size, "decoder");
            float *w = weights_of(&t);
            for (int i = 0; i < t.n; i++) {
                Slice to = param_slice(&one, i), from = param_slice(&t, i);
                assert_int_equal(slice_total(&from), t.p[i].count);
                slice_copy(joined + one.p[i].offset, &to, w + t.p[i].offset, &from, sizeof *w);
            }
            print += params_fingerprint(&t, w, NULL);
            free(w);
            params_free(&t);
        }
        assert_memory_equal(joined, whole, (size_t)one.weights * sizeof *whole);
        assert_true(print == params_fingerprint(&one, whole, NULL));
        free(joined);
    }
    free(whole);
    params_free(&one);
}

static bool learned(const Param *p) { return !(p->flags & STATE); }

/* The fingerprint sees one changed bit, two exchanged values, and values that moved to another tensor. */
static void fingerprint_tells_apart(void **state)
{
    (void)state;
    Params t = table(0, 1, "decoder");
    float *w = weights_of(&t), *a = w + t.p[0].offset, *b = w + t.p[1].offset;
    uint64_t print = params_fingerprint(&t, w, NULL), last;
    a[0] = nextafterf(a[0], 9);
    assert_true((last = params_fingerprint(&t, w, NULL)) != print);
    float swap = a[3];
    a[3] = a[4], a[4] = swap;
    assert_true(params_fingerprint(&t, w, NULL) != last);
    last = params_fingerprint(&t, w, NULL);
    swap = a[5], a[5] = b[5], b[5] = swap;
    assert_true(params_fingerprint(&t, w, NULL) != last);
    last = params_fingerprint(&t, w, NULL);
    print = params_fingerprint(&t, w, learned);
    w[t.p[6].offset] += 1;                                                          /* a codebook is not learned */
    assert_true(params_fingerprint(&t, w, learned) == print);
    assert_true(params_fingerprint(&t, w, NULL) != last);
    free(w);
    params_free(&t);
}

/* The sum over a run is the sum of its elements' numbers, wherever it is cut. */
static void a_run_is_summed_as_its_elements(void **state)
{
    (void)state;
    enum { N = 203 };
    float x[N];
    uint64_t want = 0;
    const uint64_t stream = rng_stream("decoder.wq");
    for (int i = 0; i < N; i++) {
        uint32_t bits = (uint32_t)rng_bits(1, 2, (uint64_t)i);
        memcpy(&x[i], &bits, sizeof bits);
        want += rng_bits(bits, stream, (uint64_t)(1000003 + i));
    }
    assert_true(bits_sum(stream, 1000003, x, N) == want);
    for (int cut = 0; cut <= N; cut++)
        assert_true(bits_sum(stream, 1000003, x, cut) + bits_sum(stream, 1000003 + cut, x + cut, N - cut) == want);
    assert_true(bits_sum(0, 0, x, 0) == 0);
    assert_true(bits_sum(stream, 1000002, x, N) != want);
}

/* mean and size of initial values by kind; another seed gives others */
static void initial_values(void **state)
{
    (void)state;
    Params t = { 0 };
    Binder b = binder_declare(&t, &TP_ALONE);
    param(&b, 100, 25, -1, INIT_NORMAL, "a.normal");
    param(&b, 100, 25, -1, INIT_FAN_IN, "a.fan");
    param(&b, 100, 25, -1, INIT_UNIT, "a.unit");
    param(&b, 100, 25, -1, INIT_ONE, "a.one");
    param(&b, 100, 25, -1, INIT_ZERO, "a.zero");
    param_constant(&b, 2.5f, "a.constant");
    assert_true(params_seal(&t, "a"));
    const double want[] = { 0.02, 0.2 / sqrt(3), 1, 1, 0, 2.5 };
    float *w = weights_of(&t), *other = calloc((size_t)t.weights, sizeof *other);
    for (int i = 0; i < t.n; i++) {
        double size = 0, most = 0;
        for (int64_t e = 0; e < t.p[i].count; e++) {
            double x = w[t.p[i].offset + e];
            size += x * x / (double)t.p[i].count, most = fmax(most, fabs(x));
        }
        assert_true(fabs(sqrt(size) - want[i]) <= 0.07 * want[i]);        /* 2500 values: 1.4 % times 5 */
        assert_true(i != 1 || most <= 0.2);
        params_init(&t, i, other, 8);
    }
    assert_memory_not_equal(w, other, 2500 * sizeof *w);
    free(w), free(other);
    params_free(&t);
}

static void our_mistakes_die(void **state)
{
    (void)state;
    Params t = { 0 };
    Binder b = binder_declare(&t, &(Tp){ .rank = 0, .size = 2 });
    param(&b, 4, 4, 0, 0, "a.x");
    param(&b, 4, 4, 0, 0, "a.y");
    assert_true(DIES(param(&b, 4, 4, 0, 0, "a.x")));
    assert_true(DIES(param(&b, 3, 4, 0, 0, "a.odd")));
    assert_true(DIES(param(&b, 4, 3, 1, 0, "a.odd")));
    assert_false(DIES(param(&b, 3, 3, -1, 0, "a.odd")));
    assert_false(DIES(param(&b, 3, 3, 0, COPIES(2), "a.shared")));
    assert_true(DIES(param(&b, 4, 3, 0, COPIES(4), "a.many")));
    assert_true(DIES(param(&b, 1, 1, -1, 0, "a.%064d", 1)));
    assert_true(params_seal(&t, "a"));
    Binder w = binder_weights(&t, NULL);
    assert_true(DIES(param(&w, 4, 4, 0, 0, "a.y")));
    params_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout),                  cmocka_unit_test(parts),
        cmocka_unit_test(any_grid_gives_the_same_weights), cmocka_unit_test(fingerprint_tells_apart),
        cmocka_unit_test(initial_values),          cmocka_unit_test(our_mistakes_die),
        cmocka_unit_test(copies_are_neighbours), cmocka_unit_test(a_run_is_summed_as_its_elements),
    };
    ops_use(&OPS_CPU, 2);
    return cmocka_run_group_tests_name("param", tests, NULL, NULL);
}
