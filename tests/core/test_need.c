/* test_need.c -- forward says which weights it is about to read: those that it has not named yet are NaN here */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/decode.h"
#include "tests/core/model_case.h"

/* The weights as they are, kept where nobody reads them, and the model that must ask for them. */
typedef struct {
    Tp     tp;
    Model  m;
    Tape   t;
    float *kept;
    int    calls, asked[512];                  /* when each parameter was asked for first; 0: not yet */
} Poor;

static void bring(Tp *tp, int first, int last)
{
    Poor *p = tp->ctx;
    const Params *t = &p->m.table;
    assert_true(0 <= first && first < last && last <= t->n);
    p->calls++;
    for (int i = first; i < last; i++)
        p->asked[i] = p->asked[i] ? p->asked[i] : p->calls;
    for (int i = first; i < last; i++)
        memcpy(p->m.weights + t->p[i].offset, p->kept + t->p[i].offset, (size_t)t->p[i].count * sizeof(float));
}

/* They come in the order of the table: who asks for a later one first waits for all in between.  Codes may be asked for later, by
   the head, which needs none of them earlier where the batch brings codes. */
static void in_order(const Poor *p)
{
    const Params *t = &p->m.table;
    int latest = 0;
    for (int i = 0; i < t->n; i++) {
        if (!p->asked[i] || param_in_part(&t->p[i], "codes") || param_in_part(&t->p[i], "app_codes"))
            continue;
        if (p->asked[i] < latest)
            fail_msg("%s is asked for before what stands in front of it in the table", t->p[i].name);
        latest = p->asked[i];
    }
}

static void take_away(Poor *p)
{
    assert_true(p->m.table.n <= (int)(sizeof p->asked / sizeof *p->asked));
    p->calls = 0;
    memset(p->asked, 0, sizeof p->asked);
    for (int64_t i = 0; i < p->m.table.weights; i++)
        p->m.weights[i] = NAN;
}

static Poor *open_poor(const ModelConf *conf)
{
    Poor *p = calloc(1, sizeof *p);
    p->tp = TP_ALONE;
    p->tp.need = bring;
    p->tp.ctx = p;
    assert_true(case_open(&p->m, &p->t, conf, &p->tp));
    case_shake(&p->m, 0.1f);
    const size_t bytes = (size_t)p->m.table.weights * sizeof *p->kept;
    p->kept = malloc(bytes);
    memcpy(p->kept, p->m.weights, bytes);
    return p;
}

static void close_poor(Poor *p)
{
    case_close(&p->m, &p->t);
    free(p->kept);
    free(p);
}

/* Losses and gradients of a model whose weights come when they are named, and of one that has them: equal bits.  The
   second time, soft targets are there already; the third pass is an evaluation. */
static void check(const ModelConf *conf, const Batch *batch)
{
    Model m;
    Tape t;
    Poor *p = open_poor(conf);
    assert_true(case_open(&m, &t, conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    for (int pass = 0; pass < 3; pass++) {
        op.zero(m.grads, m.table.grads);
        op.zero(p->m.grads, m.table.grads);
        take_away(p);
        const double want = case_loss(&m, &t, batch, pass < 2, NULL), got = case_loss(&p->m, &p->t, batch, pass < 2, NULL);
        assert_true(isfinite(want) && got == want);
        if (conf->stage >= STAGE_PRETRAIN)
            in_order(p);
        assert_memory_equal(p->m.grads, m.grads, (size_t)m.table.grads * sizeof(float));
    }
    case_close(&m, &t);
    close_poor(p);
}

static ModelConf supervised(Supervision supervision, const char *trainable)
{
    ModelConf conf = case_conf(STAGE_INSTRUCT, trainable);
    conf.supervision = supervision;
    conf.codes_layer[APPEARANCE] = -4;
    conf.codes_given = supervision == SUPERVISE_APPEARANCE || supervision == SUPERVISE_BOTH ? 6 : 3;
    return conf;
}

static void supervisions(void **state)
{
    (void)state;
    static const char *const learns[] = { "projector,decoder", "projector,decoder,head", "projector,decoder,app_head",
                                          "projector,decoder,head,app_head", "projector,decoder,denoiser" };
    BatchCase c;
    case_batch(&c, false);
    for (Supervision s = SUPERVISE_NONE; s <= SUPERVISE_DENOISING; s++) {
        ModelConf conf = supervised(s, learns[s]);
        check(&conf, &c.batch);
        conf.codes_given = 0;
        check(&conf, &c.batch);
    }
    ModelConf conf = case_conf(STAGE_PRETRAIN, "projector,vision,head");
    check(&conf, &c.batch);
}

static void variants(void **state)
{
    (void)state;
    BatchCase c;
    case_batch(&c, false);
    for (int tied = 0; tied < 2; tied++)
        for (int shared = 0; shared < 2; shared++)
            for (int soft = 0; soft < 2; soft++)
                for (int discrete = 0; discrete < 2; discrete++) {
                    ModelConf conf = supervised(SUPERVISE_SEMANTIC, "projector,decoder,head");
                    conf.head_tied = tied;
                    conf.codes_shared = shared;
                    conf.soft_targets = soft ? 0.8f : 0;
                    conf.discrete = discrete;
                    check(&conf, &c.batch);
                    conf.codes_given = 0;
                    conf.own_tower = true;
                    check(&conf, &c.batch);
                }
    ModelConf conf = supervised(SUPERVISE_NONE, "projector,decoder");
    conf.discrete = true;
    check(&conf, &c.batch);
    for (int layers = 1; layers <= 4; layers++) {
        conf = supervised(SUPERVISE_SEMANTIC, "projector");
        conf.projector_layers = layers;
        check(&conf, &c.batch);
    }
}

static void other_stages(void **state)
{
    (void)state;
    BatchCase c;
    case_batch(&c, true);
    ModelConf conf = case_conf(STAGE_CONTRAST, "vision,pool,text,contrast");
    check(&conf, &c.batch);
    conf = case_conf(STAGE_TOKENIZER, "codes,app_codes");
    conf.codes_layer[SEMANTIC] = -2;
    conf.codes_layer[APPEARANCE] = -3;
    check(&conf, &c.batch);
    conf.trainable = "codes,app_codes,tokenizer";
    conf.own_tower = true;
    conf.distill = conf.commit = 1;
    check(&conf, &c.batch);
    conf.distill_pool = 1;
    check(&conf, &c.batch);
}

static void kinds(void **state)
{
    (void)state;
    BatchCase c;
    case_batch(&c, false);
    for (int i = 0; i < N_CASE_KINDS; i++) {
        ModelConf conf = supervised(SUPERVISE_SEMANTIC, "projector,decoder,head,vision");
        case_kind(&conf, CASE_KINDS[i]);
        check(&conf, &c.batch);
    }
}

/* Pictures of twice the tower's size. */
static void scales(void **state)
{
    (void)state;
    static uint8_t pixels[CASE_I * 26 * 26 * 3];
    BatchCase c;
    case_batch(&c, false);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)rng_below(256, 1, 2, i);
    c.batch.pixels = pixels;
    ModelConf conf = supervised(SUPERVISE_SEMANTIC, "projector,decoder,head");
    conf.scales = 2;
    check(&conf, &c.batch);
}

/* What chat and pack call: rows of a picture, its codes, a prompt, a token, logits; all weights are gone before each. */
static void generation(void **state)
{
    (void)state;
    static const int32_t prompt[] = { 1, IMAGE_TOKEN, 7, 9 };
    BatchCase c;
    Model m;
    Tape t;
    Decode want, got;
    case_batch(&c, false);
    for (int i = -1; i <= N_CASE_KINDS; i++) {
        ModelConf conf = supervised(SUPERVISE_BOTH, "");
        conf.train = false;
        conf.discrete = i < 0;
        if (i >= 0 && i < N_CASE_KINDS)
            case_kind(&conf, CASE_KINDS[i]);
        Poor *p = open_poor(&conf);
        assert_true(case_open(&m, &t, &conf, &TP_ALONE));
        case_shake(&m, 0.1f);
        const size_t codes = (size_t)(3 * m.w.vision.P) * sizeof(int32_t);
        decode_open(&want, &m, 1, 30, 30), decode_open(&got, &p->m, 1, 30, 30);

        take_away(p), model_codes(&m, &t, c.pixels, 1), model_codes(&p->m, &p->t, c.pixels, 1);
        for (int k = 0; k < BRANCHES; k++)
            assert_memory_equal(p->t.codes[k].code, t.codes[k].code, codes);
        const float *rows = model_image_rows(&m, &t, c.pixels, 1);
        take_away(p);
        const float *ours = model_image_rows(&p->m, &p->t, c.pixels, 1);
        for (int r = 0; r < m.w.vision.P * conf.decoder.C; r++)
            assert_true(ours[r] == rows[r]);

        assert_true(decode_add(&want, 0, prompt, 4, rows) && decode_add(&got, 0, prompt, 4, ours));
        take_away(p), decode_pass(&want), decode_pass(&got);
        assert_true(decode_add(&want, 0, prompt, 1, NULL) && decode_add(&got, 0, prompt, 1, NULL));
        take_away(p), decode_pass(&want), decode_pass(&got);
        for (int v = 0; v < conf.decoder.V; v++)
            assert_true(got.logits[v] == want.logits[v]);
        decode_close(&want), decode_close(&got);
        case_close(&m, &t);
        close_poor(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(supervisions), cmocka_unit_test(variants), cmocka_unit_test(kinds), cmocka_unit_test(other_stages),
        cmocka_unit_test(scales),       cmocka_unit_test(generation),
    };
    ops_use(NULL, 1);
    return cmocka_run_group_tests_name("need", tests, NULL, NULL);
}
