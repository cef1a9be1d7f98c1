/* Ops with a gradient that work row by row: reference vs differences, fast backend vs reference. */
#include "tests/core/op_slope.h"

static void linear_make(Job *j)
{
    const Shape *s = &j->s;
    input(j, s->N * s->C, s->add);
    input(j, s->O * s->C, ADD);
    s->bare ? no_input(j) : input(j, s->O, ADD);
    output(j, s->N * s->O);
}

static Linear weight_of(const Job *j) { return (Linear){ .w = j->x[1], .b = j->x[2], .I = j->s.C, .O = j->s.O }; }

static void linear_fwd(const Ops *o, Job *j)
{
    const Linear w = weight_of(j);
    o->linear_fwd(j->y[0], j->x[0], &w, j->s.N);
}

static void linear_bwd(const Ops *o, Job *j)
{
    const Linear w = weight_of(j);
    Linear dw = { .w = j->dx[1], .b = j->dx[2], .I = j->s.C, .O = j->s.O };
    if (j->dx[0])
        o->linear_dx(j->dx[0], TERMS({ j->dy, &w }), j->s.N, j->s.add);
    o->linear_dw(&dw, j->dy, j->x[0], j->s.N);
}

static void rmsnorm_make(Job *j)
{
    input(j, j->s.N * j->s.C, j->s.add);
    input(j, j->s.C, ADD);
    output(j, j->s.N * j->s.C);
    output(j, j->s.N);
}

static void rmsnorm_fwd(const Ops *o, Job *j)
{
    o->rmsnorm_fwd(j->y[0], j->y[1], j->x[0], j->x[1], j->s.N, j->s.C, j->s.eps);
}

static void rmsnorm_bwd(const Ops *o, Job *j)
{
    o->rmsnorm_bwd(j->dx[0], j->dx[1], j->dy, j->x[0], j->y[1], j->x[1], j->s.N, j->s.C, 0, j->s.add);
}

/* Of x[0] + x[2]: the sum is an output, too, and has the same gradient as either. */
static void add_rmsnorm_make(Job *j)
{
    rmsnorm_make(j);
    input(j, j->s.N * j->s.C, j->s.add);
    output(j, j->s.N * j->s.C);
}

static void add_rmsnorm_fwd(const Ops *o, Job *j)
{
    o->add_rmsnorm_fwd(j->y[2], j->y[0], j->y[1], j->x[0], j->x[2], j->x[1], j->s.N, j->s.C, j->s.eps);
}

static void add_rmsnorm_bwd(const Ops *o, Job *j)
{
    o->rmsnorm_bwd(j->dx[0], j->dx[1], j->dy, j->y[2], j->y[1], j->x[1], j->s.N, j->s.C, 0, j->s.add);
    o->rmsnorm_bwd(j->dx[2], NULL, j->dy, j->y[2], j->y[1], j->x[1], j->s.N, j->s.C, 0, j->s.add);
}

static void layernorm_make(Job *j)
{
    input(j, j->s.N * j->s.C, j->s.add);
    input(j, j->s.C, ADD);
    j->s.bare ? no_input(j) : input(j, j->s.C, ADD);
    output(j, j->s.N * j->s.C);
    output(j, j->s.N);
    output(j, j->s.N);
}

static void layernorm_fwd(const Ops *o, Job *j)
{
    o->layernorm_fwd(j->y[0], j->y[1], j->y[2], j->x[0], j->x[1], j->x[2], j->s.N, j->s.C, j->s.eps);
}

static void layernorm_bwd(const Ops *o, Job *j)
{
    o->layernorm_bwd(j->dx[0], j->dx[1], j->dx[2], j->dy, j->x[0], j->y[1], j->y[2], j->x[1], j->s.N, j->s.C, 0, j->s.add);
}

/* Of x[0] + x[3]. */
static void add_layernorm_make(Job *j)
{
    layernorm_make(j);
    input(j, j->s.N * j->s.C, j->s.add);
    output(j, j->s.N * j->s.C);
}

static void add_layernorm_fwd(const Ops *o, Job *j)
{
    o->add_layernorm_fwd(j->y[3], j->y[0], j->y[1], j->y[2], j->x[0], j->x[3], j->x[1], j->x[2], j->s.N, j->s.C, j->s.eps);
}

static void add_layernorm_bwd(const Ops *o, Job *j)
{
    o->layernorm_bwd(j->dx[0], j->dx[1], j->dx[2], j->dy, j->y[3], j->y[1], j->y[2], j->x[1], j->s.N, j->s.C, 0, j->s.add);
    o->layernorm_bwd(j->dx[3], NULL, NULL, j->dy, j->y[3], j->y[1], j->y[2], j->x[1], j->s.N, j->s.C, 0, j->s.add);
}

static void l2norm_make(Job *j)
{
    input(j, j->s.N * j->s.C, SET);
    output(j, j->s.N * j->s.C);
    output(j, j->s.N);
}

static void l2norm_fwd(const Ops *o, Job *j)
{
    o->l2norm_fwd(j->y[0], j->y[1], j->x[0], j->s.N, j->s.C, j->s.eps);
}

static void l2norm_bwd(const Ops *o, Job *j)
{
    o->l2norm_bwd(j->dx[0], j->dy, j->y[0], j->y[1], j->s.N, j->s.C, j->s.eps);
}

static void gelu_make(Job *j)
{
    input(j, j->s.N, SET);
    output(j, j->s.N);
}

static void gelu_fwd(const Ops *o, Job *j) { o->gelu_fwd(j->y[0], j->x[0], j->s.N, j->s.kind); }
static void gelu_bwd(const Ops *o, Job *j) { o->gelu_bwd(j->dx[0], NULL, j->dy, j->x[0], j->s.N, j->s.kind); }

static void swiglu_make(Job *j)
{
    input(j, j->s.N, SET);
    input(j, j->s.N, SET);
    output(j, j->s.N);
}

static void swiglu_fwd(const Ops *o, Job *j) { o->swiglu_fwd(j->y[0], j->x[0], j->x[1], j->s.N); }
static void swiglu_bwd(const Ops *o, Job *j) { o->swiglu_bwd(j->dx[0], j->dx[1], NULL, j->dy, j->x[0], j->x[1], j->s.N); }

static void add_rows_make(Job *j)
{
    input(j, j->s.N * j->s.C, SET);
    input(j, j->s.S * j->s.C, ADD);
    output(j, j->s.N * j->s.C);
    indices(j, 0, j->s.N, 0, j->s.S);
}

static void add_rows_fwd(const Ops *o, Job *j)
{
    o->copy(j->y[0], j->x[0], j->ny[0]);
    o->add_rows_fwd(j->y[0], j->x[1], j->index[0], j->s.N, j->s.C);
}

static void add_rows_bwd(const Ops *o, Job *j)
{
    if (j->dx[0])
        o->copy(j->dx[0], j->dy, j->ny[0]);
    o->add_rows_bwd(j->dx[1], j->dy, j->index[0], j->s.N, j->s.C);
}

/* Ids from -2 to S + 1: the table lacks some of them. */
static void embed_make(Job *j)
{
    input(j, j->s.S * j->s.C, ADD);
    output(j, j->s.N * j->s.C);
    indices(j, 0, j->s.N, -2, j->s.S + 2);
}

static void embed_fwd(const Ops *o, Job *j) { o->embed_fwd(j->y[0], j->x[0], j->index[0], j->s.N, j->s.C, j->s.S); }
static void embed_bwd(const Ops *o, Job *j) { o->embed_bwd(j->dx[0], j->dy, j->index[0], j->s.N, j->s.C, j->s.S); }

/* scatter_add is the transpose of gather; rows repeat. */
static void gather_make(Job *j)
{
    input(j, j->s.S * j->s.C, ADD);
    output(j, j->s.N * j->s.C);
    indices(j, 0, j->s.N, 0, j->s.S);
}

static void gather_fwd(const Ops *o, Job *j) { o->gather(j->y[0], j->x[0], j->index[0], j->s.N, j->s.C); }

static void gather_bwd(const Ops *o, Job *j)
{
    if (j->dx[0])
        o->scatter_add(j->dx[0], j->dy, j->index[0], j->s.N, j->s.C);
}

/* No, one, odd and prime sizes; sizes past any register block, cache block and threshold for threads. */
static const OpCase CASES[] = {
    { "linear", linear_make, linear_fwd, linear_bwd,
      SHAPES({ .N = 0, .C = 3, .O = 5 }, { .N = 1, .C = 1, .O = 1 }, { .N = 1, .C = 33, .O = 17 },
             { .N = 17, .C = 33, .O = 3 }, { .N = 33, .C = 1, .O = 7, .bare = true },
             { .N = 37, .C = 67, .O = 129, .bare = true }, { .N = 131, .C = 65, .O = 127, .add = true }) },
    { "rmsnorm", rmsnorm_make, rmsnorm_fwd, rmsnorm_bwd,
      SHAPES({ .N = 0, .C = 3, .eps = 1e-5f }, { .N = 1, .C = 1, .eps = 1e-5f }, { .N = 3, .C = 17, .eps = 1e-6f },
             { .N = 33, .C = 72, .eps = 1, .add = true }, { .N = 131, .C = 257, .eps = 1e-6f }) },
    { "add_rmsnorm", add_rmsnorm_make, add_rmsnorm_fwd, add_rmsnorm_bwd,
      SHAPES({ .N = 0, .C = 3, .eps = 1e-5f }, { .N = 1, .C = 1, .eps = 1e-5f }, { .N = 33, .C = 72, .eps = 1, .add = true },
             { .N = 131, .C = 257, .eps = 1e-6f }) },
    { "layernorm", layernorm_make, layernorm_fwd, layernorm_bwd,
      SHAPES({ .N = 0, .C = 3, .eps = 1e-5f }, { .N = 1, .C = 1, .eps = 1e-5f }, { .N = 3, .C = 17, .eps = 1e-6f },
             { .N = 33, .C = 72, .eps = 1, .bare = true, .add = true }, { .N = 131, .C = 257, .eps = 1e-6f }) },
    { "add_layernorm", add_layernorm_make, add_layernorm_fwd, add_layernorm_bwd,
      SHAPES({ .N = 0, .C = 3, .eps = 1e-5f }, { .N = 1, .C = 1, .eps = 1e-5f },
             { .N = 33, .C = 72, .eps = 1, .bare = true, .add = true }, { .N = 131, .C = 257, .eps = 1e-6f }) },
    { "l2norm", l2norm_make, l2norm_fwd, l2norm_bwd,             /* eps 100: shorter than eps, where the map is linear */
      SHAPES({ .N = 0, .C = 3, .eps = 1e-6f }, { .N = 1, .C = 1, .eps = 1e-6f }, { .N = 17, .C = 33, .eps = 1e-6f },
             { .N = 3, .C = 17, .eps = 100 }, { .N = 67, .C = 131, .eps = 1e-6f }) },
    { "gelu", gelu_make, gelu_fwd, gelu_bwd,
      SHAPES({ .N = 0, .kind = GELU_TANH }, { .N = 1, .kind = GELU_TANH }, { .N = 33, .kind = GELU_TANH },
             { .N = 50021, .kind = GELU_TANH }, { .N = 0, .kind = GELU_ERF }, { .N = 1, .kind = GELU_ERF },
             { .N = 33, .kind = GELU_ERF }, { .N = 50021, .kind = GELU_ERF }, { .N = 1, .kind = GELU_QUICK },
             { .N = 33, .kind = GELU_QUICK }, { .N = 50021, .kind = GELU_QUICK }) },
    { "swiglu", swiglu_make, swiglu_fwd, swiglu_bwd, SHAPES({ .N = 0 }, { .N = 1 }, { .N = 33 }, { .N = 50021 }) },
    { "add_rows", add_rows_make, add_rows_fwd, add_rows_bwd,
      SHAPES({ .N = 0, .C = 3, .S = 2 }, { .N = 1, .C = 1, .S = 1 }, { .N = 33, .C = 17, .S = 5 },
             { .N = 509, .C = 67, .S = 31 }) },
    { "embed", embed_make, embed_fwd, embed_bwd,
      SHAPES({ .N = 0, .C = 3, .S = 2 }, { .N = 1, .C = 1, .S = 1 }, { .N = 33, .C = 17, .S = 5 },
             { .N = 509, .C = 67, .S = 31 }) },
    { "gather", gather_make, gather_fwd, gather_bwd,
      SHAPES({ .N = 0, .C = 3, .S = 2 }, { .N = 1, .C = 1, .S = 1 }, { .N = 33, .C = 17, .S = 5 },
             { .N = 509, .C = 67, .S = 31 }) },
};
enum { NCASES = sizeof CASES / sizeof *CASES };

static void slopes(void **state)
{
    (void)state;
    check_all_slopes(CASES, NCASES);
}

static void fast(void **state)
{
    (void)state;
    check_all_fast(CASES, NCASES);
}

/* gelu of torch 1.13 in float64: the constants inside cannot be seen from slopes. */
static void gelu_as_torch(void **state)
{
    (void)state;
    ops_use(&OPS_CPU, 2);
    const float x[] = { -1.5f, 0.5f, 1, 3 };
    const double want[][4] = {
        { -0.1004284230, 0.3457140098, 0.8411919906, 2.9963626079 },
        { -0.1002108019, 0.3457312306, 0.8413447461, 2.9959503059 },
        { -0.1083378016, 0.3503884366, 0.8457957659, 2.9819286903 },
    };
    float y[2][4];
    for (int kind = GELU_TANH; kind <= GELU_QUICK; kind++) {
        OPS_REF.gelu_fwd(y[0], x, 4, kind);
        op.gelu_fwd(y[1], x, 4, kind);
        for (int i = 0; i < 8; i++)
            assert_float_equal(y[i / 4][i % 4], want[kind][i % 4], 1e-6);
    }
}

/* Large |x| must neither overflow nor lose the tail: gelu(x) -> x or 0, silu(x) -> x or 0, slopes 1 or 0. */
static void tails(void **state)
{
    (void)state;
    ops_use(&OPS_CPU, 2);
    const float x[] = { -200, -30, -12, 12, 30, 200 }, one[] = { 1, 1, 1, 1, 1, 1 };
    float y[6], dx[6], dup[6];
    for (int kind = GELU_TANH; kind <= GELU_QUICK; kind++) {
        op.gelu_fwd(y, x, 6, kind);
        op.gelu_bwd(dx, NULL, one, x, 6, kind);
        for (int i = 0; i < 6; i++) {
            assert_float_equal(y[i], x[i] > 0 ? x[i] : 0, 1e-5);
            assert_float_equal(dx[i], x[i] > 0 ? 1 : 0, 1e-5);
        }
    }
    op.swiglu_fwd(y, x, one, 6);
    op.swiglu_bwd(dx, dup, NULL, one, x, one, 6);
    for (int i = 0; i < 6; i++) {          /* 12 exp(-12) = 7e-5 */
        assert_float_equal(y[i], x[i] > 0 ? x[i] : 0, 1e-4);
        assert_float_equal(dx[i], x[i] > 0 ? 1 : 0, 1e-4);
        assert_float_equal(dup[i], y[i], 1e-4);
    }
}

/* Results may take the place of operands, and backward gives what forward gave: the same bits as apart. */
static void activations_in_place(const Ops *o)
{
    enum { n = 1031 };
    float gate[n], up[n], dout[n], act[n], dgate[n], dup[n], again[3][n];
    for (int kind = GELU_TANH; kind <= GELU_QUICK; kind++) {
        fill(gate, n, 1), fill(dout, n, 2);
        o->gelu_fwd(act, gate, n, kind);
        o->gelu_bwd(dgate, NULL, dout, gate, n, kind);
        o->gelu_bwd(again[0], again[1], dout, gate, n, kind);
        assert_true(!memcmp(again[0], dgate, sizeof act) && !memcmp(again[1], act, sizeof act));
        memcpy(again[0], dout, sizeof act), memcpy(again[1], gate, sizeof act);
        o->gelu_bwd(again[0], NULL, again[0], gate, n, kind);               /* dx = dout */
        assert_memory_equal(again[0], dgate, sizeof act);
        o->gelu_bwd(gate, dout, dout, gate, n, kind);                       /* dx = x, act = dout */
        assert_true(!memcmp(gate, dgate, sizeof act) && !memcmp(dout, act, sizeof act));
        o->gelu_bwd(NULL, again[2], dout, again[1], n, kind);
        assert_memory_equal(again[2], act, sizeof act);
    }
    fill(gate, n, 1), fill(up, n, 2), fill(dout, n, 3);
    o->swiglu_fwd(act, gate, up, n);
    o->swiglu_bwd(dgate, dup, NULL, dout, gate, up, n);
    memcpy(again[0], gate, sizeof act), memcpy(again[1], up, sizeof act), memcpy(again[2], dout, sizeof act);
    o->swiglu_bwd(again[0], again[1], again[2], again[2], again[0], again[1], n);
    assert_true(!memcmp(again[0], dgate, sizeof act) && !memcmp(again[1], dup, sizeof act) && !memcmp(again[2], act, sizeof act));
    o->swiglu_fwd(gate, gate, up, n);
    assert_memory_equal(gate, act, sizeof act);
}

static void norms_in_place(const Ops *o)
{
    enum { N = 31, C = 33 };
    float x[N * C], more[N * C], sum[N * C], apart[N * C], dx[N * C], y[N * C], mean[N], norm[N];
    fill(x, N * C, 1), fill(dx, N * C, 2), fill(more, N * C, 3);
    o->rmsnorm_fwd(apart, norm, x, dx, N, C, 1e-6f);
    memcpy(y, x, sizeof y);
    o->rmsnorm_fwd(y, norm, y, dx, N, C, 1e-6f);
    assert_memory_equal(y, apart, sizeof y);
    o->add_fwd(sum, x, more, N * C);
    o->rmsnorm_fwd(apart, norm, sum, dx, N, C, 1e-6f);
    memcpy(y, x, sizeof y);
    o->add_rmsnorm_fwd(y, x, norm, y, more, dx, N, C, 1e-6f);               /* sum = a */
    assert_true(!memcmp(y, sum, sizeof y) && !memcmp(x, apart, sizeof y));
    fill(x, N * C, 1);
    o->layernorm_fwd(apart, mean, norm, sum, dx, NULL, N, C, 1e-6f);
    o->add_layernorm_fwd(more, y, mean, norm, x, more, dx, NULL, N, C, 1e-6f);  /* sum = b */
    assert_true(!memcmp(more, sum, sizeof y) && !memcmp(y, apart, sizeof y));
    o->layernorm_bwd(apart, NULL, NULL, dx, x, mean, norm, sum, N, C, 0, false);
    memcpy(y, dx, sizeof y);
    o->layernorm_bwd(y, NULL, NULL, y, x, mean, norm, sum, N, C, 0, false);
    assert_memory_equal(y, apart, sizeof y);
    o->rmsnorm_bwd(apart, NULL, dx, x, norm, sum, N, C, 0, false);
    memcpy(y, dx, sizeof y);
    o->rmsnorm_bwd(y, NULL, y, x, norm, sum, N, C, 0, false);
    assert_memory_equal(y, apart, sizeof y);
    o->l2norm_fwd(y, norm, x, N, C, 1e-6f);
    o->l2norm_bwd(apart, dx, y, norm, N, C, 1e-6f);
    o->l2norm_bwd(dx, dx, y, norm, N, C, 1e-6f);
    assert_memory_equal(dx, apart, sizeof dx);
}

static void in_place(void **state)
{
    (void)state;
    ops_use(&OPS_CPU, 2);
    activations_in_place(&op), activations_in_place(&OPS_REF);
    norms_in_place(&op), norms_in_place(&OPS_REF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slopes), cmocka_unit_test(fast),     cmocka_unit_test(gelu_as_torch),
        cmocka_unit_test(tails),  cmocka_unit_test(in_place),
    };
    return cmocka_run_group_tests_name("ops by rows", tests, NULL, NULL);
}
