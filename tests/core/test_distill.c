/* test_distill.c -- stage tokenizer with a tower of its own: every term against double loops, every gradient against
   finite differences of the loss with the codes held, and what must stay as it is */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/distill.h"
#include "tests/core/model_case.h"
#include "tests/core/op_values.h"

/* What is asked of a case: blocks of the two kinds of codes (0: no appearance), the weight of the pooled term. */
typedef struct { int semantic, appearance; float pool; bool shared, clip; } Want;

static const Want wants[] = { { -2, -3, 1.5f, false, false }, { -2, 0, 1, true, false }, { -1, -2, 1, true, false }, { -2, -3, 0, false, false },
                              { -1, -3, 0, false, true } };
enum { WANTS = sizeof wants / sizeof *wants, Q = 3, P = 9, CV = 12, ROWS = CASE_I * P };

static void open_case(Model *m, Tape *tape, BatchCase *c, const Want *w, const char *trainable)
{
    const char *all = w->appearance ? "codes,app_codes,tokenizer" : "codes,tokenizer";
    ModelConf conf = case_conf(STAGE_TOKENIZER, trainable ? trainable : all);
    conf.codes_layer[SEMANTIC] = w->semantic;
    conf.codes_layer[APPEARANCE] = w->appearance;
    conf.codes_shared = w->shared;
    conf.own_tower = true;
    case_kind(&conf, w->clip ? CASE_CLIP : 0);
    conf.distill = 5, conf.distill_pool = w->pool, conf.commit = 4;
    case_batch(c, false);
    assert_true(case_open(m, tape, &conf, &TP_ALONE));
    case_shake(m, 0.1f);                                   /* the two towers are two then */
}

/* ---- the loss by double loops over the towers' features ---- */

/* What a derivative holds: the frozen tower's outputs, and for each kind of codes the q_k and q_Q - z. */
typedef struct { float z0[ROWS * CV], p0[CASE_I * CV]; double q[BRANCHES][Q][ROWS * CV]; float off[ROWS * CV]; } Held;
typedef struct { double distill, pooled, commit, loss; } Terms;

static void hold_codes(Held *h, const Model *m, int branch, const float *z)
{
    const Codes *w = &m->w.codes[branch];
    for (int n = 0; n < ROWS; n++)
        for (int k = 0; k < Q; k++) {
            const float *e = w->table[w->shared ? 0 : k];
            const double *q = k ? h->q[branch][k - 1] + n * CV : NULL;
            double least = INFINITY;
            int best = 0;
            for (int j = 0; j < w->S; j++) {
                double d = 0;
                for (int i = 0; i < CV; i++)
                    d += pow(z[n * CV + i] - (q ? q[i] : 0) - e[j * CV + i], 2);
                if (d < least)
                    least = d, best = j;
            }
            for (int i = 0; i < CV; i++)
                h->q[branch][k][n * CV + i] = (q ? q[i] : 0) + e[best * CV + i];
        }
}

static double mean_square(const float *x, const float *y, const double *z, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += pow(x[i] - (y ? y[i] : z[i]), 2);
    return sum / n;
}

/* The loss with what is in h held; first: what is in h is taken from here. */
static Terms terms(Model *m, Tape *tape, const Batch *b, Held *h, bool first)
{
    const int late = m->code_layers[SEMANTIC], L = m->w.tower.enc.d.L;
    Terms t = { 0 };
    if (first) {
        vision_embed(&tape->vision, &m->w.vision, b->pixels, CASE_I, m->tp);
        memcpy(h->z0, vision_forward(&tape->vision, &m->w.vision, 0, late, CASE_I, m->tp), sizeof h->z0);
        if (m->c.distill_pool > 0)
            memcpy(h->p0, pool_forward(&tape->pool, &m->w.pool, vision_forward(&tape->vision, &m->w.vision, late, L, CASE_I, m->tp),
                                       &m->w.vision, CASE_I, m->tp), sizeof h->p0);
    }
    vision_embed(&tape->tower, &m->w.tower, b->pixels, CASE_I, m->tp);
    float *z = NULL;
    for (int k = BRANCHES - 1, at = 0; k >= 0; at = m->code_layers[k--]) {
        if (!m->code_layers[k])
            continue;
        z = vision_forward(&tape->tower, &m->w.tower, at, m->code_layers[k], CASE_I, m->tp);
        if (first)
            hold_codes(h, m, k, z);
        for (int q = 0; q < Q; q++)
            t.commit += mean_square(z, NULL, h->q[k][q], ROWS * CV) / Q;
    }
    t.distill = mean_square(z, h->z0, NULL, ROWS * CV);
    for (int i = 0; i < ROWS * CV; i++) {
        h->off[i] = first ? (float)(h->q[SEMANTIC][Q - 1][i] - z[i]) : h->off[i];
        z[i] += h->off[i];
    }
    if (m->c.distill_pool > 0)
        t.pooled = mean_square(pool_forward(&tape->pool, &m->w.pool, vision_forward(&tape->tower, &m->w.tower, late, L, CASE_I, m->tp),
                                            &m->w.tower, CASE_I, m->tp), h->p0, NULL, CASE_I * CV);
    t.loss = m->c.distill * t.distill + m->c.distill_pool * t.pooled + m->c.commit * t.commit;
    return t;
}

/* The features are floats, the loops and the model's sums are double: 1e-5 is fifty roundings of the float residuals. */
static void assert_close(double got, double want) { assert_true(fabs(got - want) <= 1e-5 * (1e-3 + fabs(want))); }

static void values(void **s)
{
    (void)s;
    for (int i = 0; i < WANTS; i++) {
        Model m;
        Tape tape;
        BatchCase c;
        Held h;
        open_case(&m, &tape, &c, &wants[i], NULL);
        const Terms t = terms(&m, &tape, &c.batch, &h, true);
        for (int train = 0; train < 2; train++) {
            Losses global = { 0 }, sum = { 0 };
            model_count(&m, &tape, &c.batch, &global);
            m.c.train = train;
            model_forward(&m, &tape, &c.batch, &global, &sum);
            assert_true(global.n_distill == CASE_I && sum.n_distill == CASE_I);
            assert_close(sum.distill / CASE_I, t.distill);
            assert_close(sum.pooled / CASE_I, t.pooled);
            assert_close(sum.commit / CASE_I, t.commit);
            assert_close(model_loss(&m, &sum), t.loss);
            assert_close(model_visual_loss(&m, &sum), t.distill);
        }
        assert_true(t.distill > 1e-3 && t.commit > 1e-2 && (t.pooled > 1e-3) == (wants[i].pool > 0));
        case_close(&m, &tape);
    }
}

/* Along each tensor's gradient, made unit, with some noise: as in test_model.c, where the tolerance has its reason. */
static void check_slope(Model *m, Tape *tape, const Batch *b, Held *h, const Param *p, const float *grad, int number)
{
    float *w = m->weights + p->offset, *keep = malloc((size_t)p->count * sizeof *keep);
    memcpy(keep, w, (size_t)p->count * sizeof *keep);
    double size = sqrt(op_sumsq(&op, grad, p->count)), along = 0, loss[2];
    const double step = fmin(2e-2, 2e-2 / (size + 1e-12));
    for (int side = 0; side < 2; side++) {
        for (int64_t e = 0; e < p->count; e++) {
            const double noise = 0.3 * rng_normal(4, (uint64_t)number, (uint64_t)e) / sqrt((double)p->count);
            const double dir = grad[e] / (size + 1e-12) + noise;
            w[e] = keep[e] + (float)((side ? -1 : 1) * step * dir);
            along += side ? 0 : dir * grad[e];
        }
        loss[side] = terms(m, tape, b, h, false).loss;
    }
    memcpy(w, keep, (size_t)p->count * sizeof *keep);
    free(keep);
    const double slope = (loss[0] - loss[1]) / (2 * step);
    if (fabs(slope - along) > 1e-2 * fabs(along) + 2e-4)
        fail_msg("%s: gradient along the direction %.6g, finite difference %.6g", p->name, along, slope);
}

static void gradients(void **s)
{
    (void)s;
    for (int i = 0; i < WANTS; i++) {
        Model m;
        Tape tape;
        BatchCase c;
        Held h;
        open_case(&m, &tape, &c, &wants[i], NULL);
        op.zero(m.grads, m.table.grads);
        case_loss(&m, &tape, &c.batch, true, NULL);
        terms(&m, &tape, &c.batch, &h, true);
        int checked = 0;
        for (int n = 0; n < m.table.n; n++) {
            const Param *p = &m.table.p[n];
            if (p->grad < 0 || (p->flags & STATE))
                continue;
            assert_true(param_in_part(p, "tokenizer"));
            check_slope(&m, &tape, &c.batch, &h, p, m.grads + p->grad, n);
            checked++;
        }
        assert_int_equal(checked, (wants[i].clip ? 5 : 3) + 16 * m.w.tower.enc.d.L);     /* patches, positions, what CLIP has; blocks */
        case_close(&m, &tape);
    }
}

/* ---- the door, micro-batches, frozen parts ---- */

typedef struct { const Model *m; int *heard; float *seen; } Ear;
static void hear(void *ctx, int first, int last)
{
    Ear *ear = ctx;
    for (int i = first; i < last; i++) {
        const Param *p = &ear->m->table.p[i];
        ear->heard[i]++;
        if (p->grad >= 0)
            memcpy(ear->seen + p->grad, ear->m->grads + p->grad, (size_t)p->count * sizeof(float));
    }
}

/* Every trainable tensor once, and final then; without a picture, too. */
static void door(void **s)
{
    (void)s;
    for (int i = 0; i < 2 * WANTS; i++) {
        Model m;
        Tape tape;
        BatchCase c;
        open_case(&m, &tape, &c, &wants[i / 2], NULL);
        static const int32_t none[CASE_B + 1];
        if (i % 2)
            c.batch.I = 0, c.batch.image_start = none;
        Ear ear = { &m, calloc((size_t)m.table.n, sizeof(int)), calloc((size_t)m.table.grads, sizeof(float)) };
        OnGrad g = { hear, &ear };
        case_loss(&m, &tape, &c.batch, true, &g);
        for (int n = 0; n < m.table.n; n++)
            assert_true(ear.heard[n] == (m.table.p[n].grad >= 0));
        assert_memory_equal(ear.seen, m.grads, (size_t)m.table.grads * sizeof(float));
        assert_true((op_sumsq(&op, m.grads, m.table.grads) > 0) == (i % 2 == 0));
        free(ear.heard);
        free(ear.seen);
        case_close(&m, &tape);
    }
}

/* Sequence by sequence gives the gradients, and the codebooks' statistics, of the whole. */
static void accumulation(void **s)
{
    (void)s;
    Model m;
    Tape tape;
    BatchCase c;
    open_case(&m, &tape, &c, &wants[0], NULL);
    op.zero(m.grads, m.table.grads);
    const double whole = case_loss(&m, &tape, &c.batch, true, NULL);
    const size_t bytes = (size_t)m.table.grads * sizeof(float);
    float *grads = malloc(bytes);
    memcpy(grads, m.grads, bytes);
    op.zero(m.grads, m.table.grads);
    Losses global = { 0 }, sum = { 0 };
    model_count(&m, &tape, &c.batch, &global);
    for (int b = 0; b < CASE_B; b++) {
        const int first = c.image_start[b];
        const int32_t token_start[2] = { 0, 8 }, image_start[2] = { 0, c.image_start[b + 1] - first };
        Batch one = { .B = 1, .I = image_start[1], .M = 8, .tokens = c.tokens + 8 * b, .labels = c.labels + 8 * b,
                      .token_start = token_start, .image_start = image_start, .pixels = c.pixels + first * 507,
                      .sample = c.sample + b, .first = b, .global_batch = CASE_B };
        model_forward(&m, &tape, &one, &global, &sum);
        model_backward(&m, &tape, &one, NULL);
    }
    assert_true(fabs(model_loss(&m, &sum) - whole) < 1e-6 * whole);
    double off = 0;
    for (int64_t e = 0; e < m.table.grads; e++)
        off += pow(m.grads[e] - grads[e], 2);
    assert_true(sqrt(off) < 1e-5 * sqrt(op_sumsq(&op, grads, m.table.grads)));      /* float sums in another order */
    free(grads);
    case_close(&m, &tape);
}

/* The codebooks alone, the tower alone: what is frozen has no gradient, and what learns has the same as with both. */
static void parts_alone(void **s)
{
    (void)s;
    Model both, alone;
    Tape all, one;
    BatchCase c;
    open_case(&both, &all, &c, &wants[1], NULL);
    case_loss(&both, &all, &c.batch, true, NULL);
    for (int i = 0; i < 2; i++) {
        const char *part = i ? "tokenizer" : "codes";
        open_case(&alone, &one, &c, &wants[1], part);
        case_loss(&alone, &one, &c.batch, true, NULL);
        for (int n = 0; n < both.table.n; n++) {
            const Param *p = &both.table.p[n], *q = &alone.table.p[n];
            assert_true((q->grad >= 0) == param_in_part(p, part));
            if (q->grad >= 0)
                assert_memory_equal(both.grads + p->grad, alone.grads + q->grad, (size_t)p->count * sizeof(float));
        }
        case_close(&alone, &one);
    }
    case_close(&both, &all);
}

/* ---- learning ---- */

static void starts_as_a_copy(void **s)
{
    (void)s;
    Model m;
    Tape tape;
    BatchCase c;
    open_case(&m, &tape, &c, &wants[0], NULL);
    distill_start(&m);
    const Vision *t = &m.w.tower, *v = &m.w.vision;
    assert_memory_equal(t->pos, v->pos, P * CV * sizeof(float));
    assert_memory_equal(t->enc.block[2].w2.w, v->enc.block[2].w2.w, CV * 20 * sizeof(float));
    Losses global = { 0 }, sum = { 0 };
    model_count(&m, &tape, &c.batch, &global);
    model_forward(&m, &tape, &c.batch, &global, &sum);
    assert_true(sum.distill == 0 && sum.commit > 0 && sum.pooled > 0);
    case_close(&m, &tape);
}

/* Some steps on one batch: each term falls, to the shares measured (0.034, 0.001, 0.049) and some room; frozen parts stay. */
static void learns(void **s)
{
    (void)s;
    Model m;
    Tape tape;
    BatchCase c;
    open_case(&m, &tape, &c, &wants[1], NULL);
    const size_t bytes = (size_t)m.table.weights * sizeof(float);
    float *before = malloc(bytes), *moments = calloc((size_t)m.table.grads * 2, sizeof *moments);
    Losses global = { 0 }, first = { 0 }, last = { 0 };
    memcpy(before, m.weights, bytes);
    model_count(&m, &tape, &c.batch, &global);
    for (int step = 1; step <= 150; step++) {
        CodesUse use;
        c.batch.step = step;
        op.zero(m.grads, m.table.grads);
        last = (Losses){ 0 };
        model_forward(&m, &tape, &c.batch, &global, &last);
        model_backward(&m, &tape, &c.batch, NULL);
        first = step > 1 ? first : last;
        for (int i = 0; i < m.table.n; i++) {
            const Param *p = &m.table.p[i];
            if (p->grad >= 0 && !(p->flags & STATE))
                op.adamw(m.weights + p->offset, moments + p->grad, moments + m.table.grads + p->grad, m.grads + p->grad,
                         p->count, 3e-3f, 0.9f, 0.95f, 1e-8f, 0, step, 1);
        }
        codes_update(&use, &m.w.codes[SEMANTIC], &m.dw.codes[SEMANTIC], 0.9f, m.tp);
    }
    assert_true(last.distill < 0.1 * first.distill && last.pooled < 0.02 * first.pooled && last.commit < 0.15 * first.commit);
    for (int i = 0; i < m.table.n; i++) {
        const Param *p = &m.table.p[i];
        const int moved = memcmp(before + p->offset, m.weights + p->offset, (size_t)p->count * sizeof(float));
        assert_true(!moved == (p->grad < 0));
    }
    free(before);
    free(moments);
    case_close(&m, &tape);
}

static int reference(void **s) { (void)s; ops_use(NULL, 1); return 0; }
static int fast(void **s) { (void)s; ops_use(&OPS_CPU, 1); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(values, reference),      cmocka_unit_test_setup(values, fast),
        cmocka_unit_test_setup(gradients, reference),   cmocka_unit_test_setup(gradients, fast),
        cmocka_unit_test_setup(door, reference),        cmocka_unit_test_setup(accumulation, reference),
        cmocka_unit_test_setup(parts_alone, fast),      cmocka_unit_test_setup(starts_as_a_copy, reference),
        cmocka_unit_test_setup(learns, fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
