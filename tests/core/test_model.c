/* test_model.c -- the whole model: every parameter's gradient against finite differences, and what must not matter */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/model_case.h"
#include "tests/core/op_values.h"

/*
 * Central differences along a direction of each tensor: its gradient, made unit, with some noise.  The truncation
 * error grows with the step's square, the rounding error of a float forward pass (1e-6 of a loss of order 1 to 10)
 * with its inverse; a step that changes the loss by about 0.01 keeps both under 1e-2 of the derivative.  A wrong or
 * missing term in a gradient shows as an error of order 1.
 */
static void check_gradients(Model *m, Tape *t, const Batch *b, const char *what)
{
    op.zero(m->grads, m->table.grads);
    case_loss(m, t, b, true, NULL);
    float *grads = malloc((size_t)m->table.grads * sizeof *grads);
    memcpy(grads, m->grads, (size_t)m->table.grads * sizeof *grads);
    int checked = 0;
    for (int i = 0; i < m->table.n; i++) {
        const Param *p = &m->table.p[i];
        if (p->grad < 0)
            continue;
        float *w = m->weights + p->offset, *keep = malloc((size_t)p->count * sizeof *keep);
        double along = 0, size = 0;
        memcpy(keep, w, (size_t)p->count * sizeof *keep);
        for (int64_t e = 0; e < p->count; e++)
            size += (double)grads[p->grad + e] * grads[p->grad + e];
        size = sqrt(size);
        const double h = fmin(1e-2, 1e-2 / (size + 1e-12));
        double loss[2];
        for (int side = 0; side < 2; side++) {
            for (int64_t e = 0; e < p->count; e++) {
                double g = grads[p->grad + e] / (size + 1e-12);
                double dir = g + 0.3 * rng_normal(4, (uint64_t)i, (uint64_t)e) / sqrt((double)p->count);
                w[e] = keep[e] + (float)((side ? -1 : 1) * h * dir);
                if (side == 0)
                    along += dir * grads[p->grad + e];
            }
            loss[side] = case_loss(m, t, b, false, NULL);
        }
        memcpy(w, keep, (size_t)p->count * sizeof *keep);
        double fd = (loss[0] - loss[1]) / (2 * h);
        if (fabs(fd - along) > 1e-2 * fabs(along) + 2e-4)
            fail_msg("%s: %s: gradient along the direction %.6g, finite difference %.6g", what, p->name, along, fd);
        free(keep);
        checked++;
    }
    free(grads);
    assert_true(checked > 20);
}

static void gradients_of(Stage stage, const char *trainable, int shift, bool one_each)
{
    Model m;
    Tape t;
    BatchCase c;
    ModelConf conf = case_conf(stage, trainable);
    conf.visual_shift = shift;
    case_batch(&c, one_each);
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    check_gradients(&m, &t, &c.batch, trainable);
    case_close(&m, &t);
}

/* Each supervision and each way to vary it; what learns are projector, decoder and the heads that there are. */
static void check_conf(ModelConf conf, const char *what)
{
    Model m;
    Tape t;
    BatchCase c;
    case_batch(&c, false);
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    check_gradients(&m, &t, &c.batch, what);
    case_close(&m, &t);
}

static void supervision_gradients(void **s)
{
    (void)s;
    for (int given = 0; given < 2; given++)
        for (int shift = 0; shift < 2; shift++) {
            ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,app_head");
            conf.supervision = SUPERVISE_APPEARANCE;
            conf.codes_layer[APPEARANCE] = -4;
            conf.codes_given = given ? 6 : 0;
            conf.visual_shift = shift;
            check_conf(conf, "appearance");
            conf.trainable = "projector,decoder,head,app_head";
            conf.supervision = SUPERVISE_BOTH;
            conf.visual_weight /= 2;                       /* two losses: as large together as one in the other cases */
            check_conf(conf, "both");
        }
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,denoiser");
    conf.supervision = SUPERVISE_DENOISING;
    check_conf(conf, "denoising");
}

static void variant_gradients(void **s)
{
    (void)s;
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head");
    conf.head_tied = true;
    check_conf(conf, "tied");
    conf.head_tied = false;
    conf.discrete = true;
    check_conf(conf, "discrete, codes given");
    conf.codes_given = 0;
    check_conf(conf, "discrete, codes made");
    conf.supervision = SUPERVISE_NONE;
    conf.trainable = "projector,decoder";
    check_conf(conf, "discrete alone");
}

static void kind_gradients(void **s)
{
    (void)s;
    for (int i = 0; i < N_CASE_KINDS; i++) {
        char what[32];
        ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head,vision");
        case_kind(&conf, CASE_KINDS[i]);
        snprintf(what, sizeof what, "kind %#x", CASE_KINDS[i]);
        check_conf(conf, what);
    }
}

static void contrast_gradients(void **s) { (void)s; gradients_of(STAGE_CONTRAST, "vision,pool,text,contrast", 0, true); }

/* A pair that lost its picture is no pair: the loss and the gradients are those of the others, to the bit; of a micro-batch
   without any pair nothing comes. */
static void contrast_without_pictures(void **s)
{
    (void)s;
    Model m;
    Tape t;
    BatchCase c;
    ModelConf conf = case_conf(STAGE_CONTRAST, "vision,pool,text,contrast");
    case_batch(&c, true);
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    const int32_t image_start[] = { 0, 1, 1, 2 }, none[] = { 0, 0, 0, 0 };
    Batch b = c.batch;
    b.I = 2, b.image_start = image_start;
    check_gradients(&m, &t, &b, "two pairs of three");
    op.zero(m.grads, m.table.grads);
    const double loss = case_loss(&m, &t, &b, true, NULL);
    float *grads = malloc((size_t)m.table.grads * sizeof *grads);
    memcpy(grads, m.grads, (size_t)m.table.grads * sizeof *grads);
    int32_t *tokens = c.tokens + 8;                     /* the same two pairs alone: the third's text in the second's place */
    memcpy(tokens, c.tokens + 16, 8 * sizeof *tokens);
    Batch two = c.batch;
    two.B = two.I = 2;
    two.M = 16;
    op.zero(m.grads, m.table.grads);
    assert_true(loss == case_loss(&m, &t, &two, true, NULL));
    assert_memory_equal(grads, m.grads, (size_t)m.table.grads * sizeof *grads);
    b.I = 0, b.image_start = none;
    Losses global = { .pairs = 2 }, sum = { 0 };
    model_count(&m, &t, &b, &global);
    model_forward(&m, &t, &b, &global, &sum);
    model_backward(&m, &t, &b, NULL);
    assert_true(global.pairs == 2 && sum.pairs == 0 && sum.contrast == 0);
    assert_memory_equal(grads, m.grads, (size_t)m.table.grads * sizeof *grads);
    free(grads);
    case_close(&m, &t);
}

static void instruct_gradients(void **s) { (void)s; gradients_of(STAGE_INSTRUCT, "projector,decoder,head,vision", 0, false); }
static void shifted_gradients(void **s) { (void)s; gradients_of(STAGE_INSTRUCT, "projector,decoder,head", 1, false); }
static void frozen_gradients(void **s) { (void)s; gradients_of(STAGE_PRETRAIN, "projector,head", 0, false); }

/* The model's gradients are these, but for the order of float sums.  Frees them. */
static void same_gradients(const Model *m, float *want)
{
    double off = 0, norm = 0;
    for (int64_t e = 0; e < m->table.grads; e++) {
        off += pow(m->grads[e] - want[e], 2);
        norm += pow(want[e], 2);
    }
    assert_true(sqrt(off) < 1e-5 * sqrt(norm));
    free(want);
}

/* Two micro-batches give the sum of their gradients: the same as one batch of both. */
static void accumulation(void **s)
{
    (void)s;
    Model m;
    Tape t;
    BatchCase c;
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head");
    case_batch(&c, false);
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    op.zero(m.grads, m.table.grads);
    double whole = case_loss(&m, &t, &c.batch, true, NULL);
    float *grads = malloc((size_t)m.table.grads * sizeof *grads);
    memcpy(grads, m.grads, (size_t)m.table.grads * sizeof *grads);
    op.zero(m.grads, m.table.grads);
    Losses global = { 0 }, sum = { 0 };
    model_count(&m, &t, &c.batch, &global);
    for (int b = 0; b < CASE_B; b++) {
        int32_t token_start[2] = { 0, 8 }, image_start[2] = { 0, c.image_start[b + 1] - c.image_start[b] };
        int first = c.image_start[b];
        Batch one = { .B = 1, .I = image_start[1], .M = 8, .tokens = c.tokens + 8 * b, .labels = c.labels + 8 * b,
                      .token_start = token_start, .image_start = image_start, .pixels = c.pixels + first * 507,
                      .codes = c.codes + first * 27, .sample = c.sample + b, .first = b, .global_batch = CASE_B };
        model_forward(&m, &t, &one, &global, &sum);
        model_backward(&m, &t, &one, NULL);
    }
    assert_true(fabs(model_loss(&m, &sum) - whole) < 1e-6 * whole);
    same_gradients(&m, grads);
    case_close(&m, &t);
}

/* However many rows a head takes at a time, losses and gradients are the same but for the order of float sums. */
static void heads_by_rows(void **s)
{
    (void)s;
    for (int given = 0; given <= 6; given += 6) {
        Model m;
        Tape t;
        BatchCase c;
        ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head,app_head");
        conf.supervision = SUPERVISE_BOTH;
        conf.codes_layer[APPEARANCE] = -4;
        conf.codes_given = given;
        conf.soft_targets = given ? 0.5f : 0;
        case_batch(&c, false);
        assert_true(case_open(&m, &t, &conf, &TP_ALONE));
        case_shake(&m, 0.1f);
        op.zero(m.grads, m.table.grads);
        const double whole = case_loss(&m, &t, &c.batch, true, NULL);
        assert_true(t.visual_rows <= t.head_rows && t.visual_rows > 8);
        float *grads = malloc((size_t)m.table.grads * sizeof *grads);
        memcpy(grads, m.grads, (size_t)m.table.grads * sizeof *grads);
        op.zero(m.grads, m.table.grads);
        t.head_rows = 5;
        assert_true(fabs(case_loss(&m, &t, &c.batch, true, NULL) - whole) < 1e-6 * whole);
        same_gradients(&m, grads);
        case_close(&m, &t);
    }
}

/* Sequences in another order, and one that is longer beside them, change neither losses nor gradients: there is no padding. */
static void order(void **s)
{
    (void)s;
    static const int turned[CASE_B] = { 2, 0, 1 };
    Model m;
    Tape t;
    BatchCase c, d;
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head");
    case_batch(&c, false);
    case_batch(&d, false);
    int images = 0;
    for (int b = 0; b < CASE_B; b++) {
        const int from = turned[b], n = c.image_start[from + 1] - c.image_start[from];
        memcpy(d.tokens + 8 * b, c.tokens + 8 * from, 8 * sizeof *d.tokens);
        memcpy(d.labels + 8 * b, c.labels + 8 * from, 8 * sizeof *d.labels);
        memcpy(d.pixels + images * 507, c.pixels + c.image_start[from] * 507, (size_t)n * 507);
        memcpy(d.codes + images * 27, c.codes + c.image_start[from] * 27, (size_t)n * 27 * sizeof *d.codes);
        d.image_start[b + 1] = images += n;
    }
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    op.zero(m.grads, m.table.grads);
    const double loss = case_loss(&m, &t, &c.batch, true, NULL);
    float *grads = malloc((size_t)m.table.grads * sizeof *grads);
    memcpy(grads, m.grads, (size_t)m.table.grads * sizeof *grads);
    op.zero(m.grads, m.table.grads);
    assert_true(fabs(case_loss(&m, &t, &d.batch, true, NULL) - loss) < 1e-6 * loss);
    same_gradients(&m, grads);
    case_close(&m, &t);
}

/* The door hears every trainable parameter once, and what it heard is final then. */
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

static void door_hears(ModelConf conf, bool one_each)
{
    Model m;
    Tape t;
    BatchCase c;
    case_batch(&c, one_each);
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    Ear ear = { &m, calloc((size_t)m.table.n, sizeof(int)), calloc((size_t)m.table.grads, sizeof(float)) };
    OnGrad door = { hear, &ear };
    case_loss(&m, &t, &c.batch, true, &door);
    for (int i = 0; i < m.table.n; i++)
        if (m.table.p[i].grad >= 0)
            assert_int_equal(ear.heard[i], 1);
    assert_memory_equal(ear.seen, m.grads, (size_t)m.table.grads * sizeof(float));
    free(ear.heard), free(ear.seen);
    case_close(&m, &t);
}

static void door(void **s)
{
    (void)s;
    door_hears(case_conf(STAGE_INSTRUCT, "projector,decoder,head,vision"), false);
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head,app_head");
    conf.supervision = SUPERVISE_BOTH;
    conf.codes_layer[APPEARANCE] = -4;
    conf.codes_given = 6;
    door_hears(conf, false);
    conf = case_conf(STAGE_INSTRUCT, "projector,decoder,denoiser");
    conf.supervision = SUPERVISE_DENOISING;
    door_hears(conf, false);
    for (int i = 0; i < N_CASE_KINDS; i++) {
        conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head,vision");
        case_kind(&conf, CASE_KINDS[i]);
        door_hears(conf, false);
    }
    door_hears(case_conf(STAGE_CONTRAST, "vision,pool,text,contrast"), true);
}

/* Of the table's last parameters, the heads, no picture is no reason to keep what lies before them waiting. */
static void tail_first(void *ctx, int first, int last)
{
    if (first < *(int *)ctx && last >= *(int *)ctx)
        *(int *)ctx = first;
}

/* A batch of text alone: no visual loss, no gradient for the heads and the projector; all but the projector is heard from the end. */
static void text_only_with(ModelConf conf)
{
    Model m;
    Tape t;
    BatchCase c;
    case_batch(&c, false);
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    int32_t token_start[2] = { 0, 8 }, image_start[2] = { 0, 0 };
    Batch one = { .B = 1, .I = 0, .M = 8, .tokens = c.tokens + 16, .labels = c.labels + 16, .token_start = token_start,
                  .image_start = image_start, .sample = c.sample };
    Losses global = { 0 }, sum = { 0 };
    model_count(&m, &t, &one, &global);
    model_forward(&m, &t, &one, &global, &sum);
    int tail = m.table.n;
    model_backward(&m, &t, &one, &(OnGrad){ tail_first, &tail });
    assert_true(param_in_part(&m.table.p[tail], "decoder") && (tail == 0 || !param_in_part(&m.table.p[tail - 1], "decoder")));
    assert_true(sum.n_text == 5 && sum.n_visual == 0 && model_visual_loss(&m, &sum) == 0);
    for (int i = 0; i < m.table.n; i++)
        if (m.table.p[i].grad >= 0 && !param_in_part(&m.table.p[i], "decoder"))
            assert_true(op_sumsq(&op, m.grads + m.table.p[i].grad, m.table.p[i].count) == 0);
    case_close(&m, &t);
}

static void text_only(void **s)
{
    (void)s;
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head");
    text_only_with(conf);
    conf.supervision = SUPERVISE_BOTH;
    conf.codes_layer[APPEARANCE] = -4;
    conf.codes_given = 6;
    conf.trainable = "projector,decoder,head,app_head";
    text_only_with(conf);
    conf.supervision = SUPERVISE_DENOISING;
    conf.trainable = "projector,decoder,denoiser";
    text_only_with(conf);
}

/* A few steps of plain gradient descent on one batch bring both losses down. */
static void overfit(void **s)
{
    (void)s;
    Model m;
    Tape t;
    BatchCase c;
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head");
    case_batch(&c, false);
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    double first = 0, last = 0;
    for (int step = 0; step < 60; step++) {
        op.zero(m.grads, m.table.grads);
        last = case_loss(&m, &t, &c.batch, true, NULL);
        first = step ? first : last;
        for (int i = 0; i < m.table.n; i++) {
            const Param *p = &m.table.p[i];
            for (int64_t e = 0; p->grad >= 0 && e < p->count; e++)
                m.weights[p->offset + e] -= 0.3f * m.grads[p->grad + e];
        }
    }
    assert_true(last < 0.5 * first);
    case_close(&m, &t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contrast_gradients), cmocka_unit_test(instruct_gradients), cmocka_unit_test(shifted_gradients),
        cmocka_unit_test(frozen_gradients),   cmocka_unit_test(accumulation), cmocka_unit_test(heads_by_rows),       cmocka_unit_test(door),
        cmocka_unit_test(supervision_gradients), cmocka_unit_test(kind_gradients), cmocka_unit_test(variant_gradients),
        cmocka_unit_test(contrast_without_pictures),
        cmocka_unit_test(text_only),          cmocka_unit_test(overfit),            cmocka_unit_test(order),
    };
    ops_use(NULL, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
