/* What is split over tp, in leaves: a rank that holds all of them has the bits of 2, 4 and 8 ranks whose partial sums are joined along the
   tree (core/join.h). */
#include "core/join.h"
#include "core/vectors.h"
#include "tests/core/op_parts.h"

enum { BLOCKS = 8 };

/* x[0] (n) <- the sum of x[0 .. ranks), as the door makes it */
static void join_ranks(float **x, int ranks, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float of[MAX_LEAVES] = { 0 };
        for (int r = 0; r < ranks; r++)
            of[r] = x[r][i];
        x[0][i] = join_f32(of, ranks);
    }
}

static void the_tree(void **state)
{
    const Ops *o = *state;
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
        o->sum_tree(got, of, add, n - 1, 1);
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
    o->rmsnorm_bwd(NULL, other, d, x, rstd, one, ROWS * H, C, 0, false);
    equal("dw of one group", one, other, C);
    free(x), free(d), free(rstd);
}

/* ---- the weights of norms, whose leaves are rows ---- */

/* Rows are cut into BLOCKS leaves; a rank that keeps some of them has their part of the tree. */
static void rows_of_norms(const Ops *o, int64_t rows, int C)
{
    float *x = some(rows * C, 1), *d = some(rows * C, 2), *rstd = some(rows, 3), *mean = some(rows, 4), *w = some(C, 5);
    float *whole = buffer(3 * C), *plain = buffer(3 * C), *part = buffer(BLOCKS * 3 * C), *of[BLOCKS];
    const int64_t leaf = ceil_div(rows, BLOCKS);
    for (int ranks = 1; ranks <= BLOCKS; ranks *= 2) {
        const int64_t each = leaf * (BLOCKS / ranks);
        for (int r = 0; r < ranks; r++) {
            const int64_t from = min64(rows, r * each), n = min64(rows, from + each) - from;
            float *p = of[r] = part + r * 3 * C;
            memset(p, 0, (size_t)(3 * C) * sizeof *p);
            o->rmsnorm_bwd(NULL, p, d + from * C, x + from * C, rstd + from, w, n, C, leaf, false);
            o->layernorm_bwd(NULL, p + C, p + 2 * C, d + from * C, x + from * C, mean + from, rstd + from, w, n, C, leaf, false);
        }
        join_ranks(of, ranks, 3 * C);
        if (ranks == 1)
            memcpy(whole, part, (size_t)(3 * C) * sizeof *whole);
        equal("weights of a norm", part, whole, 3 * C);
    }
    memset(plain, 0, (size_t)(3 * C) * sizeof *plain);
    o->rmsnorm_bwd(NULL, plain, d, x, rstd, w, rows, C, 0, false);
    o->layernorm_bwd(NULL, plain + C, plain + 2 * C, d, x, mean, rstd, w, rows, C, 0, false);
    for (int c = 0; c < 3 * C; c++)
        assert_true(fabsf(plain[c] - whole[c]) <= 1e-6f * (float)rows);        /* so many products below 1, each sum rounds */
    free(x), free(d), free(rstd), free(mean), free(w), free(whole), free(plain), free(part);
}

static void norm_rows(void **state)
{
    rows_of_norms(*state, 700, 36);             /* leaves of more rows than a block of sums has */
    rows_of_norms(*state, 345, 130);
    rows_of_norms(*state, 9, 64);               /* some ranks keep nothing */
    rows_of_norms(*state, 1, 8);
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

static int laws(const char *name, const Ops *o)
{
    void *s = (void *)(uintptr_t)o;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(the_tree, s),      cmocka_unit_test_prestate(losses, s),  cmocka_unit_test_prestate(attention, s),
        cmocka_unit_test_prestate(norm_of_heads, s), cmocka_unit_test_prestate(norm_rows, s), cmocka_unit_test_prestate(nearest, s),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

/* Of all vectors that are built and that this processor has. */
int main(void)
{
    const int levels = vectors_levels();
    int failed = laws("leaves: ref", &OPS_REF);
    for (int n = 1; n <= levels; n++) {
        vectors_limit(n);
        ops_use(&OPS_CPU, 2);
        failed += laws(op.name, &op);
    }
    return failed;
}
