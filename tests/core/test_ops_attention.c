/* Attention over packed sequences, attention over depth, rotary embedding. */
#include "core/rope.h"
#include "tests/core/op_slope.h"

/* index 0, 1: where the sequences start in q and in k; returns the rows in all */
static int starts(Job *j, int k, const int *length)
{
    j->index[k] = malloc((size_t)(j->s.B + 1) * sizeof(int32_t));
    j->index[k][0] = 0;
    for (int b = 0; b < j->s.B; b++)
        j->index[k][b + 1] = j->index[k][b] + length[b];
    return j->index[k][j->s.B];
}

static void attention_make(Job *j)
{
    const Shape *s = &j->s;
    int nq = starts(j, 0, s->tq), nk = starts(j, 1, s->tk);
    input(j, nq * s->H * s->D, SET);
    input(j, nk * s->K * s->D, SET);
    input(j, nk * s->K * s->D, SET);
    output(j, nq * s->H * s->D);
    output(j, nq * s->H);
}

static void attention_fwd(const Ops *o, Job *j)
{
    o->attention_fwd(j->y[0], j->y[1], j->x[0], j->x[1], j->x[2], j->s.B, j->index[0], j->index[1], j->s.H, j->s.K, j->s.D,
                     j->s.kind);
}

static void attention_bwd(const Ops *o, Job *j)
{
    o->attention_bwd(j->dx[0], j->dx[1], j->dx[2], j->dy, j->y[0], j->y[1], j->x[0], j->x[1], j->x[2], j->s.B, j->index[0],
                     j->index[1], j->s.H, j->s.K, j->s.D, j->s.kind, 0);
}

static void depth_make(Job *j)
{
    const Shape *s = &j->s;
    for (int k = 0; k < 3; k++)
        input(j, s->Q * s->N * s->H * s->D, SET);
    output(j, s->Q * s->N * s->H * s->D);
    output(j, s->N * s->H * s->Q * s->Q);
}

/* What lies above the diagonal of prob is the backend's own business. */
static void depth_fwd(const Ops *o, Job *j)
{
    int Q = j->s.Q;
    o->depth_attention_fwd(j->y[0], j->y[1], j->x[0], j->x[1], j->x[2], Q, j->s.N, j->s.H, j->s.D);
    for (int64_t i = 0; i < j->ny[1]; i++)
        if (i % Q > i / Q % Q)
            j->y[1][i] = 0;
}

static void depth_bwd(const Ops *o, Job *j)
{
    o->depth_attention_bwd(j->dx[0], j->dx[1], j->dx[2], j->dy, j->y[1], j->x[0], j->x[1], j->x[2], j->s.Q, j->s.N, j->s.H,
                           j->s.D);
}

static const double *freq_of(int dim)
{
    static double freq[64];
    rope_freq(freq, dim, 10000, NULL);
    return freq;
}

static void rope_make(Job *j)
{
    input(j, j->s.N * j->s.H * j->s.D, SET);
    output(j, j->s.N * j->s.H * j->s.D);
    indices(j, 0, j->s.N, 0, 300);
}

static void rope_fwd(const Ops *o, Job *j)
{
    o->copy(j->y[0], j->x[0], j->ny[0]);
    o->rope(j->y[0], j->index[0], j->s.N, j->s.H, j->s.D, freq_of(j->s.D), 1);
}

static void rope_bwd(const Ops *o, Job *j)
{
    if (!j->dx[0])
        return;
    o->copy(j->dx[0], j->dy, j->ny[0]);
    o->rope(j->dx[0], j->index[0], j->s.N, j->s.H, j->s.D, freq_of(j->s.D), -1);
}

/* Grouped heads 4:1, lengths 0 and 1, fewer queries than keys (decoding), lengths past a tile of 64 or 128. */
static const OpCase CASES[] = {
    { "attention", attention_make, attention_fwd, attention_bwd,
      SHAPES({ .B = 0, .H = 2, .K = 1, .D = 8 },
             { .B = 1, .tq = { 1 }, .tk = { 1 }, .H = 1, .K = 1, .D = 8, .kind = CAUSAL },
             { .B = 4, .tq = { 5, 0, 1, 17 }, .tk = { 5, 0, 1, 17 }, .H = 4, .K = 1, .D = 8, .kind = CAUSAL },
             { .B = 4, .tq = { 5, 0, 1, 17 }, .tk = { 5, 0, 1, 17 }, .H = 3, .K = 3, .D = 72, .kind = FULL },
             { .B = 3, .tq = { 1, 3, 7 }, .tk = { 33, 3, 19 }, .H = 8, .K = 2, .D = 64, .kind = CAUSAL },
             { .B = 3, .tq = { 3, 7, 0 }, .tk = { 17, 2, 5 }, .H = 2, .K = 1, .D = 6, .kind = FULL },
             { .B = 2, .tq = { 33, 13 }, .tk = { 33, 13 }, .H = 8, .K = 2, .D = 64, .kind = CAUSAL },
             { .B = 2, .tq = { 67, 131 }, .tk = { 67, 131 }, .H = 2, .K = 2, .D = 24, .kind = CAUSAL },
             { .B = 1, .tq = { 65 }, .tk = { 137 }, .H = 2, .K = 1, .D = 10, .kind = CAUSAL },
             { .B = 1, .tq = { 129 }, .tk = { 131 }, .H = 2, .K = 1, .D = 8, .kind = FULL },
             { .B = 1, .tq = { 3 }, .tk = { 3 }, .H = 1, .K = 1, .D = 520, .kind = CAUSAL }) },
    { "depth attention", depth_make, depth_fwd, depth_bwd,
      SHAPES({ .N = 0, .Q = 4, .H = 1, .D = 8 }, { .N = 1, .Q = 1, .H = 1, .D = 8 }, { .N = 3, .Q = 8, .H = 2, .D = 8 },
             { .N = 17, .Q = 3, .H = 3, .D = 72 }, { .N = 33, .Q = 4, .H = 2, .D = 64 }) },
    { "rope", rope_make, rope_fwd, rope_bwd,
      SHAPES({ .N = 0, .H = 1, .D = 8 }, { .N = 1, .H = 1, .D = 2 }, { .N = 17, .H = 3, .D = 8 },
             { .N = 33, .H = 2, .D = 72 }, { .N = 131, .H = 5, .D = 64 }) },
};
enum { NCASES = sizeof CASES / sizeof *CASES };

static void slopes(void **state)
{
    (void)state;
    check_all_slopes(CASES, NCASES);
}

/* So many keys that a task of the backward's second pass has several blocks of them: too many for slopes. */
static const Shape LONG = { .B = 1, .tq = { 9 }, .tk = { 1030 }, .H = 16, .K = 16, .D = 116, .kind = CAUSAL };

static void fast(void **state)
{
    (void)state;
    OpCase last = CASES[0];
    check_all_fast(CASES, NCASES);
    last.shape = &LONG, last.shapes = 1;
    check_all_fast(&last, 1);
}

enum { T = 19, H = 4, K = 2, D = 8, CUT = 7 };

/* A query must not feel keys behind its own position, bit for bit. */
static void causal_ignores_the_future(void **state)
{
    const Ops *o = *state;
    float q[T * H * D], k[T * K * D], v[T * K * D], att[T * H * D], lse[T * H], att2[T * H * D], lse2[T * H];
    const int32_t start[] = { 0, T };
    fill(q, T * H * D, 1), fill(k, T * K * D, 2), fill(v, T * K * D, 3);
    o->attention_fwd(att, lse, q, k, v, 1, start, start, H, K, D, CAUSAL);
    for (int i = CUT * K * D; i < T * K * D; i++)
        k[i] += 3, v[i] = 1e30f;
    o->attention_fwd(att2, lse2, q, k, v, 1, start, start, H, K, D, CAUSAL);
    assert_memory_equal(att, att2, CUT * H * D * sizeof(float));
    assert_memory_equal(lse, lse2, CUT * H * sizeof(float));
    assert_true(att2[CUT * H * D] > 1e20f);
}

/* The last queries alone, against all keys, get what they got among all queries. */
static void few_queries_see_all_keys(void **state)
{
    const Ops *o = *state;
    float q[T * H * D], k[T * K * D], v[T * K * D], att[T * H * D], lse[T * H], last[T * H * D], lse2[T * H];
    const int32_t all[] = { 0, T }, few[] = { 0, T - CUT };
    fill(q, T * H * D, 1), fill(k, T * K * D, 2), fill(v, T * K * D, 3);
    o->attention_fwd(att, lse, q, k, v, 1, all, all, H, K, D, CAUSAL);
    o->attention_fwd(last, lse2, q + CUT * H * D, k, v, 1, few, all, H, K, D, CAUSAL);
    assert_near("few queries", "att", last, att + CUT * H * D, (T - CUT) * H * D);
    assert_near("few queries", "lse", lse2, lse + CUT * H, (T - CUT) * H);
}

/* Queries before the first key: nothing is theirs, and nothing of them reaches the keys. */
static void queries_before_all_keys(void **state)
{
    const Ops *o = *state;
    enum { LATE = 70, HERE = 3 };
    float q[LATE * H * D], k[HERE * K * D], v[HERE * K * D], att[LATE * H * D], lse[LATE * H], dq[LATE * H * D], dk[HERE * K * D], dv[HERE * K * D];
    float att2[HERE * H * D], lse2[HERE * H], dk2[HERE * K * D], dv2[HERE * K * D];
    const int32_t late[] = { 0, LATE }, here[] = { 0, HERE };
    const int from = (LATE - HERE) * H * D;
    fill(q, LATE * H * D, 1), fill(k, HERE * K * D, 2), fill(v, HERE * K * D, 3);
    o->attention_fwd(att, lse, q, k, v, 1, late, here, H, K, D, CAUSAL);
    o->attention_bwd(dq, dk, dv, q, att, lse, q, k, v, 1, late, here, H, K, D, CAUSAL, 0);
    for (int i = 0; i < from; i++)
        assert_true(att[i] == 0 && dq[i] == 0 && lse[i / D] == -INFINITY);
    o->attention_fwd(att2, lse2, q + from, k, v, 1, here, here, H, K, D, CAUSAL);
    o->attention_bwd(dq, dk2, dv2, q + from, att2, lse2, q + from, k, v, 1, here, here, H, K, D, CAUSAL, 0);
    assert_near("late keys", "att", att + from, att2, HERE * H * D);
    assert_near("late keys", "dk", dk, dk2, HERE * K * D);
    assert_near("late keys", "dv", dv, dv2, HERE * K * D);
}

/* A packed sequence gets what it gets alone. */
static void sequences_do_not_mix(void **state)
{
    const Ops *o = *state;
    float q[T * H * D], k[T * K * D], v[T * K * D], att[T * H * D], lse[T * H], alone[T * H * D], lse2[T * H];
    const int32_t packed[] = { 0, CUT, CUT, T }, second[] = { 0, T - CUT };
    fill(q, T * H * D, 1), fill(k, T * K * D, 2), fill(v, T * K * D, 3);
    for (int mask = FULL; mask <= CAUSAL; mask++) {
        o->attention_fwd(att, lse, q, k, v, 3, packed, packed, H, K, D, mask);
        o->attention_fwd(alone, lse2, q + CUT * H * D, k + CUT * K * D, v + CUT * K * D, 1, second, second, H, K, D, mask);
        assert_near("packed", "att", att + CUT * H * D, alone, (T - CUT) * H * D);
    }
}

/* lse is the log of the sum of exp of the scaled scores, and equal scores average the values. */
static void equal_keys_average(void **state)
{
    const Ops *o = *state;
    float q[D], k[3 * D], v[3 * D], att[D], lse;
    const int32_t one[] = { 0, 1 }, three[] = { 0, 3 };
    for (int d = 0; d < D; d++)
        q[d] = 1, k[d] = k[D + d] = k[2 * D + d] = 0.5f, v[d] = 1, v[D + d] = 2, v[2 * D + d] = 6;
    o->attention_fwd(att, &lse, q, k, v, 1, one, three, 1, 1, D, CAUSAL);
    for (int d = 0; d < D; d++)
        assert_float_equal(att[d], 3, 1e-5);
    assert_float_equal(lse, 0.5 * D / sqrt(D) + log(3), 1e-5);
}

/* Depth attention is causal attention with the depth as the sequence. */
static void depth_is_causal_attention(void **state)
{
    const Ops *o = *state;
    enum { Q = 5, N = 3 };
    float q[Q * N * K * D], k[Q * N * K * D], v[Q * N * K * D], att[Q * N * K * D], prob[N * K * Q * Q];
    fill(q, Q * N * K * D, 1), fill(k, Q * N * K * D, 2), fill(v, Q * N * K * D, 3);
    o->depth_attention_fwd(att, prob, q, k, v, Q, N, K, D);
    for (int n = 0; n < N; n++) {
        float part[4][Q * K * D], lse[Q * K];
        const int32_t start[] = { 0, Q };
        for (int i = 0; i < Q; i++)
            for (int e = 0; e < K * D; e++) {
                int at = (i * N + n) * K * D + e;
                part[0][i * K * D + e] = q[at], part[1][i * K * D + e] = k[at];
                part[2][i * K * D + e] = v[at], part[3][i * K * D + e] = att[at];
            }
        float want[Q * K * D];
        OPS_REF.attention_fwd(want, lse, part[0], part[1], part[2], 1, start, start, K, K, D, CAUSAL);
        assert_near("depth attention", "att", part[3], want, Q * K * D);
    }
}

static void rope_turns_back(void **state)
{
    const Ops *o = *state;
    float x[T * H * D], y[T * H * D];
    int32_t pos[T];
    for (int n = 0; n < T; n++)
        pos[n] = n * 97;
    fill(x, T * H * D, 1);
    memcpy(y, x, sizeof x);
    o->rope(y, pos, T, H, D, freq_of(D), 1);
    assert_memory_equal(y, x, H * D * sizeof(float));              /* position 0 is not turned */
    assert_memory_not_equal(y + H * D, x + H * D, H * D * sizeof(float));
    o->rope(y, pos, T, H, D, freq_of(D), -1);
    assert_near("rope", "x turned and turned back", y, x, T * H * D);
}

/* The pair is (d, d + D/2), the angle pos * freq[d]; a dot product depends on the difference of positions only. */
static void rope_is_relative(void **state)
{
    const Ops *o = *state;
    float x[4] = { 1, 0, 0, 1 };
    o->rope(x, (int32_t[]){ 3 }, 1, 1, 4, (double[]){ 1, 0.1 }, 1);
    assert_float_equal(x[0], cos(3), 1e-6), assert_float_equal(x[2], sin(3), 1e-6);
    assert_float_equal(x[1], -sin(0.3), 1e-6), assert_float_equal(x[3], cos(0.3), 1e-6);
    double want = 0;
    for (int shift = 0; shift < 200; shift += 40) {
        float q[D], k[D];
        fill(q, D, 1), fill(k, D, 2);
        o->rope(q, (int32_t[]){ 11 + shift }, 1, 1, D, freq_of(D), 1);
        o->rope(k, (int32_t[]){ 4 + shift }, 1, 1, D, freq_of(D), 1);
        double dot = 0;
        for (int d = 0; d < D; d++)
            dot += (double)q[d] * k[d];
        want = shift ? want : dot;
        assert_float_equal(dot, want, 1e-4);          /* float angles near 200 err by 1e-5 */
    }
}

static int laws(const char *name, const Ops *o)
{
    void *s = (void *)(uintptr_t)o;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(causal_ignores_the_future, s), cmocka_unit_test_prestate(few_queries_see_all_keys, s),
        cmocka_unit_test_prestate(queries_before_all_keys, s),   cmocka_unit_test_prestate(sequences_do_not_mix, s),
        cmocka_unit_test_prestate(equal_keys_average, s),
        cmocka_unit_test_prestate(depth_is_causal_attention, s), cmocka_unit_test_prestate(rope_turns_back, s),
        cmocka_unit_test_prestate(rope_is_relative, s),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(slopes), cmocka_unit_test(fast) };
    ops_use(&OPS_CPU, 2);
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL) + laws("attention: laws, ref", &OPS_REF) +
           laws("attention: laws, fast", &op);
}
