/* What is split over tp, in leaves: a rank that holds all of them has the bits of 2, 4 and 8 ranks whose partial sums are joined along the
   tree (core/join.h), and no element's bits depend on which others are here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/join.h"
#include "core/rope.h"
#include "tests/core/op_case.h"

enum { BLOCKS = 8 };

static float *some(int64_t n, uint64_t stream)
{
    float *x = buffer(n);
    fill(x, n, stream);
    return x;
}

static void equal(const char *what, const float *got, const float *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(got + i, want + i, sizeof *got))
            fail_msg("%s: element %lld is %a, not %a", what, (long long)i, (double)got[i], (double)want[i]);
}

/* out (N,n) <- columns [first, first + n) of x (N,all) */
static void part_of(float *out, const float *x, int64_t N, int all, int first, int n)
{
    for (int64_t r = 0; r < N; r++)
        memcpy(out + r * n, x + r * all + first, (size_t)n * sizeof *x);
}

/* x[0] (n) <- the sum of x[0 .. ranks), as the door makes it */
static void join_ranks(float **x, int ranks, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float of[MAX_LEAVES];
        for (int r = 0; r < ranks; r++)
            of[r] = x[r][i];
        x[0][i] = join_f32(of, ranks);
    }
}

static void free_all(float **x, int n)
{
    for (int i = 0; i < n; i++)
        free(x[i]);
}

static void the_tree(void **state)
{
    (void)state;
    /* Each addition rounds: one order alone gives this. */
    const float x[8] = { 1, 0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1.8p-23f, 1, 0x1p-24f, 3 };
    float f[8], got[8], *of[8];
    double d[3] = { 1, 2, 4 };
    Addition add[7];
    memcpy(f, x, sizeof x);
    assert_true(join_f32(f, 8) == ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7])));
    assert_true(join_f64(d, 3) == 7 && d[2] == 4);
    for (int n = 1; n <= 8; n++) {
        assert_int_equal(join_additions(add, n), n - 1);
        memcpy(f, x, sizeof x);
        memcpy(got, x, sizeof x);
        for (int i = 0; i < n; i++)
            of[i] = got + i;
        op.sum_tree(got, of, add, n - 1, 1);
        assert_true(got[0] == join_f32(f, n));
    }
}

/* ---- losses ---- */

enum { N = 7, SOFT = 5 };

static void xent_of(const Ops *o, int V)
{
    float *z = some(N * V, 1), *p = some(V * SOFT, 2), max[N], sum[N], target[N], soft_target[N];
    int32_t y[N], *id = malloc((size_t)V * SOFT * sizeof *id);
    const XentSoft soft = { SOFT, id, p };
    for (int n = 0; n < N; n++)
        y[n] = (n * V / N + 3) % V;
    for (int i = 0; i < V * SOFT; i++)
        id[i] = (int32_t)rng_below(V, 1, 2, (uint64_t)i);
    o->xent_max(max, z, N, V);
    o->xent_sum(sum, target, z, max, y, N, V, 0, BLOCKS);
    o->xent_soft_target(soft_target, z, y, &soft, N, V, 0, BLOCKS);
    for (int ranks = 2; ranks <= BLOCKS; ranks *= 2) {
        const int Vl = V / ranks;
        float *s[BLOCKS], *t[BLOCKS], *q[BLOCKS], *zl = buffer(N * Vl);
        for (int r = 0; r < ranks; r++) {
            part_of(zl, z, N, V, r * Vl, Vl);
            o->xent_sum(s[r] = buffer(N), t[r] = buffer(N), zl, max, y, N, Vl, r * Vl, BLOCKS / ranks);
            o->xent_soft_target(q[r] = buffer(N), zl, y, &soft, N, Vl, r * Vl, BLOCKS / ranks);
        }
        join_ranks(s, ranks, N), join_ranks(t, ranks, N), join_ranks(q, ranks, N);
        equal("sum", s[0], sum, N);
        equal("target", t[0], target, N);
        equal("soft target", q[0], soft_target, N);
        free_all(s, ranks), free_all(t, ranks), free_all(q, ranks), free(zl);
    }
    free(z), free(p), free(id);
}

static void losses(void **state)
{
    xent_of(*state, BLOCKS);
    xent_of(*state, 37 * BLOCKS);
    xent_of(*state, 1200 * BLOCKS);
}

/* ---- attention ---- */

typedef struct { int H, K, D; float *q, *k, *v, *datt, *att, *lse, *dq, *dk, *dv; } Attention;

static Attention attention_room(int64_t rows, int H, int K, int D)
{
    const int64_t q = rows * H * D, k = rows * K * D;
    return (Attention){ H, K, D, some(q, 1), some(k, 2), some(k, 3), some(q, 4), buffer(q), buffer(rows * H), buffer(q), buffer(k), buffer(k) };
}

static void attention_free(Attention *a)
{
    free_all((float *[]){ a->q, a->k, a->v, a->datt, a->att, a->lse, a->dq, a->dk, a->dv }, 9);
}

static void attend(const Ops *o, Attention *a, int B, const int32_t *start, int mask, int leaves)
{
    o->attention_fwd(a->att, a->lse, a->q, a->k, a->v, B, start, start, a->H, a->K, a->D, mask);
    o->attention_bwd(a->dq, a->dk, a->dv, a->datt, a->att, a->lse, a->q, a->k, a->v, B, start, start, a->H, a->K, a->D, mask, leaves);
}

/* Rank r's heads of w, which are the whole. */
static void attend_part(const Ops *o, Attention *a, const Attention *w, int r, int ranks, int B, const int32_t *start, int mask)
{
    const int Hl = w->H / ranks, Kl = w->K < ranks ? 1 : w->K / ranks, D = w->D, all = start[B];
    *a = attention_room(all, Hl, Kl, D);
    part_of(a->q, w->q, all, w->H * D, r * Hl * D, Hl * D);
    part_of(a->datt, w->datt, all, w->H * D, r * Hl * D, Hl * D);
    part_of(a->k, w->k, all, w->K * D, r * w->K / ranks * D, Kl * D);
    part_of(a->v, w->v, all, w->K * D, r * w->K / ranks * D, Kl * D);
    attend(o, a, B, start, mask, BLOCKS / ranks);
    float *want = buffer(all * Hl * D);
    part_of(want, w->att, all, w->H * D, r * Hl * D, Hl * D);
    equal("att", a->att, want, all * Hl * D);
    part_of(want, w->dq, all, w->H * D, r * Hl * D, Hl * D);
    equal("dq", a->dq, want, all * Hl * D);
    part_of(want, w->lse, all, w->H, r * Hl, Hl);
    equal("lse", a->lse, want, all * Hl);
    free(want);
}

static void attention_of(const Ops *o, int B, const int32_t *start, int H, int K, int D, int mask)
{
    Attention w = attention_room(start[B], H, K, D), a[BLOCKS];
    attend(o, &w, B, start, mask, BLOCKS);
    for (int ranks = 2; ranks <= BLOCKS; ranks *= 2) {
        const int holders = K < ranks ? ranks / K : 1, Kl = K < ranks ? 1 : K / ranks;
        float *want = buffer(start[B] * Kl * D), *dk[BLOCKS], *dv[BLOCKS];
        for (int r = 0; r < ranks; r++) {
            attend_part(o, &a[r], &w, r, ranks, B, start, mask);
            dk[r] = a[r].dk, dv[r] = a[r].dv;
        }
        for (int r = 0; r < ranks; r += holders) {
            join_ranks(dk + r, holders, start[B] * Kl * D);
            join_ranks(dv + r, holders, start[B] * Kl * D);
            part_of(want, w.dk, start[B], K * D, r * K / ranks * D, Kl * D);
            equal("dk", dk[r], want, start[B] * Kl * D);
            part_of(want, w.dv, start[B], K * D, r * K / ranks * D, Kl * D);
            equal("dv", dv[r], want, start[B] * Kl * D);
        }
        for (int r = 0; r < ranks; r++)
            attention_free(&a[r]);
        free(want);
    }
    attention_free(&w);
}

/* Query heads of a kv head on one rank, or on several; more keys than a block has; and, of the fast ones, so many that each way of the
   backward is taken. */
static void attention(void **state)
{
    const Ops *o = *state;
    const int32_t packed[] = { 0, 9, 9, 10, 43 }, two[] = { 0, 130, 197 }, longer[] = { 0, 400 };
    for (int K = 1; K <= 16; K *= 2) {
        attention_of(o, 4, packed, 16, K, 12, FULL);
        attention_of(o, 4, packed, 16, K, 24, CAUSAL);
        if (o == &OPS_REF)
            continue;
        attention_of(o, 2, two, 16, K, 72, FULL);
        attention_of(o, 1, longer, 32, K, 64, CAUSAL);
    }
    attention_of(o, 1, (int32_t[]){ 0, 3 }, 8, 2, 520, CAUSAL);
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

/* ---- the weight of a norm of heads ---- */

static void norm_of_heads(void **state)
{
    enum { ROWS = 150, H = 16, C = 36 };
    const Ops *o = *state;
    float *x = some(ROWS * H * C, 1), *d = some(ROWS * H * C, 2), *rstd = some(ROWS * H, 3), whole[BLOCKS * C], one[C], other[C];
    memset(whole, 0, sizeof whole), memset(one, 0, sizeof one), memset(other, 0, sizeof other);
    o->rmsnorm_dw(whole, d, x, rstd, ROWS, H, C, BLOCKS);
    for (int ranks = 2; ranks <= BLOCKS; ranks *= 2) {
        const int Hl = H / ranks, leaves = BLOCKS / ranks;
        float *xl = buffer(ROWS * Hl * C), *dl = buffer(ROWS * Hl * C), *rl = buffer(ROWS * Hl), dw[BLOCKS * C];
        for (int r = 0; r < ranks; r++) {
            memset(dw, 0, sizeof dw);
            part_of(xl, x, ROWS, H * C, r * Hl * C, Hl * C), part_of(dl, d, ROWS, H * C, r * Hl * C, Hl * C), part_of(rl, rstd, ROWS, H, r * Hl, Hl);
            o->rmsnorm_dw(dw, dl, xl, rl, ROWS, Hl, C, leaves);
            equal("dw", dw, whole + r * leaves * C, leaves * C);
        }
        free(xl), free(dl), free(rl);
    }
    o->rmsnorm_dw(one, d, x, rstd, ROWS, H, C, 1);
    o->rmsnorm_bwd(NULL, other, d, x, rstd, one, ROWS * H, C, false);
    equal("dw of one group", one, other, C);
    free(x), free(d), free(rstd);
}

/* ---- codes ---- */

/* Two codes whose distances are one float but two doubles: among all codes the nearer wins, among leaves, as among ranks, the lower. */
static void nearest(void **state)
{
    enum { S = 24, C = 3, ROWS = 300, LOW = 2, HIGH = 17 };
    const Ops *o = *state;
    float *x = some(ROWS * C, 1), *e = some(S * C, 2), whole[ROWS], far[BLOCKS][ROWS];
    int32_t code[ROWS], plain[ROWS], here[BLOCKS][ROWS];
    memset(x, 0, C * sizeof *x);
    for (int j = 0; j < S; j++)
        e[j * C] += 5;
    e[LOW * C] = e[HIGH * C] = 1, e[LOW * C + 1] = 0x1p-13f, e[HIGH * C + 1] = e[LOW * C + 2] = e[HIGH * C + 2] = 0;
    o->nearest(plain, whole, x, e, ROWS, C, S, 0);
    assert_int_equal(plain[0], HIGH);
    o->nearest(code, NULL, x, e, ROWS, C, S, BLOCKS);
    assert_int_equal(code[0], LOW);
    o->nearest(code, whole, x, e, ROWS, C, S, BLOCKS);
    assert_int_equal(code[0], LOW);
    for (int ranks = 2; ranks <= BLOCKS; ranks *= 2) {
        const int Sl = S / ranks;
        for (int r = 0; r < ranks; r++)
            o->nearest(here[r], far[r], x, e + r * Sl * C, ROWS, C, Sl, BLOCKS / ranks);
        for (int n = 0; n < ROWS; n++) {
            int best = 0;
            for (int r = 1; r < ranks; r++)
                best = far[r][n] < far[best][n] ? r : best;
            assert_int_equal(code[n], best * Sl + here[best][n]);
            assert_true(whole[n] == far[best][n]);
        }
    }
    free(x), free(e);
}

/* ---- where an element lies ---- */

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
    o->rmsnorm_bwd(y + rows * C, NULL, d, x, rstd, w, rows, C, false);
    o->layernorm_fwd(l->y[1] + at, mean, rstd, x, w, w, rows, C, 1e-5f);
    o->layernorm_bwd(l->y[1] + at + rows * C, NULL, NULL, d, x, mean, rstd, w, rows, C, false);
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
    enum { V = 803 };
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

static int laws(const char *name, const Ops *o)
{
    void *s = (void *)(uintptr_t)o;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree),                       cmocka_unit_test_prestate(losses, s),
        cmocka_unit_test_prestate(attention, s),          cmocka_unit_test_prestate(heads, s),
        cmocka_unit_test_prestate(norm_of_heads, s),      cmocka_unit_test_prestate(nearest, s),
        cmocka_unit_test_prestate(an_element_anywhere, s), cmocka_unit_test_prestate(a_row_anywhere, s),
        cmocka_unit_test_prestate(a_logit_anywhere, s),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    ops_use(&OPS_CPU, 2);
    const struct CMUnitTest fast[] = { cmocka_unit_test_prestate(a_sequence_among_many, &op) };
    return laws("leaves: ref", &OPS_REF) + laws("leaves: fast", &op) + cmocka_run_group_tests_name("leaves: whole and two", fast, NULL, NULL);
}
