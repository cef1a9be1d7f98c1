/* test_recompute.c -- what backward computes again has the bits of what it would have kept, and the tape is shorter */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/model_case.h"

enum { KINDS = RECOMPUTE_BLOCK + 1 };

static void run(Model *m, Tape *t, const ModelConf *conf, int kind, bool one_each, double loss[2])
{
    BatchCase c;
    ModelConf with = *conf;
    with.recompute = kind;
    case_batch(&c, one_each);
    assert_true(case_open(m, t, &with, &TP_ALONE));
    case_shake(m, 0.1f);
    for (int pass = 0; pass < 2; pass++)                       /* the second finds what the first left on the tape */
        loss[pass] = case_loss(m, t, &c.batch, true, NULL);
}

static void compare(ModelConf conf, bool one_each)
{
    Model m[KINDS];
    Tape t[KINDS];
    double loss[KINDS][2];
    conf.decoder.L = 3;
    for (int kind = 0; kind < KINDS; kind++)
        run(&m[kind], &t[kind], &conf, kind, one_each, loss[kind]);
    for (int kind = 1; kind < KINDS; kind++) {
        assert_memory_equal(loss[kind], loss[0], sizeof *loss);
        for (int i = 0; i < m[0].table.n; i++) {
            const Param *p = &m[0].table.p[i];
            if (p->grad >= 0 && memcmp(m[kind].grads + p->grad, m[0].grads + p->grad, (size_t)p->count * sizeof(float)))
                fail_msg("the gradient of %s differs, recompute = %d", p->name, kind);
        }
        assert_true(t[kind].arena.size < t[kind - 1].arena.size);
    }
    for (int kind = 0; kind < KINDS; kind++)
        case_close(&m[kind], &t[kind]);
}

static void contrast(void **s)
{
    (void)s;
    compare(case_conf(STAGE_CONTRAST, "vision,pool,text,contrast"), true);
}

static void own_tower(void **s)
{
    ModelConf conf = case_conf(STAGE_TOKENIZER, "tokenizer,codes");
    (void)s;
    conf.own_tower = true;
    conf.distill = 5, conf.distill_pool = 1, conf.commit = 40;
    conf.codes_layer[APPEARANCE] = -3, conf.codes_layer[SEMANTIC] = -1;
    compare(conf, true);
}

static void decoder(void **s)
{
    (void)s;
    for (int k = 0; k < N_CASE_KINDS; k++) {
        ModelConf conf = case_conf(STAGE_INSTRUCT, "vision,projector,decoder,head");
        case_kind(&conf, CASE_KINDS[k]);
        compare(conf, false);
    }
}

int main(void)
{
    ops_use(&OPS_CPU, 2);
    const struct CMUnitTest tests[] = { cmocka_unit_test(contrast), cmocka_unit_test(own_tower), cmocka_unit_test(decoder) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
