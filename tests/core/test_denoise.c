/* test_denoise.c -- the denoising head: its noise, its gradients against finite differences, and what must not matter */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/denoise.h"
#include "core/ops.h"
#include "core/rng.h"
#include "tests/core/op_values.h"

enum { C = 10, CV = 7, E = 12, DRAWS = 3, IMAGES = 4, MOST = 20 };

/* Four images of at most 5 patches: whole, cut short, cut off, cut short. */
static const int32_t START[IMAGES + 1] = { 0, 5, 8, 8, 12 };
static const int64_t FIRST_KEY[IMAGES] = { 100, 105, 110, 700 };

typedef struct {
    Params      table;
    Denoiser    w, dw;
    DenoiseTape t;
    Arena       arena;
    float      *weights, *grads;
    float       g[MOST * C], z[MOST * CV], dg[MOST * C];
    int64_t     key[MOST];
    int32_t     start[IMAGES + 1];
    int         n;
} Head;

static const NoiseDraw DRAW = { .seed = 6, .step = 11 };

static void lay_head(Head *h)
{
    h->weights = TAKE(&h->arena, float, h->table.weights);
    h->grads   = TAKE(&h->arena, float, h->table.grads);
    denoise_tape(&h->t, &h->arena, &h->w, MOST, IMAGES, &TP_ALONE);
}

/* Rows that depend on the key alone, like hidden rows and features of a patch. */
static void fill_rows(Head *h, int n, const int32_t *start, const int64_t *first_key)
{
    h->n = n;
    memcpy(h->start, start, (size_t)(n + 1) * sizeof *start);
    for (int i = 0; i < n; i++)
        for (int m = start[i]; m < start[i + 1]; m++) {
            h->key[m] = first_key[i] + m - start[i];
            for (int c = 0; c < C; c++)
                h->g[m * C + c] = (float)rng_normal(1, 2, (uint64_t)(h->key[m] * C + c));
            for (int c = 0; c < CV; c++)
                h->z[m * CV + c] = 3 + 2 * (float)rng_normal(1, 3, (uint64_t)(h->key[m] * CV + c));
        }
}

/* shake: how far the weights are from their tidy initial values, so that no gradient is zero by symmetry. */
static Head *open_head(const char *trainable, float shake)
{
    Head *h = calloc(1, sizeof *h);
    h->arena.name = "test";
    h->w.d = h->dw.d = (DenoiseDims){ .C = C, .Cv = CV, .E = E, .F = 16, .H = 2, .L = 2, .draws = DRAWS, .eps = 1e-6f };
    Binder b = binder_declare(&h->table, &TP_ALONE);
    denoise_params(&h->w, &b);
    assert_true(params_seal(&h->table, trainable));
    lay_head(h);
    arena_alloc(&h->arena);
    lay_head(h);
    b = binder_weights(&h->table, h->weights);
    denoise_params(&h->w, &b);
    b = binder_grads(&h->table, h->grads);
    denoise_params(&h->dw, &b);
    for (int i = 0; i < h->table.n; i++) {
        const Param *p = &h->table.p[i];
        params_init(&h->table, i, h->weights, 3);
        for (int64_t e = 0; e < p->count; e++)
            h->weights[p->offset + e] += shake * (float)rng_normal(9, rng_stream(p->name), (uint64_t)e);
    }
    fill_rows(h, IMAGES, START, FIRST_KEY);
    return h;
}

static void close_head(Head *h)
{
    arena_free(&h->arena);
    params_free(&h->table);
    free(h);
}

static double loss_of(Head *h, const NoiseDraw *draw)
{
    return denoise_forward(NULL, &h->t, &h->w, h->g, h->z, h->start[h->n], h->n, h->start, h->key, draw, 0, &TP_ALONE);
}

/* Adds to h->grads, overwrites h->dg. */
static double slope_of(Head *h, const NoiseDraw *draw, float scale, const OnGrad *door)
{
    const int64_t M = h->start[h->n];
    double loss = denoise_forward(&h->dw, &h->t, &h->w, h->g, h->z, M, h->n, h->start, h->key, draw, scale, &TP_ALONE);
    denoise_backward(h->dg, &h->dw, &h->t, &h->w, h->g, M, h->n, &TP_ALONE, door);
    return loss;
}

/*
 * Central differences along a tensor's own gradient, made unit, with some noise.  The rounding error of a float forward
 * pass (1e-6 of a loss of order 10) and the truncation error of a step of 1e-2 are both below 1e-2 of the derivative; a
 * wrong or missing term is of order 1.
 */
static void check_slope(Head *h, float *x, const float *grad, int64_t n, const char *what)
{
    float *keep = malloc((size_t)n * sizeof *keep);
    double along = 0, loss[2];
    memcpy(keep, x, (size_t)n * sizeof *keep);
    const double size = sqrt(op_sumsq(&OPS_REF, grad, n)), h1 = fmin(1e-2, 1e-2 / (size + 1e-12));
    for (int side = 0; side < 2; side++) {
        for (int64_t e = 0; e < n; e++) {
            double dir = grad[e] / (size + 1e-12) + 0.3 * rng_normal(4, rng_stream(what), (uint64_t)e) / sqrt((double)n);
            x[e] = keep[e] + (float)((side ? -1 : 1) * h1 * dir);
            along += side ? 0 : dir * grad[e];
        }
        loss[side] = loss_of(h, &DRAW);
    }
    memcpy(x, keep, (size_t)n * sizeof *keep);
    free(keep);
    const double fd = (loss[0] - loss[1]) / (2 * h1);
    if (fabs(fd - along) > 1e-2 * fabs(along) + 5e-4)
        fail_msg("%s: gradient along the direction %.6g, finite difference %.6g", what, along, fd);
}

static void gradients(void **s)
{
    (void)s;
    Head *h = open_head("denoiser", 0.2f);
    slope_of(h, &DRAW, 1, NULL);
    for (int i = 0; i < h->table.n; i++) {
        const Param *p = &h->table.p[i];
        check_slope(h, h->weights + p->offset, h->grads + p->grad, p->count, p->name);
        const bool shift = strstr(p->name, "attn.bk");                 /* the same for all keys: no effect on softmax */
        assert_true(shift || op_sumsq(&OPS_REF, h->grads + p->grad, p->count) > 1e-6);
    }
    check_slope(h, h->g, h->dg, (int64_t)h->start[h->n] * C, "hidden rows");
    assert_int_equal(h->table.n, 12 + 2 * 16);
    close_head(h);
}

/* The gradients are linear in scale and add up; a frozen head passes the same gradient on. */
static void scale_and_frozen(void **s)
{
    (void)s;
    Head *h = open_head("denoiser", 0.2f), *frozen = open_head("", 0.2f);
    slope_of(h, &DRAW, 1, NULL);
    const double once = op_sumsq(&OPS_REF, h->grads, h->table.grads);
    slope_of(h, &DRAW, -0.5f, NULL);
    assert_true(fabs(op_sumsq(&OPS_REF, h->grads, h->table.grads) / once - 0.25) < 1e-5);
    assert_int_equal(frozen->table.grads, 0);
    slope_of(frozen, &DRAW, -0.5f, NULL);
    assert_memory_equal(frozen->dg, h->dg, 12 * C * sizeof(float));
    assert_true(op_sumsq(&OPS_REF, h->dg, 12 * C) > 0);
    close_head(h), close_head(frozen);
}

static double off_by(const float *a, const float *b, int64_t n)
{
    double off = 0, norm = 0;
    for (int64_t i = 0; i < n; i++)
        off += pow((double)a[i] - b[i], 2), norm += pow(b[i], 2);
    return sqrt(off / norm);
}

/* One image a call, or all in another order: the same losses and gradients, up to float sums in another order. */
static void packing_does_not_matter(void **s)
{
    (void)s;
    static const int back[3] = { 3, 1, 0 };
    Head *whole = open_head("denoiser", 0.2f), *single = open_head("denoiser", 0.2f), *turned = open_head("denoiser", 0.2f);
    const double loss = slope_of(whole, &DRAW, 0.1f, NULL);
    double sum = 0;
    for (int i = 0; i < IMAGES; i++) {
        const int32_t start[2] = { 0, START[i + 1] - START[i] };
        fill_rows(single, 1, start, FIRST_KEY + i);
        sum += slope_of(single, &DRAW, 0.1f, NULL);
        for (int c = 0; c < start[1] * C; c++)
            assert_float_equal(single->dg[c], whole->dg[START[i] * C + c], 1e-5);
    }
    int32_t start[4] = { 0 };
    int64_t key[3];
    for (int i = 0; i < 3; i++) {
        start[i + 1] = start[i] + START[back[i] + 1] - START[back[i]];
        key[i] = FIRST_KEY[back[i]];
    }
    fill_rows(turned, 3, start, key);
    assert_true(fabs(slope_of(turned, &DRAW, 0.1f, NULL) / loss - 1) < 1e-6 && fabs(sum / loss - 1) < 1e-6);
    assert_true(off_by(single->grads, whole->grads, whole->table.grads) < 1e-5);
    assert_true(off_by(turned->grads, whole->grads, whole->table.grads) < 1e-5);
    close_head(whole), close_head(single), close_head(turned);
}

/* Rows cut from an image's end take nothing from the noise of the others, and t stays. */
static void cut_short(void **s)
{
    (void)s;
    Head *h = open_head("denoiser", 0.2f);
    static const int32_t all[2] = { 0, 5 }, some[2] = { 0, 3 }, none[2] = { 0, 0 };
    float noise[DRAWS][5 * CV];
    int32_t time[DRAWS];
    fill_rows(h, 1, all, FIRST_KEY);
    const double loss = loss_of(h, &DRAW);
    memcpy(time, h->t.time, sizeof time);
    memcpy(noise, h->t.noise, sizeof noise);
    fill_rows(h, 1, some, FIRST_KEY);
    const double less = loss_of(h, &DRAW);
    assert_true(less > 0.2 * loss && less < 0.9 * loss);
    assert_memory_equal(h->t.time, time, sizeof time);
    for (int k = 0; k < DRAWS; k++)
        assert_memory_equal(h->t.noise + 3 * CV * k, noise[k], 3 * CV * sizeof(float));
    fill_rows(h, 1, none, FIRST_KEY);
    assert_true(slope_of(h, &DRAW, 1, NULL) == 0 && op_sumsq(&OPS_REF, h->grads, h->table.grads) == 0);
    close_head(h);
}

/* Draws are numbered by the formulas of denoise.h, and moments are those of the distributions. */
static void noise_and_steps(void **s)
{
    (void)s;
    Head *h = open_head("denoiser", 0);
    double t1 = 0, t2 = 0, e1 = 0, e2 = 0, pair = 0;
    int steps = 0, numbers = 0;
    for (int64_t step = 0; step < 400; step++) {
        loss_of(h, &(NoiseDraw){ .seed = 8, .step = step });
        for (int b = 0; b < IMAGES * DRAWS; b++) {
            const int rows = h->t.start[b + 1] - h->t.start[b], i = b / DRAWS;
            if (rows == 0)
                continue;
            const uint64_t nth = (uint64_t)(step * DRAWS + b % DRAWS), when = rng_bits(8, rng_stream("denoise.time"), nth);
            const int t = h->t.time[b];
            assert_int_equal(t, 1 + (int)(1000 * rng_uniform(8, when, (uint64_t)FIRST_KEY[i])));
            t1 += t, t2 += (double)t * t, steps++;
        }
        for (int r = 0; r < 12 * DRAWS; r++)
            for (int c = 0; c < CV; c++, numbers++) {
                const double e = h->t.noise[r * CV + c];
                e1 += e, e2 += e * e, pair += e * h->t.noise[(r ? r - 1 : 35) * CV + c];
            }
    }
    const double var = (1e6 - 1) / 12, mean = t1 / steps;              /* 5 standard deviations of each mean */
    assert_true(fabs(mean - 500.5) < 5 * sqrt(var / steps));
    assert_true(fabs(t2 / steps - mean * mean - var) < 5 * var / sqrt(steps));
    assert_true(fabs(e1 / numbers) < 5 / sqrt(numbers) && fabs(pair / numbers) < 5 / sqrt(numbers));
    assert_true(fabs(e2 / numbers - 1) < 5 * sqrt(2.0 / numbers));
    const uint64_t a = rng_bits(8, rng_stream("denoise.noise"), 399 * DRAWS + 2);
    const int row = DRAWS * 8 + 2 * 4 + 1;                             /* the last image, draw 2, patch 1 */
    assert_true(h->t.noise[row * CV + 5] == (float)rng_normal(8, a, 701 * CV + 5));
    for (int b = 0; b < IMAGES * DRAWS; b++)
        for (int j = 0; j < E / 2; j++) {
            const double angle = h->t.time[b] * pow(10000, -2.0 * j / E);
            assert_float_equal(h->t.wave[b * E + j], cos(angle), 1e-6);
            assert_float_equal(h->t.wave[b * E + E / 2 + j], sin(angle), 1e-6);
        }
    close_head(h);
}

/* abar against the product of 1 - beta, each beta at most 0.999; x_t of unit variance mixes as it says. */
static void schedule(void **s)
{
    (void)s;
    const double quarter = acos(-1) / 2;
    double product = 1;
    assert_true(denoise_kept(0) == 1);
    for (int t = 1; t <= DENOISE_STEPS; t++) {
        double now = pow(cos((t / 1000.0 + 0.008) / 1.008 * quarter), 2);
        double before = pow(cos(((t - 1) / 1000.0 + 0.008) / 1.008 * quarter), 2);
        product *= 1 - fmin(1 - now / before, 0.999);
        assert_true(fabs(denoise_kept(t) / product - 1) < 1e-9);       /* 1000 roundings of 1e-16, cos near 0 */
        assert_true(denoise_kept(t) > 0 && denoise_kept(t) < denoise_kept(t - 1));
    }
    Head *h = open_head("denoiser", 0.2f);
    loss_of(h, &DRAW);
    for (int r = 0; r < 12 * DRAWS; r++) {
        const int m = h->t.source[r], b = h->t.sequence[r];
        const double kept = denoise_kept(h->t.time[b]);
        double mean = 0, var = 0;
        assert_true(r >= h->t.start[b] && r < h->t.start[b + 1] && m - START[b / DRAWS] == r - h->t.start[b]);
        for (int c = 0; c < CV; c++)
            mean += h->z[m * CV + c] / CV;
        for (int c = 0; c < CV; c++)
            var += pow(h->z[m * CV + c] - mean, 2) / CV;
        for (int c = 0; c < CV; c++)
            assert_float_equal(h->t.noisy[r * CV + c], sqrt(kept) * (h->z[m * CV + c] - mean) / sqrt(var + 1e-6)
                                                           + sqrt(1 - kept) * h->t.noise[r * CV + c], 1e-5);
    }
    close_head(h);
}

/* A new head guesses 0: the loss is the noise's own variance, 1 up to sqrt(2 / numbers). */
static void starts_at_one(void **s)
{
    (void)s;
    Head *h = open_head("denoiser", 0);
    const int rows = 12, numbers = rows * DRAWS * CV;
    const double loss = loss_of(h, &DRAW), energy = op_sumsq(&OPS_REF, h->t.noise, numbers) / numbers;
    assert_true(fabs(loss / rows - energy) < 1e-6);
    assert_true(fabs(energy - 1) < 5 * sqrt(2.0 / numbers));
    close_head(h);
}

/* AdamW on one batch, with new noise each step: what is learned is to denoise, not the noise. */
static void overfit(void **s)
{
    (void)s;
    Head *h = open_head("denoiser", 0);
    const int64_t n = h->table.grads;
    float *m = calloc((size_t)n, sizeof *m), *v = calloc((size_t)n, sizeof *v);
    double first = 0, last = 0;
    for (int step = 0; step < 150; step++) {
        op.zero(h->grads, n);
        const double loss = slope_of(h, &(NoiseDraw){ 2, step }, 1.f / 12, NULL) / 12;
        first += step < 10 ? loss / 10 : 0;
        last += step >= 120 ? loss / 30 : 0;
        op.adamw(h->weights, m, v, h->grads, n, 1e-2f, 0.9f, 0.99f, 1e-8f, 0, step + 1, 1);
    }
    if (!(first > 0.7 && last < 0.5 * first))
        fail_msg("the loss went from %g to %g", first, last);
    free(m), free(v);
    close_head(h);
}

/* The door hears every parameter once, and what it heard is final then. */
typedef struct { const Head *h; int heard[64]; float *seen; } Ear;
static void hear(void *ctx, int first, int last)
{
    Ear *ear = ctx;
    for (int i = first; i < last; i++) {
        const Param *p = &ear->h->table.p[i];
        ear->heard[i]++;
        memcpy(ear->seen + p->grad, ear->h->grads + p->grad, (size_t)p->count * sizeof(float));
    }
}

static void door_hears(void **s)
{
    (void)s;
    Head *h = open_head("denoiser", 0.2f);
    Ear ear = { .h = h, .seen = calloc((size_t)h->table.grads, sizeof(float)) };
    slope_of(h, &DRAW, 1, &(OnGrad){ hear, &ear });
    for (int i = 0; i < h->table.n; i++)
        assert_int_equal(ear.heard[i], 1);
    assert_memory_equal(ear.seen, h->grads, (size_t)h->table.grads * sizeof(float));
    free(ear.seen);
    close_head(h);
}

/* The fast ops give the reference's loss and gradients; sums of some hundred floats: 1e-5. */
static void fast_as_reference(void **s)
{
    (void)s;
    Head *want = open_head("denoiser", 0.2f), *got = open_head("denoiser", 0.2f);
    const double loss = slope_of(want, &DRAW, 1, NULL);
    ops_use(&OPS_CPU, 1);
    assert_true(fabs(slope_of(got, &DRAW, 1, NULL) / loss - 1) < 1e-5);
    ops_use(NULL, 1);
    assert_memory_equal(got->t.noise, want->t.noise, 12 * DRAWS * CV * sizeof(float));
    assert_true(off_by(got->grads, want->grads, want->table.grads) < 1e-5);
    assert_true(off_by(got->dg, want->dg, 12 * C) < 1e-5);
    close_head(want), close_head(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients),       cmocka_unit_test(scale_and_frozen), cmocka_unit_test(packing_does_not_matter),
        cmocka_unit_test(cut_short),       cmocka_unit_test(noise_and_steps),  cmocka_unit_test(schedule),
        cmocka_unit_test(starts_at_one),   cmocka_unit_test(overfit),          cmocka_unit_test(door_hears),
        cmocka_unit_test(fast_as_reference),
    };
    ops_use(NULL, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
