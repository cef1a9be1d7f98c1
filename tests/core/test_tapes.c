/* test_tapes.c -- two micro-batches of one model under way at once, each on its tape: losses and gradients are those of each alone */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/model_case.h"

/* Two micro-batches of one global batch, unlike in pictures, tokens and number of sequences. */
typedef struct { BatchCase first, second; Batch batch[2]; Losses targets; } Two;

/* A model with two tapes, and the losses of each micro-batch. */
typedef struct { Model m; Tape tape[2]; Losses sum[2]; } Pass;

static void open_pass(Pass *p, const ModelConf *conf)
{
    assert_true(model_open(&p->m, conf, &TP_ALONE));
    case_shake(&p->m, 0.1f);
    for (int k = 0; k < 2; k++) {
        tape_open(&p->tape[k], &p->m);
        p->sum[k] = (Losses){ 0 };
    }
}

static void close_pass(Pass *p)
{
    for (int k = 0; k < 2; k++)
        tape_close(&p->tape[k]);
    model_close(&p->m);
}

static void two_batches(Two *b, const ModelConf *conf, bool one_each)
{
    case_batch(&b->first, one_each);
    case_batch(&b->second, one_each);
    for (int j = 0; j < CASE_M; j++)
        if (b->second.tokens[j] >= 0)
            b->second.tokens[j] = (b->second.tokens[j] + 3) % 40;
    for (size_t i = 0; i < sizeof b->second.pixels; i++)
        b->second.pixels[i] = (uint8_t)rng_below(256, 1, 12, i);
    for (size_t i = 0; i < sizeof b->second.codes / 2; i++)
        b->second.codes[i] = (uint16_t)rng_below(10, 1, 13, i);
    for (int i = 0; i < CASE_B; i++)
        b->second.sample[i] += CASE_B;
    b->batch[0] = b->first.batch, b->batch[1] = b->second.batch;
    b->batch[1].B = 2, b->batch[1].M = 16, b->batch[1].I = b->second.image_start[2];
    b->batch[1].first = CASE_B;
    b->batch[0].global_batch = b->batch[1].global_batch = CASE_B + 2;
    b->targets = (Losses){ 0 };
    Pass p;
    open_pass(&p, conf);
    for (int k = 0; k < 2; k++)
        model_count(&p.m, &p.tape[0], &b->batch[k], &b->targets);
    close_pass(&p);
}

static void forward(Pass *p, const Two *b, int k, int tape)
{
    model_forward(&p->m, &p->tape[tape], &b->batch[k], &b->targets, &p->sum[k]);
}

static void backward(Pass *p, const Two *b, int k, int tape) { model_backward(&p->m, &p->tape[tape], &b->batch[k], NULL); }

/* One after the other on one tape: `first` and then the other one. */
static void alone(Pass *p, const ModelConf *conf, const Two *b, int first)
{
    open_pass(p, conf);
    for (int i = 0; i < 2; i++) {
        const int k = i ^ first;
        forward(p, b, k, 0);
        backward(p, b, k, 0);
    }
}

/* Both at once, forward in the order 0, 1, backward from `first` on; between them an evaluation on a third tape, which adds to nothing.
   early: the gradients after the forward passes. */
static void at_once(Pass *p, const ModelConf *conf, const Two *b, int first, float *early)
{
    Tape third;
    Losses apart = { 0 };
    open_pass(p, conf);
    tape_open(&third, &p->m);
    forward(p, b, 0, 0);
    forward(p, b, 1, 1);
    memcpy(early, p->m.grads, (size_t)p->m.table.grads * sizeof *early);
    p->m.c.train = false;
    model_count(&p->m, &third, &b->batch[1], &apart);
    model_forward(&p->m, &third, &b->batch[1], &b->targets, &apart);
    p->m.c.train = true;
    for (int i = 0; i < 2; i++)
        backward(p, b, i ^ first, i ^ first);
    tape_close(&third);
}

static void same_losses(const Pass *got, const Pass *want)
{
    for (int k = 0; k < 2; k++)
        assert_memory_equal(&got->sum[k], &want->sum[k], sizeof got->sum[k]);
}

static bool zero(const float *x, int64_t n)
{
    for (int64_t e = 0; e < n; e++)
        if (x[e] != 0)
            return false;
    return true;
}

/*
 * Float sums depend on their order, so each tensor is held against the run on one tape that adds to it in the same order; then it has the
 * same bits.  Forward passes run 0, 1, and what they add to (the heads, the temperature, the codebooks' statistics) is that of 0, 1;
 * everything else is that of the order in which the backward passes ran.  No tensor of these models gets parts from both (a tied embedding
 * would: its sum of four parts has an order that no tape alone has).
 */
static void check(ModelConf conf, bool one_each)
{
    static Two b;
    static Pass in_turn, reverse, both;
    two_batches(&b, &conf, one_each);
    alone(&in_turn, &conf, &b, 0);
    alone(&reverse, &conf, &b, 1);
    same_losses(&reverse, &in_turn);
    float *early = malloc((size_t)in_turn.m.table.grads * sizeof *early);
    for (int first = 0; first < 2; first++) {
        int by_forward = 0, by_backward = 0;
        at_once(&both, &conf, &b, first, early);
        same_losses(&both, &in_turn);
        for (int i = 0; i < both.m.table.n; i++) {
            const Param *p = &both.m.table.p[i];
            if (p->grad < 0)
                continue;
            const size_t size = (size_t)p->count * sizeof(float);
            const bool forwards = !zero(early + p->grad, p->count);
            const Model *want = first && !forwards ? &reverse.m : &in_turn.m;
            assert_true(!forwards || !memcmp(both.m.grads + p->grad, early + p->grad, size));
            if (memcmp(both.m.grads + p->grad, want->grads + p->grad, size))
                fail_msg("the gradient of %s is not that of each micro-batch alone, backward from %d on", p->name, first);
            by_forward += forwards;
            by_backward += !forwards;
        }
        assert_true(by_forward > 0 && by_backward > 0);
        close_pass(&both);
    }
    free(early);
    close_pass(&in_turn);
    close_pass(&reverse);
}

static void supervisions(void **s)
{
    (void)s;
    ModelConf conf = case_conf(STAGE_PRETRAIN, "projector,head");
    check(conf, false);
    conf.codes_given = 0;
    check(conf, false);
    conf = case_conf(STAGE_INSTRUCT, "vision,projector,decoder,head,app_head");
    conf.supervision = SUPERVISE_BOTH;
    conf.codes_layer[APPEARANCE] = -4;
    conf.codes_given = 6;
    conf.soft_targets = 0.5f;
    check(conf, false);
    conf.recompute = RECOMPUTE_BLOCK;
    conf.head_tied = true;
    check(conf, false);
    conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head");
    conf.codes_given = 0;
    conf.discrete = conf.own_tower = true;
    check(conf, false);
    conf = case_conf(STAGE_INSTRUCT, "vision,projector,decoder,denoiser");
    conf.supervision = SUPERVISE_DENOISING;
    check(conf, false);
}

static void contrast(void **s)
{
    (void)s;
    check(case_conf(STAGE_CONTRAST, "vision,pool,text,contrast"), true);
}

static void own_tower(void **s)
{
    (void)s;
    ModelConf conf = case_conf(STAGE_TOKENIZER, "tokenizer,codes,app_codes");
    conf.own_tower = true;
    conf.distill = 5, conf.distill_pool = 1, conf.commit = 40;
    conf.codes_layer[APPEARANCE] = -3, conf.codes_layer[SEMANTIC] = -2;
    check(conf, true);
}

/* A tape more is a tape more: no weights, no gradients, none of the tables that tapes share. */
static void bytes(void **s)
{
    (void)s;
    ModelConf conf = case_conf(STAGE_INSTRUCT, "projector,decoder,head");
    for (int soft = 0; soft < 2; soft++) {
        Model m;
        Tape t[3];
        const size_t before = mem_total();
        conf.soft_targets = soft ? 0.5f : 0;
        assert_true(model_open(&m, &conf, &TP_ALONE));
        const size_t model = mem_total() - before;
        assert_true(model == m.weight_arena.size + m.grad_arena.size + m.soft_arena.size);
        assert_true((m.soft_arena.size > 0) == soft);
        tape_measure(&t[2], &m);
        assert_true(mem_total() - before == model && t[2].arena.size > 0);
        for (int k = 0; k < 2; k++) {
            tape_open(&t[k], &m);
            assert_true(mem_total() - before == model + (size_t)(k + 1) * t[2].arena.size);
            assert_true(tape_bytes(&t[k], &m) == t[2].arena.size + m.soft_arena.size);
        }
        tape_close(&t[0]), tape_close(&t[1]), tape_close(&t[2]);
        model_close(&m);
        assert_true(mem_total() == before);
    }
    conf.bare = true;
    Model m;
    Tape t;
    assert_true(model_open(&m, &conf, &TP_ALONE));
    tape_open(&t, &m);
    assert_true(t.arena.size == 0);
    tape_close(&t);
    model_close(&m);
}

static int reference(void **s) { (void)s; ops_use(NULL, 1); return 0; }
static int fast(void **s) { (void)s; ops_use(&OPS_CPU, 2); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(supervisions, reference), cmocka_unit_test_setup(supervisions, fast),
        cmocka_unit_test_setup(contrast, reference),     cmocka_unit_test_setup(contrast, fast),
        cmocka_unit_test_setup(own_tower, reference),    cmocka_unit_test_setup(own_tower, fast),
        cmocka_unit_test(bytes),
    };
    return cmocka_run_group_tests_name("tapes", tests, NULL, NULL);
}
