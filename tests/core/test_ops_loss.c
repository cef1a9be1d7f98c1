/* Softmax cross-entropy in three passes, sigmoid contrastive loss. */
#include "tests/core/op_slope.h"
#include "tests/core/op_values.h"

/* N rows over the columns [S, S + C) of a vocabulary; some labels lie outside.  One loss a row, all with one scale. */
static void xent_make(Job *j)
{
    input(j, j->s.N * j->s.C, SET);
    output(j, j->s.N);
    for (int k = 0; k < 3; k++)
        output(j, j->s.N);
    for (int64_t n = 0; n < j->s.N; n++)
        j->dy[n] = 0.7f;
    indices(j, 0, j->s.N, j->s.S - 3, j->s.S + j->s.C + 3);
}

static void xent_fwd(const Ops *o, Job *j)
{
    float *max = j->y[1], *sum = j->y[2], *target = j->y[3];
    o->xent_max(max, j->x[0], j->s.N, j->s.C);
    o->xent_sum(sum, target, j->x[0], max, j->index[0], j->s.N, j->s.C, j->s.S, 0);
    for (int n = 0; n < j->s.N; n++)
        j->y[0][n] = (float)op_xent_loss(o, max + n, sum + n, target + n, 1);
}

static void xent_bwd(const Ops *o, Job *j)
{
    if (!j->dx[0])
        return;
    o->copy(j->dx[0], j->x[0], j->nx[0]);
    o->xent_bwd(j->dx[0], j->y[1], j->y[2], j->index[0], j->s.N, j->s.C, j->s.S, 0.7f);
}

/* As xent, with soft targets of a vocabulary of S + C + 3 classes: some of their codes lie outside, too. */
enum { SOFT = 4 };

static void soft_make(Job *j)
{
    const int64_t V = j->s.S + j->s.C + 3;
    input(j, j->s.N * j->s.C, SET);
    output(j, j->s.N);
    output(j, 3 * j->s.N);
    output(j, V * SOFT);
    for (int64_t n = 0; n < j->s.N; n++)
        j->dy[n] = 0.7f;
    for (int64_t i = 0; i < V * SOFT; i++)
        j->y[2][i] = (float)rng_uniform(7, 8, (uint64_t)i) / 2;
    indices(j, 0, j->s.N, 0, (int)V);
    indices(j, 1, V * SOFT, j->s.S > 3 ? j->s.S - 3 : 0, (int)V);
}

static void soft_fwd(const Ops *o, Job *j)
{
    const XentSoft soft = { SOFT, j->index[1], j->y[2] };
    float *max = j->y[1], *sum = max + j->s.N, *target = sum + j->s.N;
    o->xent_max(max, j->x[0], j->s.N, j->s.C);
    o->xent_sum(sum, target, j->x[0], max, j->index[0], j->s.N, j->s.C, j->s.S, 0);
    o->xent_soft_target(target, j->x[0], j->index[0], &soft, j->s.N, j->s.C, j->s.S, 0);
    for (int n = 0; n < j->s.N; n++)
        j->y[0][n] = (float)op_xent_loss(o, max + n, sum + n, target + n, 1);
}

static void soft_bwd(const Ops *o, Job *j)
{
    const XentSoft soft = { SOFT, j->index[1], j->y[2] };
    if (!j->dx[0])
        return;
    o->copy(j->dx[0], j->x[0], j->nx[0]);
    o->xent_bwd(j->dx[0], j->y[1], j->y[1] + j->s.N, NULL, j->s.N, j->s.C, j->s.S, 0.7f);
    o->xent_soft_bwd(j->dx[0], j->index[0], &soft, j->s.N, j->s.C, j->s.S, 0.7f);
}

static void contrast_make(Job *j)
{
    input(j, j->s.N * j->s.N, SET);
    input(j, 1, ADD);
    input(j, 1, ADD);
    output(j, 1);
}

static void contrast_fwd(const Ops *o, Job *j)
{
    j->y[0][0] = (float)op_sigmoid_contrast(o, j->x[0], NULL, NULL, j->x[1], j->x[2], j->s.N, 1);
}

/* Without dlogscale the op does not work backward, so it always gets one. */
static void contrast_bwd(const Ops *o, Job *j)
{
    float *dz = j->dx[0] ? j->dx[0] : buffer(j->nx[0]), unwanted = 0;
    o->copy(dz, j->x[0], j->nx[0]);
    op_sigmoid_contrast(o, dz, j->dx[1] ? j->dx[1] : &unwanted, j->dx[2], j->x[1], j->x[2], j->s.N, j->dy[0]);
    if (!j->dx[0])
        free(dz);
}

static const OpCase CASES[] = {
    { "xent", xent_make, xent_fwd, xent_bwd,
      SHAPES({ .N = 0, .C = 5 }, { .N = 1, .C = 1 }, { .N = 3, .C = 17 }, { .N = 33, .C = 67, .S = 40 },
             { .N = 131, .C = 1009, .S = 1009 }) },
    { "soft xent", soft_make, soft_fwd, soft_bwd,
      SHAPES({ .N = 0, .C = 5 }, { .N = 1, .C = 1 }, { .N = 3, .C = 17 }, { .N = 33, .C = 67, .S = 40 },
             { .N = 131, .C = 1009, .S = 1009 }) },
    { "sigmoid contrast", contrast_make, contrast_fwd, contrast_bwd, SHAPES({ .N = 1 }, { .N = 3 }, { .N = 17 }, { .N = 33 }) },
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

enum { N = 17, V = 34, HALF = V / 2 };

/* Two ranks with half the columns each get the loss and the gradient of the whole. */
static void halves_make_the_whole(void **state)
{
    const Ops *o = *state;
    float z[N * V], part[2][N * HALF], max[N], sum[N], target[N], m[2][N], s[2][N], t[2][N];
    int32_t y[N];
    fill(z, N * V, 1);
    for (int n = 0; n < N; n++) {
        y[n] = n + HALF / 2 + 1;                          /* both halves hold targets, at their edges too */
        for (int v = 0; v < V; v++)
            part[v / HALF][n * HALF + v % HALF] = z[n * V + v];
    }
    o->xent_max(max, z, N, V);
    o->xent_sum(sum, target, z, max, y, N, V, 0, 0);
    for (int r = 0; r < 2; r++)
        o->xent_max(m[r], part[r], N, HALF);
    for (int n = 0; n < N; n++)
        m[0][n] = m[1][n] = fmaxf(m[0][n], m[1][n]);
    assert_memory_equal(m[0], max, sizeof max);
    for (int r = 0; r < 2; r++)
        o->xent_sum(s[r], t[r], part[r], m[r], y, N, HALF, r * HALF, 0);
    for (int n = 0; n < N; n++) {
        assert_true(t[y[n] < HALF][n] == 0);              /* the half without the target says 0 */
        s[0][n] += s[1][n], t[0][n] += t[1][n];
    }
    assert_near("halves", "target", t[0], target, N);
    double whole = op_xent_loss(o, max, sum, target, N), both = op_xent_loss(o, max, s[0], t[0], N);
    assert_true(fabs(whole - both) <= 1e-6 * whole);      /* sums are rounded to float once more */
    o->xent_bwd(z, max, sum, y, N, V, 0, 0.5f);
    for (int r = 0; r < 2; r++)
        o->xent_bwd(part[r], max, s[0], y, N, HALF, r * HALF, 0.5f);
    for (int n = 0; n < N; n++)
        for (int r = 0; r < 2; r++)
            assert_near("halves", "dz", part[r] + n * HALF, z + n * V + r * HALF, HALF);
}

/* The same with soft targets whose codes lie in both halves; one code each is the target of before. */
static void soft_halves_make_the_whole(void **state)
{
    const Ops *o = *state;
    float z[N * V], part[2][N * HALF], max[N], sum[N], target[N], t[2][N], p[V * SOFT];
    int32_t y[N], id[V * SOFT];
    const XentSoft soft = { SOFT, id, p };
    fill(z, N * V, 1);
    for (int i = 0; i < V * SOFT; i++) {
        id[i] = (i / SOFT + i % SOFT * (HALF - 3)) % V;
        p[i] = 0.1f * (float)(i % SOFT + 1);
    }
    for (int i = 0; i < N * V; i++)
        part[i % V / HALF][i / V * HALF + i % V % HALF] = z[i];
    for (int n = 0; n < N; n++)
        y[n] = 2 * n + 1;
    o->xent_max(max, z, N, V);
    o->xent_sum(sum, target, z, max, y, N, V, 0, 0);
    int32_t self[V];
    float one[V];
    for (int v = 0; v < V; v++)
        self[v] = v, one[v] = 1;
    o->xent_soft_target(t[0], z, y, &(XentSoft){ 1, self, one }, N, V, 0, 0);
    assert_memory_equal(t[0], target, sizeof target);
    o->xent_soft_target(target, z, y, &soft, N, V, 0, 0);
    for (int r = 0; r < 2; r++)
        o->xent_soft_target(t[r], part[r], y, &soft, N, HALF, r * HALF, 0);
    for (int n = 0; n < N; n++)
        t[0][n] += t[1][n];
    assert_near("soft halves", "target", t[0], target, N);
    o->xent_bwd(z, max, sum, NULL, N, V, 0, 0.5f);
    o->xent_soft_bwd(z, y, &soft, N, V, 0, 0.5f);
    for (int r = 0; r < 2; r++) {
        o->xent_bwd(part[r], max, sum, NULL, N, HALF, r * HALF, 0.5f);
        o->xent_soft_bwd(part[r], y, &soft, N, HALF, r * HALF, 0.5f);
        for (int n = 0; n < N; n++)
            assert_near("soft halves", "dz", part[r] + n * HALF, z + n * V + r * HALF, HALF);
    }
    for (int n = 0; n < N; n++) {
        double total = 0;                                 /* softmax and targets both sum to 1 */
        for (int v = 0; v < V; v++)
            total += z[n * V + v];
        assert_true(fabs(total) < 1e-6);
    }
}

/* Equal logits of any size: loss log V, gradients 1/V and 1/V - 1. */
static void equal_logits(void **state)
{
    const Ops *o = *state;
    float z[V], max, sum, target;
    for (float level = -3e4f; level <= 3e4f; level += 3e4f) {
        for (int v = 0; v < V; v++)
            z[v] = level;
        o->xent_max(&max, z, 1, V);
        o->xent_sum(&sum, &target, z, &max, (int32_t[]){ 3 }, 1, V, 0, 0);
        assert_true(fabs(op_xent_loss(o, &max, &sum, &target, 1) - log(V)) < 1e-6);
        o->xent_bwd(z, &max, &sum, (int32_t[]){ 3 }, 1, V, 0, 1);
        for (int v = 0; v < V; v++)
            assert_float_equal(z[v], 1.0 / V - (v == 3), 1e-6);
    }
}

/* A NaN among the logits reaches the loss: the step must see it. */
static void nan_passes(void **state)
{
    const Ops *o = *state;
    for (int at = 0; at < V; at++) {
        float z[V], max, sum, target;
        fill(z, V, 1);
        z[at] = NAN;
        o->xent_max(&max, z, 1, V);
        o->xent_sum(&sum, &target, z, &max, (int32_t[]){ 3 }, 1, V, 0, 0);
        assert_true(isnan(op_xent_loss(o, &max, &sum, &target, 1)));
    }
}

/* B = 2, scale 2, bias -1: the formula written out.  Without dlogscale nothing is written; factor is not in the loss. */
static void contrast_by_hand(void **state)
{
    const Ops *o = *state;
    const float z0[] = { 0.9f, 0.1f, -0.2f, 0.8f }, logscale = logf(2), bias = -1;
    const double label[] = { 1, -1, -1, 1 };
    float z[4], dlogscale = 10, dbias = 20;
    double loss = 0, dz[4], ds = 0, db = 0;
    for (int i = 0; i < 4; i++) {
        double g = -label[i] / (1 + exp(label[i] * (2.0 * z0[i] - 1)));
        loss += log(1 + exp(-label[i] * (2.0 * z0[i] - 1)));
        dz[i] = 0.25 * 2 * g, ds += 0.25 * g * 2 * z0[i], db += 0.25 * g;
    }
    memcpy(z, z0, sizeof z);
    assert_true(fabs(op_sigmoid_contrast(o, z, NULL, NULL, &logscale, &bias, 2, 0.25f) - loss) < 1e-6);
    assert_memory_equal(z, z0, sizeof z);
    assert_true(fabs(op_sigmoid_contrast(o, z, &dlogscale, &dbias, &logscale, &bias, 2, 0.25f) - loss) < 1e-6);
    for (int i = 0; i < 4; i++)
        assert_float_equal(z[i], dz[i], 1e-6);
    assert_float_equal(dlogscale, 10 + ds, 2e-6);
    assert_float_equal(dbias, 20 + db, 4e-6);
}

/* Logits of 1000 neither overflow nor lose the loss of the wrong pairs. */
static void contrast_far_out(void **state)
{
    const Ops *o = *state;
    float z[] = { 10, 10, -10, -10 }, logscale = logf(100), bias = 0, dlogscale = 0, dbias = 0;
    double loss = op_sigmoid_contrast(o, z, &dlogscale, &dbias, &logscale, &bias, 2, 1);
    assert_true(fabs(loss - 2000) < 4e-3);                /* logf(100) is rounded: 5e-7 of 2000 */
    assert_float_equal(z[0], 0, 1e-6), assert_float_equal(z[1], 100, 1e-3);
    assert_float_equal(z[2], 0, 1e-6), assert_float_equal(z[3], -100, 1e-3);
}

static int laws(const char *name, const Ops *o)
{
    void *s = (void *)(uintptr_t)o;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(halves_make_the_whole, s), cmocka_unit_test_prestate(equal_logits, s),
        cmocka_unit_test_prestate(nan_passes, s),            cmocka_unit_test_prestate(contrast_by_hand, s),
        cmocka_unit_test_prestate(contrast_far_out, s),      cmocka_unit_test_prestate(soft_halves_make_the_whole, s),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(slopes), cmocka_unit_test(fast) };
    ops_use(&OPS_CPU, 2);
    return cmocka_run_group_tests_name("losses", tests, NULL, NULL) + laws("losses: laws, ref", &OPS_REF) +
           laws("losses: laws, fast", &op);
}
