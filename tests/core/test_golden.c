/* test_golden.c -- the whole model against an independent one: losses and gradients that PyTorch computed in float64 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/model_case.h"

enum { DIRECTIONS = 3 };

typedef struct { const char *name; int64_t count; double norm, along[DIRECTIONS]; } GoldenTensor;
typedef struct {
    double loss, text, contrast, visual[3];
    const GoldenTensor *gradients;                 /* ends with a NULL name */
    const int *codes;                              /* (I,P,Q), where the quantizer finds them */
} Golden;

#include "tests/golden/model_golden.h"

/* Float against double: rounding errs by about 1e-7 a sum; measured 6e-7 of a tensor's gradient, 3e-6 where a scalar's
   gradient cancels.  The smallest mistakes of a model, an epsilon of 1e-5 for 1e-6, err by 2.2e-5 and more; a tanh-gelu for
   an exact one by 3e-4; a missing term by 1e-3 to 1. */
static const double TOLERANCE = 2e-5;

static void assert_close(const char *what, const char *name, double got, double want, double size)
{
    const double error = fabs(got - want) / size;
    if (!(error <= TOLERANCE))
        fail_msg("%s of %s is %.9g, PyTorch says %.9g: off by %.2e", what, name, got, want, error);
}

static double along(const float *g, int64_t n, const char *name, int k)
{
    double dot = 0, norm = 0;
    for (int64_t e = 0; e < n; e++) {
        const double d = rng_normal(100 + (uint64_t)k, rng_stream(name), (uint64_t)e);
        dot += d * g[e];
        norm += d * d;
    }
    return dot / sqrt(norm);
}

static const GoldenTensor *golden_of(const Golden *want, const Param *p)
{
    for (const GoldenTensor *t = want->gradients; t->name; t++)
        if (strcmp(t->name, p->name) == 0)
            return t;
    fail_msg("PyTorch's model has no %s", p->name);
    return NULL;
}

/* A gradient that vanishes by construction (the bias of keys, which softmax does not feel) is held against all the others. */
static void compare_gradients(const Model *m, const Golden *want)
{
    double whole = 0;
    int expected = 0, found = 0;
    for (const GoldenTensor *t = want->gradients; t->name; t++, expected++)
        whole += t->norm * t->norm;
    for (int i = 0; i < m->table.n; i++) {
        const Param *p = &m->table.p[i];
        if (p->grad < 0)
            continue;
        const GoldenTensor *t = golden_of(want, p);
        const float *g = m->grads + p->grad;
        const double size = t->norm > 1e-9 * sqrt(whole) ? t->norm : sqrt(whole);
        assert_int_equal(p->count, t->count);
        assert_close("norm of the gradient", p->name, sqrt(op.sumsq(g, p->count)), t->norm, size);
        for (int k = 0; k < DIRECTIONS; k++)
            assert_close("component of the gradient", p->name, along(g, p->count, p->name, k), t->along[k], size);
        found++;
    }
    assert_int_equal(found, expected);
}

static void compare_codes(const Model *m, const Golden *want)
{
    const int Q = m->c.codes_depth, rows = CASE_I * m->w.vision.P;
    for (int k = 0; k < Q; k++)
        for (int i = 0; i < rows; i++)
            assert_int_equal(m->codes[SEMANTIC].code[k * rows + i], want->codes[i * Q + k]);
}

static void compare_losses(const Model *m, const Losses *sum, const Golden *want)
{
    assert_close("the loss", "all", model_loss(m, sum), want->loss, want->loss);
    if (want->text > 0)
        assert_close("the loss", "text", sum->text / sum->n_text, want->text, want->text);
    if (want->contrast > 0)
        assert_close("the loss", "contrast", sum->contrast / sum->pairs, want->contrast, want->contrast);
    for (int k = 0; k < 3 && want->visual[k] > 0; k++)
        assert_close("the loss", "a depth", sum->visual[SEMANTIC][k] / sum->n_visual, want->visual[k], want->visual[k]);
    assert_true((want->visual[0] > 0) == (sum->n_visual > 0));
}

static void compare(const ModelConf *conf, const Golden *want)
{
    Model m;
    BatchCase c;
    Losses global = { 0 }, sum = { 0 };
    case_batch(&c, conf->stage == STAGE_CONTRAST);
    assert_true(model_open(&m, conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    model_count(&m, &c.batch, &global);
    model_forward(&m, &c.batch, &global, &sum);
    model_backward(&m, &c.batch, NULL);
    compare_losses(&m, &sum, want);
    compare_gradients(&m, want);
    if (want->codes)
        compare_codes(&m, want);
    model_close(&m);
}

static void contrast(void **s)
{
    (void)s;
    ModelConf conf = case_conf(STAGE_CONTRAST, "vision,pool,text,contrast");
    compare(&conf, &golden_contrast);
}

static void instruct(void **s)
{
    (void)s;
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head,vision");
    compare(&conf, &golden_aligned);
    conf.visual_shift = 1;
    compare(&conf, &golden_shifted);
}

static void no_supervision(void **s)
{
    (void)s;
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,vision");
    conf.supervision = SUPERVISE_NONE;
    compare(&conf, &golden_text_alone);
}

static void codes_found(void **s)
{
    (void)s;
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head,vision");
    conf.codes_given = 0;
    compare(&conf, &golden_quantized);
    conf.codes_shared = true;
    compare(&conf, &golden_shared_codes);
}

static int reference(void **s) { (void)s; ops_use(NULL, 1); return 0; }
static int fast(void **s) { (void)s; ops_use(&OPS_CPU, 1); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(contrast, reference),       cmocka_unit_test_setup(contrast, fast),
        cmocka_unit_test_setup(instruct, reference),       cmocka_unit_test_setup(instruct, fast),
        cmocka_unit_test_setup(no_supervision, reference), cmocka_unit_test_setup(no_supervision, fast),
        cmocka_unit_test_setup(codes_found, reference),    cmocka_unit_test_setup(codes_found, fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
