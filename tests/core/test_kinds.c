/* test_kinds.c -- decoders and towers as people have them against the transformers library (tests/ref/kinds.py): text loss,
   logits, gradients; and the frequencies of stretched rotary embeddings */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/golden_case.h"
#include "tests/golden/kinds_golden.h"

enum { SEEN = 3 };                                 /* logits of a row */

/* Each sequence's last hidden row through the LM head. */
static void compare_logits(const Model *m, const Tape *t, const Golden *want)
{
    const int C = m->c.decoder.C;
    for (int i = 0; i < CASE_B * SEEN; i++) {
        const float *h = t->decoder.h + (int64_t)(t->splice.start[i / SEEN + 1] - 1) * C, *row = m->w.decoder.lm_head.w + i % SEEN * C;
        double z = 0;
        for (int c = 0; c < C; c++)
            z += (double)h[c] * row[c];
        assert_close("a logit", "a last row", z, want->logits[i], 1);      /* they are of order 1 */
    }
}

static void compare(ModelConf conf, unsigned kind, const Golden *want)
{
    Model m;
    Tape t;
    BatchCase c;
    conf.supervision = SUPERVISE_NONE;
    case_kind(&conf, kind);
    case_batch(&c, false);
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    for (int pass = 0; pass < 2; pass++) {                     /* the second finds what the first left */
        Losses global = { 0 }, sum = { 0 };
        op.zero(m.grads, m.table.grads);
        model_count(&m, &t, &c.batch, &global);
        model_forward(&m, &t, &c.batch, &global, &sum);
        compare_logits(&m, &t, want);
        model_backward(&m, &t, &c.batch, NULL);
        assert_close("the loss", "text", sum.text / sum.n_text, want->text, want->text);
        compare_gradients(&m, want);
    }
    case_close(&m, &t);
}

static ModelConf conf_of(float theta, bool bias)
{
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,vision");
    conf.decoder.theta = theta;
    conf.decoder.qkv_bias = bias;
    return conf;
}

static void llama3(void **s) { (void)s; compare(conf_of(1e4f, false), CASE_LLAMA3, &golden_llama3); }
static void linear(void **s) { (void)s; compare(conf_of(1e4f, false), CASE_LINEAR, &golden_linear); }
static void smollm2(void **s) { (void)s; compare(conf_of(1e5f, false), CASE_TIED | CASE_CLIP, &golden_smollm2); }
static void mistral(void **s) { (void)s; compare(conf_of(1e4f, false), CASE_CLIP, &golden_mistral); }
static void qwen2(void **s) { (void)s; compare(conf_of(1e6f, true), CASE_CLIP, &golden_qwen2); }
static void qwen3(void **s)
{
    (void)s;
    compare(conf_of(1e6f, false), CASE_HEAD_DIM | CASE_QK_NORM | CASE_TIED | CASE_CLIP, &golden_qwen3);
}

/* Llama 3.1's own numbers, theta 500000 and heads of 128: transformers' inverse frequencies, computed in float32. */
static void frequencies(void **s)
{
    (void)s;
    static const struct { int d; double plain, llama3; } WANT[] = {
        { 0, 1, 1 },
        { 1, 0.814617217, 0.814617217 },
        { 10, 0.128687382, 0.128687382 },
        { 28, 0.00321144611, 0.00321144611 },
        { 30, 0.0021311196, 0.00137189368 },
        { 32, 0.00141421345, 0.000524846022 },
        { 34, 0.000938473851, 0.000178507791 },
        { 36, 0.000622772437, 7.78465546e-05 },
        { 40, 0.000274248188, 3.42810235e-05 },
        { 63, 2.4551407e-06, 3.06892588e-07 },
    };
    const Rope llama = { ROPE_LLAMA3, 8, 1, 4, 8192 }, half = { ROPE_LINEAR, 2, 0, 0, 0 };
    double plain[64], slow[64], other[64];
    rope_freq(plain, 128, 5e5, NULL);
    rope_freq(slow, 128, 5e5, &llama);
    rope_freq(other, 128, 5e5, &half);
    for (size_t i = 0; i < sizeof WANT / sizeof *WANT; i++) {
        const int d = WANT[i].d;
        assert_true(fabs(plain[d] / WANT[i].plain - 1) < 2e-6 && fabs(slow[d] / WANT[i].llama3 - 1) < 2e-6);
        assert_true(other[d] == plain[d] / 2);
    }
}

static int reference(void **s) { (void)s; ops_use(NULL, 1); return 0; }
static int fast(void **s) { (void)s; ops_use(&OPS_CPU, 1); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(llama3, reference),  cmocka_unit_test_setup(llama3, fast),
        cmocka_unit_test_setup(linear, reference),  cmocka_unit_test_setup(linear, fast),
        cmocka_unit_test_setup(smollm2, reference), cmocka_unit_test_setup(smollm2, fast),
        cmocka_unit_test_setup(mistral, reference), cmocka_unit_test_setup(mistral, fast),
        cmocka_unit_test_setup(qwen2, reference),   cmocka_unit_test_setup(qwen2, fast),
        cmocka_unit_test_setup(qwen3, reference),   cmocka_unit_test_setup(qwen3, fast),
        cmocka_unit_test(frequencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
