/* test_opscount.c -- the table that counts: its flops are those of the real ones, its bytes those of the operands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/opscount.h"
#include "core/prof.h"
#include "tests/core/model_case.h"

/* Flops of the forward and the backward pass, as `table` counts them. */
typedef struct { double forward, step; } Counted;

static Counted count(const Ops *table, Model *m, Tape *t, const Batch *b)
{
    Losses global = { 0 }, sum = { 0 };
    Counted c;
    const Ops was = op;
    ops_overlay(table);
    model_count(m, t, b, &global);
    const double flops = prof_flops;
    model_forward(m, t, b, &global, &sum);
    c.forward = prof_flops - flops;
    model_backward(m, t, b, NULL);
    c.step = prof_flops - flops;
    op = was;
    return c;
}

static void check(const ModelConf *conf, const Batch *batch)
{
    Model real, dry;
    Tape a, b;
    assert_true(case_open(&real, &a, conf, &TP_ALONE) && model_measure(&dry, conf, &TP_ALONE));
    tape_measure(&b, &dry);
    model_nowhere(&dry);
    tape_nowhere(&b, &dry);
    const Counted want = count(&OPS_CPU, &real, &a, batch), got = count(&OPS_COUNT, &dry, &b, batch);
    assert_true(want.forward > 0 && want.step > want.forward);
    assert_true(got.forward == want.forward);
    assert_true(got.step == want.step);
    case_close(&dry, &b);
    case_close(&real, &a);
}

static void stages(void **state)
{
    (void)state;
    static const char *const learns[] = { "vision,pool,text,contrast", "", "projector,head", "projector,decoder,head" };
    BatchCase c;
    for (Stage s = STAGE_CONTRAST; s <= STAGE_INSTRUCT; s++)
        for (int given = 0; given <= 3; given += 3)
            for (int own = 0; own < 2; own++) {
                ModelConf conf = case_conf(s, learns[s]);
                conf.codes_given = given;
                conf.own_tower = own;
                conf.trainable = s == STAGE_TOKENIZER && own ? "tokenizer" : learns[s];
                if (s == STAGE_TOKENIZER && !own)
                    continue;                       /* nothing learns by gradients */
                case_batch(&c, s < STAGE_PRETRAIN);
                check(&conf, &c.batch);
            }
}

static void supervisions(void **state)
{
    (void)state;
    static const char *const learns[] = { "projector,decoder", "projector,decoder,head", "projector,decoder,app_head",
                                          "vision,projector,decoder,head,app_head", "vision,projector,decoder,denoiser" };
    BatchCase c;
    case_batch(&c, false);
    for (Supervision s = SUPERVISE_NONE; s <= SUPERVISE_DENOISING; s++)
        for (int odd = 0; odd < 2; odd++) {
            ModelConf conf = case_conf(STAGE_INSTRUCT, learns[s]);
            conf.supervision = s;
            conf.codes_layer[APPEARANCE] = -4;
            conf.codes_given = 0;
            conf.head_tied = conf.codes_shared = odd;
            conf.soft_targets = odd ? 0.8f : 0;
            conf.visual_share = odd ? 0.5f : 1;
            case_kind(&conf, CASE_KINDS[odd ? N_CASE_KINDS - 1 : 0]);
            check(&conf, &c.batch);
        }
}

#define BYTES(call) (prof_bytes = 0, (call), prof_bytes)

/* Tensors that are nowhere: operands once, sums twice. */
static void bytes(void **state)
{
    (void)state;
    const Ops *o = &OPS_COUNT;
    float *t = (float *)64;
    const int32_t start[] = { 0, 3, 8 };
    Linear w = { .w = t, .b = t, .I = 3, .O = 2 }, half = { .w = t, .I = 3, .O = 2 }, frozen = { .I = 3, .O = 2 };
    assert_true(BYTES(o->linear_fwd(t, t, &w, 5)) == 4 * (10 + 15 + 6 + 2));
    assert_true(BYTES(o->linear_fwd(t, t, &half, 5)) == 4 * (10 + 15 + 6));
    assert_true(BYTES(o->linear_dx(t, TERMS({ t, &w }), 5, false)) == 4 * (15 + 10 + 6));
    assert_true(BYTES(o->linear_dx(t, TERMS({ t, &w }), 5, true)) == 4 * (2 * 15 + 10 + 6));
    assert_true(BYTES(o->linear_dw(&w, t, t, 5)) == 4 * (2 * 6 + 10 + 15 + 2 * 2));
    assert_true(BYTES(o->linear_dw(&frozen, t, t, 5)) == 0);
    assert_true(BYTES(o->rmsnorm_fwd(t, t, t, t, 5, 3, 0)) == 4 * (15 + 5 + 15 + 3));
    assert_true(BYTES(o->scatter_add(t, t, start, 2, 3)) == 4 * (6 + 2 * 6 + 2));
    assert_true(BYTES(o->attention_fwd(t, t, t, t, t, 2, start, start, 4, 2, 6, CAUSAL)) == 4 * (2 * 8 * 24 + 2 * 8 * 12 + 8 * 4));
    assert_true(BYTES(o->xent_sum(t, t, t, t, start, 5, 7, 0, 0)) == 4 * (5 * 7 + 5 + 5 + 5 + 5));
    assert_true(BYTES(o->adamw(t, t, t, t, 10, 0, 0, 0, 0, 0, 1, 1)) == 280);
    assert_true(BYTES(o->fixed_add((int64_t *)t, NULL, t, 10, 1)) == 120);
    assert_true(BYTES(o->fixed_add((int64_t *)t, (int64_t *)t, t, 10, 1)) == 200);
    assert_true(BYTES(o->fixed_join((int64_t *)t, (int64_t *)t, (int64_t *)t, 10)) == 240);
    assert_true(BYTES(o->to_bf16((uint16_t *)t, t, 10)) == 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages), cmocka_unit_test(supervisions), cmocka_unit_test(bytes),
    };
    ops_use(NULL, 1);
    return cmocka_run_group_tests_name("opscount", tests, NULL, NULL);
}
