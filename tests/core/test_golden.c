/* test_golden.c -- the whole model against an independent one: losses and gradients that PyTorch computed in float64 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/golden_case.h"

#include "tests/golden/model_golden.h"

static void compare_codes(const Model *m, const Tape *t, const Golden *want)
{
    const int Q = m->c.codes_depth, rows = CASE_I * m->w.vision.P;
    for (int k = 0; k < Q; k++)
        for (int i = 0; i < rows; i++)
            assert_int_equal(t->codes[SEMANTIC].code[k * rows + i], want->codes[i * Q + k]);
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
    Tape t;
    BatchCase c;
    Losses global = { 0 }, sum = { 0 };
    case_batch(&c, conf->stage == STAGE_CONTRAST);
    assert_true(case_open(&m, &t, conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    model_count(&m, &t, &c.batch, &global);
    model_forward(&m, &t, &c.batch, &global, &sum);
    model_backward(&m, &t, &c.batch, NULL);
    compare_losses(&m, &sum, want);
    compare_gradients(&m, want);
    if (want->codes)
        compare_codes(&m, &t, want);
    case_close(&m, &t);
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
