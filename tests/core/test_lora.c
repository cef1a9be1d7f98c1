/* test_lora.c -- low-rank pairs: which weights have one, what learns, merged as beside.  Their slopes: test_model.c */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/model_case.h"
#include "tests/core/op_values.h"

static bool named(const char *targets, const char *weight)
{
    return lora_is_target(&(Lora){ .rank = 1, .targets = targets }, weight);
}

static void targets(void **s)
{
    (void)s;
    assert_true(named("", "decoder.3.attn.wq") && named(NULL, "decoder.0.ffn.down") && named(" , ", "decoder.0.ffn.up"));
    assert_true(named("q_proj", "decoder.3.attn.wq") && named("k_proj v_proj", "decoder.11.attn.wv") && named("o_proj", "decoder.0.attn.wo"));
    assert_true(named("all-linear", "decoder.3.ffn.up"));
    assert_true(named("gate_proj,up_proj", "decoder.0.ffn.up") && named("down_proj", "decoder.0.ffn.down"));
    assert_true(named("wq", "decoder.3.attn.wq") && named("attn.wq", "decoder.3.attn.wq") && named("decoder.*.attn.w?", "decoder.3.attn.wq"));
    assert_true(named("decoder.3.*", "decoder.3.ffn.gate") && !named("decoder.3.*", "decoder.31.ffn.gate"));
    assert_false(named("q_proj", "decoder.3.attn.wk") || named("q", "decoder.3.attn.wq") || named("n.wq", "decoder.3.attn.wq"));
    assert_false(named("decoder", "decoder.3.attn.wq") || lora_is_target(&(Lora){ .targets = "" }, "decoder.3.attn.wq"));
}

static ModelConf pairs(const char *trainable)
{
    ModelConf c = case_conf(STAGE_INSTRUCT, trainable);
    c.lora_rank = 3, c.lora_alpha = 4.5f;
    return c;
}

static const Param *param_of(const Model *m, const char *name)
{
    const int i = params_find(&m->table, name);
    if (i < 0)
        fail_msg("there is no %s", name);
    return &m->table.p[i];
}

/* Shapes as peft's; up is zero, so that the model begins as its base; only what was named has a pair. */
static void table(void **s)
{
    (void)s;
    Model m;
    Tape t;
    ModelConf conf = pairs("projector,lora");
    conf.lora_targets = "q_proj,down_proj";
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    const Param *a = param_of(&m, "lora.decoder.1.attn.wq.a"), *up = param_of(&m, "lora.decoder.1.ffn.down.b");
    assert_true(a->rows == 3 && a->cols == 24 && up->rows == 24 && up->cols == 3 && a->grad >= 0 && up->grad >= 0);
    assert_true(params_find(&m.table, "lora.decoder.1.attn.wk.a") < 0 && param_of(&m, "decoder.1.attn.wq")->grad < 0);
    float most = 0;
    for (int64_t e = 0; e < a->count; e++)
        most = fmaxf(most, fabsf(m.weights[a->offset + e]));
    assert_true(most > 0.15f && most <= 1 / sqrtf(24));
    for (int64_t e = 0; e < up->count; e++)
        assert_true(m.weights[up->offset + e] == 0);
    case_close(&m, &t);
}

/* What a pair learns is the same to the bit whether its weight learns, too; and the frozen one has no gradient. */
static void beside(void **s)
{
    (void)s;
    static const char *const trainable[] = { "projector,decoder,lora,head", "projector,lora,head" };
    Model m[2];
    Tape t[2];
    BatchCase c;
    case_batch(&c, false);
    double loss[2];
    for (int i = 0; i < 2; i++) {
        const ModelConf conf = pairs(trainable[i]);
        assert_true(case_open(&m[i], &t[i], &conf, &TP_ALONE));
        case_shake(&m[i], 0.1f);
        op.zero(m[i].grads, m[i].table.grads);
        loss[i] = case_loss(&m[i], &t[i], &c.batch, true, NULL);
    }
    assert_true(loss[0] == loss[1] && m[1].table.grads < m[0].table.grads);
    int pair = 0;
    for (int i = 0; i < m[0].table.n; i++) {
        const Param *p = &m[0].table.p[i], *q = &m[1].table.p[i];
        assert_true((q->grad >= 0) == (p->grad >= 0 && !param_in_part(p, "decoder")));
        if (q->grad < 0)
            continue;
        assert_memory_equal(m[0].grads + p->grad, m[1].grads + q->grad, (size_t)p->count * sizeof(float));
        pair += param_in_part(p, LORA_PART);
    }
    assert_int_equal(pair, 2 * 7 * 2);
    for (int i = 0; i < 2; i++)
        case_close(&m[i], &t[i]);
}

enum { LOGITS = 54 * 40 };

/* Of all rows of the batch; returns how many numbers. */
static int logits_of(Model *m, Tape *t, const BatchCase *c, float out[LOGITS])
{
    case_loss(m, t, &c->batch, false, NULL);
    const int64_t N = t->splice.N;
    assert_true(N * m->c.decoder.V <= LOGITS);
    op.linear_fwd(out, t->decoder.h, &m->w.decoder.lm_head, N);
    return (int)N * m->c.decoder.V;
}

/* w + s up a gives what the pair gives beside w: losses and logits within 1e-5, of values of order 1.  Once the rows are more than the rooms hold. */
static void merged(void **s)
{
    (void)s;
    Model m;
    Tape t;
    BatchCase c;
    static float was[LOGITS], is[LOGITS], base[LOGITS];
    ModelConf conf = pairs("projector,lora,head");
    case_batch(&c, false);
    conf.micro_batch = 3, conf.max_len = 18;
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    const double loss = case_loss(&m, &t, &c.batch, false, NULL);
    m.table.lora.rows = 7;                              /* they go through it in pieces */
    const int n = logits_of(&m, &t, &c, was);
    m.table.lora.rows = 54;
    assert_true(n > 1000);
    for (int i = 0; i < m.c.decoder.L; i++) {
        const LlamaBlock *k = &m.w.decoder.block[i];
        const Linear *all[] = { &k->wq, &k->wk, &k->wv, &k->wo, &k->gate, &k->up, &k->down };
        for (int j = 0; j < 7; j++) {
            lora_merge(all[j]);
            op.zero(all[j]->up, (int64_t)all[j]->O * 3);
        }
    }
    logits_of(&m, &t, &c, is);
    double off = 0, size = 0, moved = 0;
    for (int v = 0; v < n; v++) {
        off = fmax(off, fabs(was[v] - is[v]));
        size = fmax(size, fabs(was[v]));
    }
    assert_true(size > 0.1 && off < 1e-5);
    assert_true(fabs(case_loss(&m, &t, &c.batch, false, NULL) - loss) < 1e-5);
    m.table.lora.scale = 0;
    logits_of(&m, &t, &c, base);
    assert_memory_equal(base, is, sizeof(float) * (size_t)n);       /* with up zero the scale does not matter */
    case_close(&m, &t);
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    m.table.lora.scale = 0;
    logits_of(&m, &t, &c, base);
    for (int v = 0; v < n; v++)
        moved = fmax(moved, fabs(was[v] - base[v]));
    assert_true(moved > 1e-2);                          /* so merging was no trifle */
    case_close(&m, &t);
}

/* A weight that adds to what is there, in each backend, of one row and of many, with leaves and without: sums of 40 products of order 1. */
static void adds(void **s)
{
    (void)s;
    enum { N = 50, I = 40, O = 24 };
    const Ops *const backend[] = { &OPS_REF, &OPS_CPU };
    static float x[N * I], w[O * I], out[N * O], want[N * O];
    for (int i = 0; i < N * I; i++)
        x[i] = (float)rng_normal(1, 1, (uint64_t)i);
    for (int i = 0; i < O * I; i++)
        w[i] = (float)rng_normal(1, 2, (uint64_t)i);
    for (int k = 0; k < 2; k++)
        for (int leaves = 0; leaves <= 4; leaves += 2)
            for (int n = 1; n <= N; n += N - 1) {
                Linear l = { .w = w, .I = I, .O = O, .split = 1, .leaves = leaves };
                backend[k]->linear_fwd(want, x, &l, n);
                for (int i = 0; i < n * O; i++)
                    out[i] = (float)(i % 7);
                l.add = true;
                backend[k]->linear_fwd(out, x, &l, n);
                for (int i = 0; i < n * O; i++)
                    assert_true(fabs(out[i] - (float)(i % 7) - want[i]) < 1e-5);
            }
}

int main(void)
{
    ops_use(NULL, 1);
    const struct CMUnitTest tests[] = { cmocka_unit_test(adds), cmocka_unit_test(targets), cmocka_unit_test(table), cmocka_unit_test(beside), cmocka_unit_test(merged) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
