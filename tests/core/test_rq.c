/* test_rq.c -- the residual quantizer against double loops; its averages, its dead codes, its independence of micro-batches */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops.h"
#include "core/rng.h"
#include "core/rqtok.h"

enum { Q = 4, S = 11, C = 6, P = 5, B = 6, N = 7 * P };    /* 7 pictures */

/* Samples with none, one and two pictures. */
static const int32_t image_start[B + 1] = { 0, 1, 1, 3, 4, 5, 7 };

typedef struct {
    Params    table;
    Codes     w, dw;
    float    *weights, *grads;
    CodesTape t;
    Arena     arena;
    float     x[N * C];
    double    energy[Q + 1];
    CodesUse  use;
} Rq;

static void lay_rq(Rq *r)
{
    r->weights = TAKE(&r->arena, float, r->table.weights);
    r->grads   = TAKE(&r->arena, float, r->table.grads);
    codes_tape(&r->t, &r->arena, &r->w, N, true, &TP_ALONE);
}

/* Random codebooks, and features like normal numbers of their own stream. */
static Rq *open_rq(bool shared)
{
    Rq *r = calloc(1, sizeof *r);
    r->arena.name = "test";
    r->w = r->dw = (Codes){ .part = "codes", .Q = Q, .S = S, .Cv = C, .means = true, .shared = shared };
    Binder b = binder_declare(&r->table, &TP_ALONE);
    codes_params(&r->w, &b);
    assert_true(params_seal(&r->table, "codes"));
    lay_rq(r);
    arena_alloc(&r->arena);
    lay_rq(r);
    b = binder_weights(&r->table, r->weights);
    codes_params(&r->w, &b);
    b = binder_grads(&r->table, r->grads);
    codes_params(&r->dw, &b);
    for (int i = 0; i < r->table.n; i++)
        params_init(&r->table, i, r->weights, 3);
    for (int i = 0; i < N * C; i++)
        r->x[i] = (float)rng_normal(4, 1, (uint64_t)i);
    return r;
}

static void close_rq(Rq *r)
{
    arena_free(&r->arena);
    params_free(&r->table);
    free(r);
}

static void gather(Rq *r, int64_t step)
{
    const CodesDraw draw = { .seed = 8, .step = step, .global_batch = B, .first = 0 };
    op.zero(r->grads, r->table.grads);
    codes_gather(&r->dw, &r->t, r->energy, &r->w, r->x, image_start, B, P, &draw, &TP_ALONE);
}

/* Residuals in front of each depth, (Q+1,N,C), and codes, by loops in double over the codebooks of r. */
typedef struct { double r[Q + 1][N][C]; int code[Q][N]; } Naive;

static double distance(const double *x, const float *e)
{
    double d = 0;
    for (int c = 0; c < C; c++)
        d += (x[c] - e[c]) * (x[c] - e[c]);
    return d;
}

static Naive *naive(const Rq *q)
{
    Naive *v = calloc(1, sizeof *v);
    for (int n = 0; n < N; n++) {
        for (int c = 0; c < C; c++)
            v->r[0][n][c] = q->x[n * C + c];
        for (int k = 0; k < Q; k++) {
            const float *e = q->w.table[q->w.shared ? 0 : k];
            int best = 0;
            for (int j = 1; j < S; j++)
                if (distance(v->r[k][n], e + j * C) < distance(v->r[k][n], e + best * C))
                    best = j;
            v->code[k][n] = best;
            for (int c = 0; c < C; c++)
                v->r[k + 1][n][c] = v->r[k][n][c] - e[best * C + c];
        }
    }
    return v;
}

/* Float sums of some hundred terms against double ones: 1e-5 of a value of order 1 to 100. */
static void assert_close(double got, double want) { assert_true(fabs(got - want) <= 1e-5 * (1 + fabs(want))); }

static void check_quantized(const Rq *r)
{
    Naive *v = naive(r);
    for (int k = 0; k <= Q; k++) {
        double energy = 0;
        for (int n = 0; n < N; n++)
            for (int c = 0; c < C; c++)
                energy += v->r[k][n][c] * v->r[k][n][c];
        assert_close(r->energy[k], energy);
        for (int n = 0; n < N && k < Q; n++)
            assert_int_equal(r->t.code[k * N + n], v->code[k][n]);
    }
    free(v);
}

/* What the last depth left, and the sum over depths of what each left. */
static void check_left(const Rq *r)
{
    Naive *v = naive(r);
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++) {
            double left = 0;
            for (int k = 1; k <= Q; k++)
                left += v->r[k][n][c];
            assert_close(r->t.left[n * C + c], left);
            assert_close(r->t.r[n * C + c], v->r[Q][n][c]);
        }
    free(v);
}

static void quantizes(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        Rq *r = open_rq(shared);
        assert_int_equal(r->table.n, shared ? 3 : 3 * Q);
        codes_quantize(&r->t, r->energy, &r->w, r->x, N, &TP_ALONE);
        check_quantized(r);
        int32_t *code = malloc(sizeof(int32_t) * Q * N);
        memcpy(code, r->t.code, sizeof(int32_t) * Q * N);
        codes_quantize(&r->t, NULL, &r->w, r->x, N, &TP_ALONE);       /* the energy is optional */
        assert_memory_equal(code, r->t.code, sizeof(int32_t) * Q * N);
        check_left(r);
        op.fill(r->t.left, N * C, 9);
        gather(r, 0);                                      /* gathering chooses the same codes */
        check_quantized(r);
        check_left(r);
        free(code);
        close_rq(r);
    }
}

static void ties_go_to_the_lowest(void **state)
{
    (void)state;
    Rq *r = open_rq(false);
    for (int j = 1; j < S; j++)                            /* five codes, each of them twice or more */
        memcpy(r->w.table[0] + j * C, r->w.table[0] + j % 5 * C, C * sizeof(float));
    codes_quantize(&r->t, r->energy, &r->w, r->x, N, &TP_ALONE);
    for (int n = 0; n < N; n++)
        assert_in_range(r->t.code[n], 0, 4);
    close_rq(r);
}

/* Averages, table and restarts of one codebook by the formulas of the papers, in double. */
static int64_t check_book(const Rq *r, const float *count0, const float *sum0, int book, const Naive *v, float decay)
{
    double n[S] = { 0 }, m[S][C] = { { 0 } }, total = 0, count[S];
    int64_t dead = 0;
    for (int k = 0; k < Q; k++)
        for (int i = 0; i < N && (r->w.shared || k == book); i++) {
            n[v->code[k][i]]++;
            for (int c = 0; c < C; c++)
                m[v->code[k][i]][c] += v->r[k][i][c];
        }
    for (int j = 0; j < S; j++)
        total += count[j] = decay * (double)count0[j] + (1 - (double)decay) * n[j];
    int used = 0;
    double chosen = 0, perplexity = 1;
    for (int j = 0; j < S; j++)
        chosen += n[j];
    for (int j = 0; j < S; j++)                            /* exp(-sum p log p) = prod p^-p */
        perplexity *= n[j] > 0 ? pow(n[j] / chosen, -n[j] / chosen) : 1;
    assert_close(r->use.perplexity[book], perplexity);
    for (int j = 0; j < S; j++) {
        used += n[j] > 0;
        const float *e = r->w.table[book] + j * C;
        const float *candidate = r->dw.table[book] + j * C;
        if (count[j] < 1 && candidate[0] != 0) {           /* starts again from a vector that this depth was given */
            bool found = false;
            for (int i = 0; i < N && !found; i++)
                found = distance(v->r[book][i], e) < 1e-10;
            assert_true(found);
            assert_true(r->w.count[book][j] == 1);
            assert_memory_equal(e, candidate, C * sizeof(float));
            assert_memory_equal(r->w.sum[book] + j * C, candidate, C * sizeof(float));
            dead++;
            continue;
        }
        const double smooth = total * (count[j] + 1e-5) / (total + S * 1e-5);
        assert_close(r->w.count[book][j], count[j]);
        for (int c = 0; c < C; c++) {
            const double sum = decay * (double)sum0[j * C + c] + (1 - (double)decay) * m[j][c];
            assert_close(r->w.sum[book][j * C + c], sum);
            assert_close(e[c], sum / smooth);
        }
    }
    assert_int_equal(r->use.used[book], used);
    return dead;
}

/* Three steps: after the first, some codes live on and some are dead. */
static void averages_and_restarts(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        Rq *r = open_rq(shared);
        const size_t bytes = (size_t)r->table.weights * sizeof(float);
        float *before = malloc(bytes);
        int64_t dead = 0, alive = 0;
        for (int step = 0; step < 3; step++) {
            memcpy(before, r->weights, bytes);
            Naive *v = naive(r);
            gather(r, step);
            int64_t want = 0;
            codes_update(&r->use, &r->w, &r->dw, 0.8f, &TP_ALONE);
            assert_int_equal(r->use.books, shared ? 1 : Q);
            for (int k = 0; k < (shared ? 1 : Q); k++)
                want += check_book(r, before + (r->w.count[k] - r->weights), before + (r->w.sum[k] - r->weights), k, v, 0.8f);
            assert_int_equal(r->use.restarts, want);
            dead += want;
            alive += (shared ? 1 : Q) * S - want;
            free(v);
        }
        assert_true(dead > 0 && alive > 0);
        free(before);
        close_rq(r);
    }
}

static void learns(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        Rq *r = open_rq(shared);
        codes_quantize(&r->t, r->energy, &r->w, r->x, N, &TP_ALONE);
        const double untrained = r->energy[Q];
        for (int step = 0; step < 60; step++) {
            gather(r, step);
            codes_update(&r->use, &r->w, &r->dw, 0.8f, &TP_ALONE);
        }
        codes_quantize(&r->t, r->energy, &r->w, r->x, N, &TP_ALONE);
        for (int k = 0; k < Q; k++)                        /* each depth explains some more of what is left */
            assert_true(r->energy[k + 1] < 0.9 * r->energy[k]);
        /* What is left was measured as 0.01 of the vectors' energy, 0.13 with one codebook for all depths; it was 0.46 to 0.67. */
        assert_true(r->energy[Q] < (shared ? 0.2 : 0.02) * r->energy[0] && r->energy[Q] < 0.5 * untrained);
        close_rq(r);
    }
}

/* Whoever has which samples: the gathered counts and candidates are the same bits, the sums are the same numbers. */
static void micro_batches(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        Rq *r = open_rq(shared);
        gather(r, 5);
        float *whole = malloc((size_t)r->table.grads * sizeof *whole);
        memcpy(whole, r->grads, (size_t)r->table.grads * sizeof *whole);
        op.zero(r->grads, r->table.grads);
        for (int first = 0, size; first < B; first += size) {
            size = first == 0 ? 2 : first == 2 ? 1 : 3;
            const CodesDraw draw = { .seed = 8, .step = 5, .global_batch = B, .first = first };
            int32_t start[B + 1];
            for (int b = 0; b <= size; b++)
                start[b] = image_start[first + b] - image_start[first];
            codes_gather(&r->dw, &r->t, r->energy, &r->w, r->x + image_start[first] * P * C, start, size, P, &draw, &TP_ALONE);
        }
        int candidates = 0;
        for (int k = 0; k < (shared ? 1 : Q); k++) {
            const float *table = whole + (r->dw.table[k] - r->grads), *count = whole + (r->dw.count[k] - r->grads);
            const float *sum = whole + (r->dw.sum[k] - r->grads);
            assert_memory_equal(r->dw.count[k], count, S * sizeof(float));
            assert_memory_equal(r->dw.table[k], table, S * C * sizeof(float));
            double total = 0;
            for (int j = 0; j < S; j++) {
                total += count[j];
                candidates += table[j * C] != 0;
            }
            assert_true(total == (shared ? Q * N : N));
            for (int i = 0; i < S * C; i++)
                assert_close(r->dw.sum[k][i], sum[i]);
        }
        assert_in_range(candidates, 1, (shared ? 1 : Q) * S - 1);      /* those of the sample without picture are none */
        free(whole);
        close_rq(r);
    }
}

/* 1, 2 and 4 ranks, each with a gradient of its own, the gradients then added: after the update the codes that started
   again are the same ones with the same bits, and the others are the same numbers (sums of floats in another order). */
static void ranks(void **state)
{
    (void)state;
    float *table[3] = { 0 };
    CodesUse use[3];
    for (int i = 0; i < 3; i++) {
        Rq *r = open_rq(false);
        float *sum = calloc((size_t)r->table.grads, sizeof *sum);
        const int size = 1 << i, *bound = (const int[3][5]){ { 0, B }, { 0, 3, B }, { 0, 2, 3, 4, B } }[i];
        for (int rank = 0; rank < size; rank++) {
            const int first = bound[rank], n = bound[rank + 1] - first;
            const CodesDraw draw = { .seed = 8, .step = 5, .global_batch = B, .first = first };
            int32_t start[B + 1];
            for (int b = 0; b <= n; b++)
                start[b] = image_start[first + b] - image_start[first];
            op.zero(r->grads, r->table.grads);
            codes_gather(&r->dw, &r->t, r->energy, &r->w, r->x + image_start[first] * P * C, start, n, P, &draw, &TP_ALONE);
            op.add_fwd(sum, sum, r->grads, r->table.grads);
        }
        memcpy(r->grads, sum, (size_t)r->table.grads * sizeof *sum);
        codes_update(&use[i], &r->w, &r->dw, 0.8f, &TP_ALONE);
        table[i] = malloc(Q * S * C * sizeof(float));
        for (int k = 0; k < Q; k++)
            memcpy(table[i] + k * S * C, r->w.table[k], S * C * sizeof(float));
        assert_int_equal(use[i].restarts, use[0].restarts);
        assert_memory_equal(use[i].used, use[0].used, sizeof use[0].used);
        for (int k = 0; k < Q; k++)
            assert_true(use[i].perplexity[k] == use[0].perplexity[k]);
        for (int j = 0; j < Q * S * C; j++)
            assert_close(table[i][j], table[0][j]);
        for (int j = 0; j < Q * S; j++)
            if (r->w.count[j / S][j % S] == 1)
                assert_memory_equal(table[i] + j * C, table[0] + j * C, C * sizeof(float));
        free(sum);
        close_rq(r);
    }
    assert_in_range(use[0].restarts, 1, Q * S - 1);
    for (int i = 0; i < 3; i++)
        free(table[i]);
}

/* Each step draws other candidates. */
static void candidates_vary(void **state)
{
    (void)state;
    Rq *r = open_rq(false);
    float first[S * C];
    gather(r, 0);
    memcpy(first, r->dw.table[0], sizeof first);
    assert_memory_not_equal(r->dw.table[0], r->dw.table[1], sizeof first);
    gather(r, 1);
    assert_memory_not_equal(r->dw.table[0], first, sizeof first);
    gather(r, 0);
    assert_memory_equal(r->dw.table[0], first, sizeof first);
    close_rq(r);
}

/* Each of the N vectors becomes a candidate some day: among 2200 draws the rarest is expected 37 times. */
static void every_vector_has_a_chance(void **state)
{
    (void)state;
    Rq *r = open_rq(false);
    bool drawn[N] = { false };
    for (int step = 0; step < 200; step++) {
        gather(r, step);
        for (int i = 0; i < S * N; i++)
            drawn[i / S] |= memcmp(r->x + i / S * C, r->dw.table[0] + i % S * C, C * sizeof(float)) == 0;
    }
    for (int n = 0; n < N; n++)
        assert_true(drawn[n]);
    close_rq(r);
}

/* A step that saw no picture leaves codes that nobody ever met as they were, and everything finite. */
static void nothing_to_learn_from(void **state)
{
    (void)state;
    Rq *r = open_rq(false);
    const size_t bytes = (size_t)r->table.weights * sizeof(float);
    float *before = malloc(bytes);
    const CodesDraw draw = { .seed = 8, .step = 0, .global_batch = 2, .first = 0 };
    memcpy(before, r->weights, bytes);
    codes_gather(&r->dw, &r->t, r->energy, &r->w, r->x, (const int32_t[]){ 0, 0, 0 }, 2, P, &draw, &TP_ALONE);
    codes_update(&r->use, &r->w, &r->dw, 0.99f, &TP_ALONE);
    assert_true(r->use.restarts == 0 && r->use.used[0] == 0 && r->use.perplexity[0] == 1);
    assert_memory_equal(before, r->weights, bytes);
    free(before);
    close_rq(r);
}

static int reference(void **s) { (void)s; ops_use(NULL, 1); return 0; }
static int fast(void **s) { (void)s; ops_use(&OPS_CPU, 1); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(quantizes, reference),             cmocka_unit_test_setup(quantizes, fast),
        cmocka_unit_test_setup(ties_go_to_the_lowest, reference), cmocka_unit_test_setup(ties_go_to_the_lowest, fast),
        cmocka_unit_test_setup(averages_and_restarts, reference), cmocka_unit_test_setup(averages_and_restarts, fast),
        cmocka_unit_test_setup(learns, reference),                cmocka_unit_test_setup(learns, fast),
        cmocka_unit_test_setup(micro_batches, reference),         cmocka_unit_test_setup(micro_batches, fast),
        cmocka_unit_test_setup(ranks, reference),                 cmocka_unit_test_setup(ranks, fast),
        cmocka_unit_test_setup(candidates_vary, reference),       cmocka_unit_test_setup(every_vector_has_a_chance, fast),
        cmocka_unit_test_setup(nothing_to_learn_from, reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
