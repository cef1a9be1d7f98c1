/* No number's bits depend on where it lies in a tensor or on what else is there: an element of an elementwise op, a row, a head, a logit, a
   sequence.  So it does not matter how many of the others lie on other tensor-parallel ranks, or in another stripe (core/stripe.h). */
#include "core/rope.h"
#include "core/vectors.h"
#include "tests/core/op_parts.h"

enum { RESULTS = 4, LONG = 70001, SHIFTS = 19 };
typedef struct { const Ops *o; float *x[3], *y[RESULTS]; } Lying;

static void elementwise(const Lying *l, int at, int n, int which)
{
    const Ops *o = l->o;
    const float *x = l->x[0] + at, *u = l->x[1] + at, *d = l->x[2] + at;
    float *const *y = l->y;
    if (which < 3) {
        o->gelu_fwd(y[0], x, n, which), o->gelu_bwd(y[1], y[2], d, x, n, which);
    } else if (which == 3) {
        o->swiglu_fwd(y[0], x, u, n), o->swiglu_bwd(y[1], y[2], y[3], d, x, u, n);
    } else if (which == 4) {
        o->add_fwd(y[0], x, u, n);
        o->copy(y[1], x, n), o->blend(y[1], u, n, 0.3f, 0.9f);
        o->copy(y[2], x, n), o->scale(y[2], n, 0.7f);
    } else {
        o->copy(y[0], x, n), o->copy(y[1], u, n), o->copy(y[2], x, n), o->fill(y[3], n, 0.1f), o->add_fwd(y[2], y[2], y[2], n);
        o->gelu_fwd(y[2], y[2], n, GELU_ERF), o->swiglu_fwd(y[2], y[2], y[2], n);       /* a second moment is not negative */
        o->adamw(y[0], y[1], y[2], d, n, 1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 3, 0.5f);
    }
}

static void an_element_anywhere(void **state)
{
    Lying l = { .o = *state, .x = { some(LONG, 1), some(LONG, 2), some(LONG, 3) } };
    float *want[RESULTS];
    for (int k = 0; k < RESULTS; k++)
        l.y[k] = buffer(LONG), want[k] = buffer(LONG);
    for (int which = 0; which < 6; which++) {
        memset(l.y[3], 0, LONG * sizeof(float));
        elementwise(&l, 0, LONG, which);
        for (int k = 0; k < RESULTS; k++)
            memcpy(want[k], l.y[k], LONG * sizeof(float));
        for (int at = 1; at < SHIFTS; at++)
            for (int n = 40 + at; n <= LONG; n += LONG - 40 - SHIFTS) {
                if (which != 5)
                    memcpy(l.y[3], want[3] + at, (size_t)(n - at) * sizeof(float));
                elementwise(&l, at, n - at, which);
                for (int k = 0; k < RESULTS - (which < 3 || which == 4); k++)
                    equal("an element elsewhere", l.y[k], want[k] + at, n - at);
            }
    }
    free_all(l.x, 3), free_all(l.y, RESULTS), free_all(want, RESULTS);
}

/* A row's sums, at any address, whatever rows are beside it. */
static void rows_of(const Lying *l, int at, int rows, int C)
{
    const Ops *o = l->o;
    const float *x = l->x[0] + at, *d = l->x[1] + at, *w = l->x[2];
    float *rstd = l->y[3], *mean = l->y[3] + rows, *y = l->y[0] + at;
    o->rmsnorm_fwd(y, rstd, x, w, rows, C, 1e-5f);
    o->rmsnorm_bwd(y + rows * C, NULL, d, x, rstd, w, rows, C, 0, false);
    o->layernorm_fwd(l->y[1] + at, mean, rstd, x, w, w, rows, C, 1e-5f);
    o->layernorm_bwd(l->y[1] + at + rows * C, NULL, NULL, d, x, mean, rstd, w, rows, C, 0, false);
    o->add_rmsnorm_fwd(l->y[2] + at, l->y[2] + at + rows * C, rstd, x, d, w, rows, C, 1e-5f);
    o->l2norm_fwd(l->y[2] + at + 2 * rows * C, rstd, x, rows, C, 1e-6f);
}

static void a_row_anywhere(void **state)
{
    enum { C = 131, MOST = 9 };
    Lying l = { .o = *state, .x = { some(LONG, 1), some(LONG, 2), some(LONG, 3) } }, m = l;
    for (int k = 0; k < RESULTS; k++)
        l.y[k] = buffer(LONG), m.y[k] = buffer(LONG);
    rows_of(&l, 0, MOST, C);
    for (int at = 1; at < SHIFTS; at++) {
        float *x = buffer(LONG), *d = buffer(LONG);       /* the rows from the second on, at another address */
        memcpy(x + at, l.x[0] + C, (MOST - 1) * C * sizeof(float)), memcpy(d + at, l.x[1] + C, (MOST - 1) * C * sizeof(float));
        m.x[0] = x, m.x[1] = d;
        rows_of(&m, at, MOST - 1, C);
        for (int k = 0; k < 3; k++)
            for (int part = 0; part < (k == 2 ? 3 : 2); part++)
                equal("a row elsewhere", m.y[k] + at + part * (MOST - 1) * C, l.y[k] + part * MOST * C + C, (MOST - 1) * C);
        free(x), free(d);
    }
    free_all(l.x, 3), free_all(l.y, RESULTS), free_all(m.y, RESULTS);
}

/* Of logits each is by itself once the largest and the sum are known. */
static void a_logit_anywhere(void **state)
{
    enum { N = 7, V = 803 };
    const Ops *o = *state;
    float *z = some(N * V, 1), *want = some(N * V, 1), *part = buffer(N * V), *got = buffer(N * V), max[N], sum[N], target[N];
    int32_t y[N];
    for (int n = 0; n < N; n++)
        y[n] = n * 100 + 3;
    o->xent_max(max, z, N, V);
    o->xent_sum(sum, target, z, max, y, N, V, 0, 0);
    o->xent_bwd(want, max, sum, y, N, V, 0, 0.3f);
    for (int v = 0, n = 1; v < V; v += n, n += 7) {
        n = v + n > V ? V - v : n;
        part_of(part, z, N, V, v, n);
        o->xent_bwd(part, max, sum, y, N, n, v, 0.3f);
        part_of(got, want, N, V, v, n);
        equal("dz", part, got, N * n);
    }
    free_all((float *[]){ z, want, part, got }, 4);
}

/* Depth attention and rotation work head by head. */
static void heads(void **state)
{
    enum { ROWS = 13, Q = 4, H = 8, D = 20, HD = H * D, ALL = Q * ROWS };
    const Ops *o = *state;
    float *q = some(ALL * HD, 1), *k = some(ALL * HD, 2), *v = some(ALL * HD, 3), *da = some(ALL * HD, 4), *whole[6], *part[6], *in[4], *want = buffer(ALL * HD);
    int32_t pos[ALL];
    double freq[D / 2];
    rope_freq(freq, D, 1e4, NULL);
    for (int i = 0; i < ALL; i++)
        pos[i] = 3 * i;
    for (int i = 0; i < 6; i++)
        whole[i] = buffer(ALL * HD), part[i] = buffer(ALL * HD);
    o->depth_attention_fwd(whole[0], whole[1], q, k, v, Q, ROWS, H, D);
    o->depth_attention_bwd(whole[2], whole[3], whole[4], da, whole[1], q, k, v, Q, ROWS, H, D);
    memcpy(whole[5], q, sizeof(float) * ALL * HD);
    o->rope(whole[5], pos, ALL, H, D, freq, 1);
    for (int h = 0, n = 1; h < H; h += n, n = n % 3 + 1) {
        n = h + n > H ? H - h : n;
        for (int i = 0; i < 4; i++)
            part_of(in[i] = buffer(ALL * n * D), (float *[]){ q, k, v, da }[i], ALL, HD, h * D, n * D);
        o->depth_attention_fwd(part[0], part[1], in[0], in[1], in[2], Q, ROWS, n, D);
        o->depth_attention_bwd(part[2], part[3], part[4], in[3], part[1], in[0], in[1], in[2], Q, ROWS, n, D);
        o->rope(in[0], pos, ALL, n, D, freq, 1);
        for (int i = 0; i < 6; i++) {
            if (i == 1)                                    /* (N,H,Q,Q) */
                continue;
            part_of(want, whole[i], ALL, HD, h * D, n * D);
            equal("depths or rotation", i == 5 ? in[0] : part[i], want, ALL * n * D);
        }
        free_all(in, 4);
    }
    free_all(whole, 6), free_all(part, 6), free_all((float *[]){ q, k, v, da, want }, 5);
}

/* The same sequence alone, and among so many that a thread takes a whole head of it. */
static void a_sequence_among_many(void **state)
{
    enum { T = 300, MANY = 40, H = 4, K = 2, D = 64 };
    Attention one = attention_room(T, H, K, D), many = attention_room(MANY * T, H, K, D);
    int32_t start[MANY + 1];
    for (int b = 0; b <= MANY; b++)
        start[b] = b * T;
    for (int b = 0; b < MANY; b++) {
        memcpy(many.q + b * T * H * D, one.q, sizeof(float) * T * H * D), memcpy(many.datt + b * T * H * D, one.datt, sizeof(float) * T * H * D);
        memcpy(many.k + b * T * K * D, one.k, sizeof(float) * T * K * D), memcpy(many.v + b * T * K * D, one.v, sizeof(float) * T * K * D);
    }
    for (int mask = FULL; mask <= CAUSAL; mask++) {
        attend(*state, &one, 1, start, mask, 1);
        attend(*state, &many, MANY, start, mask, 1);
        for (int b = 0; b < MANY; b += 13) {
            equal("att", many.att + b * T * H * D, one.att, T * H * D), equal("dq", many.dq + b * T * H * D, one.dq, T * H * D);
            equal("dk", many.dk + b * T * K * D, one.dk, T * K * D), equal("dv", many.dv + b * T * K * D, one.dv, T * K * D);
        }
    }
    attention_free(&one), attention_free(&many);
}

static int laws(const char *name, const Ops *o)
{
    void *s = (void *)(uintptr_t)o;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(an_element_anywhere, s), cmocka_unit_test_prestate(a_row_anywhere, s),
        cmocka_unit_test_prestate(a_logit_anywhere, s),    cmocka_unit_test_prestate(heads, s),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

/* Of all vectors that are built and that this processor has. */
int main(void)
{
    const struct CMUnitTest fast[] = { cmocka_unit_test_prestate(a_sequence_among_many, &op) };
    const int levels = vectors_levels();
    int failed = laws("anywhere: ref", &OPS_REF);
    for (int n = 1; n <= levels; n++) {
        vectors_limit(n);
        ops_use(&OPS_CPU, 2);
        failed += laws(op.name, &op) + cmocka_run_group_tests_name("long sequences", fast, NULL, NULL);
    }
    return failed;
}
