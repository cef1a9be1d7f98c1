/* The whole model on all ranks as one tensor-parallel group, beside the same model whole on each: losses, codes, gradients,
   codebooks' averages, logits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/decode.h"
#include "core/slice.h"
#include "dist/comm.h"
#include "dist/tp.h"
#include "tests/core/model_case.h"
#include "tests/core/op_values.h"

static int rank, size;

/* A rank that ended alone would leave the others waiting: breaches are counted, and all ranks ask together. */
static int breaches;

static void breach(const char *what, const char *where, double got, double want)
{
    if (breaches++ < 10)
        print_error("rank %d of %d: %s: %s is %.9g, not %.9g\n", rank, size, what, where, got, want);
}

static void assert_none(void)
{
    const int worst = comm_agree(MPI_COMM_WORLD, breaches);
    breaches = 0;
    assert_int_equal(worst, 0);
}

/* ---- cases ---- */

typedef struct {
    const char *name, *trainable;
    Stage       stage;
    Supervision supervision;
    int         kv_heads, projector;           /* 0: 12 heads, 2 layers */
    bool        made;                          /* codes are made here, not given with the batch */
    bool        tied, shared, discrete, own, bias;
    float       soft, pooled;
    unsigned    kind;                          /* CASE_... of model_case.h */
} Case;

#define LM     "projector,decoder"
#define VISUAL LM ",head"

static const Case CASES[] = {
    { "contrast", "vision,pool,text,contrast", STAGE_CONTRAST, .supervision = SUPERVISE_NONE },
    { "tokenizer", "codes,app_codes", STAGE_TOKENIZER, .supervision = SUPERVISE_NONE },
    { "tokenizer, shared codebook", "codes,app_codes", STAGE_TOKENIZER, .shared = true },
    { "tokenizer, own tower", "codes,app_codes,tokenizer", STAGE_TOKENIZER, .own = true },
    { "tokenizer, own tower, pooled", "codes,app_codes,tokenizer", STAGE_TOKENIZER, .own = true, .pooled = 1, .shared = true },
    { "pretrain", "projector,head", STAGE_PRETRAIN, .supervision = SUPERVISE_SEMANTIC },
    { "no supervision", LM, STAGE_INSTRUCT, .supervision = SUPERVISE_NONE },
    { "semantic", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC },
    { "semantic, codes made", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .made = true },
    { "semantic, codes of an own tower", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .made = true, .own = true },
    { "appearance", LM ",app_head", STAGE_INSTRUCT, .supervision = SUPERVISE_APPEARANCE },
    { "both", VISUAL ",app_head", STAGE_INSTRUCT, .supervision = SUPERVISE_BOTH },
    { "both, codes made", VISUAL ",app_head", STAGE_INSTRUCT, .supervision = SUPERVISE_BOTH, .made = true, .shared = true },
    { "denoising", LM ",denoiser", STAGE_INSTRUCT, .supervision = SUPERVISE_DENOISING },
    { "tied", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .tied = true },
    { "soft", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .soft = 0.8f },
    { "tied, soft, shared", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .tied = true, .soft = 0.8f, .shared = true },
    { "discrete", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .discrete = true },
    { "discrete, codes made", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .discrete = true, .made = true },
    { "vision learns, one layer", VISUAL ",vision", STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .projector = 1 },
    { "vision learns, two layers", VISUAL ",vision", STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .projector = 2 },
    { "vision learns, three layers", VISUAL ",vision", STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .projector = 3 },
    { "vision learns, four layers", VISUAL ",vision", STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .projector = 4 },
    { "12 kv heads, biases", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .bias = true },
    { "6 kv heads", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kv_heads = 6 },
    { "4 kv heads", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kv_heads = 4, .bias = true },
    { "3 kv heads", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kv_heads = 3 },
    { "2 kv heads, biases", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kv_heads = 2, .bias = true },
    { "1 kv head, biases", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kv_heads = 1, .bias = true },
    { "heads of 10", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kv_heads = 4, .kind = CASE_HEAD_DIM },
    { "q/k norms", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kv_heads = 2, .bias = true, .kind = CASE_QK_NORM },
    { "q/k norms, frozen", "projector", STAGE_INSTRUCT, .supervision = SUPERVISE_NONE, .kv_heads = 1, .kind = CASE_QK_NORM },
    { "tied embedding", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kind = CASE_TIED | CASE_LLAMA3 },
    { "as Qwen3, tied", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kv_heads = 6,
      .kind = CASE_HEAD_DIM | CASE_QK_NORM | CASE_TIED },
    { "CLIP", VISUAL ",vision", STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kind = CASE_CLIP },
    { "CLIP, codes made", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .made = true, .kind = CASE_CLIP },
    { "CLIP, own tower", "codes,app_codes,tokenizer", STAGE_TOKENIZER, .own = true, .kind = CASE_CLIP },
    { "low-rank pairs", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kind = CASE_LORA },
    { "low-rank pairs, 2 kv heads, biases", VISUAL, STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .kv_heads = 2, .bias = true, .kind = CASE_LORA },
    { "low-rank pairs alone, 1 kv head", "projector", STAGE_INSTRUCT, .supervision = SUPERVISE_NONE, .kv_heads = 1, .kind = CASE_LORA },
    { "1 kv head, frozen", "projector", STAGE_INSTRUCT, .supervision = SUPERVISE_NONE, .kv_heads = 1 },
};
enum { NCASES = sizeof CASES / sizeof *CASES };

/* That of model_case.h, but every size that is split is a multiple of 12. */
static ModelConf conf_of(const Case *k)
{
    ModelConf c = case_conf(k->stage, k->trainable);
    const bool two = k->stage == STAGE_TOKENIZER || k->supervision == SUPERVISE_APPEARANCE || k->supervision == SUPERVISE_BOTH;
    c.supervision = k->supervision;
    c.codes_given = k->made || k->stage < STAGE_PRETRAIN ? 0 : two ? 6 : 3;
    c.codes_layer[APPEARANCE] = two ? -4 : 0;
    c.vision = c.text = (EncoderDims){ .C = 24, .F = 36, .H = 12, .L = 4, .eps = 1e-6f };
    c.decoder = (LlamaDims){ .C = 48, .F = 60, .H = 12, .K = k->kv_heads ? k->kv_heads : 12, .L = 2, .V = 48, .theta = 10000,
                             .eps = 1e-5f, .qkv_bias = k->bias };
    c.projector_layers = k->projector ? k->projector : 2;
    c.codes_size = 24;
    c.head_width = 24, c.head_heads = 12;
    c.head_tied = k->tied, c.codes_shared = k->shared, c.discrete = k->discrete, c.own_tower = k->own;
    c.soft_targets = k->soft;
    c.distill = 1, c.commit = 0.5f, c.distill_pool = k->pooled;
    case_kind(&c, k->kind);
    return c;
}

static bool divides(const Case *k)
{
    const int heads = k->kv_heads ? k->kv_heads : 12;
    return heads % size == 0 || size % heads == 0;
}

/* ---- a model in pieces beside the same one whole ---- */

typedef struct {
    const char *name;
    Grid  grid;
    Tp    tp;
    Model whole, part;
    Tape  of_whole, of_part;
} Pair;

/* Sum over ranks modulo 2^64, through doubles. */
static uint64_t sum_of(uint64_t x)
{
    double half[2] = { (double)(x & 0xffffffff), (double)(x >> 32) };
    comm_sum_f64(MPI_COMM_WORLD, half, 2);
    return (uint64_t)half[0] + ((uint64_t)half[1] << 32);
}

static void check_fingerprint(const Pair *p)
{
    const uint64_t want = params_fingerprint(&p->whole.table, p->whole.weights, NULL);
    if (sum_of(params_fingerprint(&p->part.table, p->part.weights, NULL)) != want)
        breach(p->name, "fingerprint", 0, 1);
}

/* Of tensor i this rank's piece of the whole, which lies in `from`, to the place of the part's in `to`. */
static void cut(const Pair *p, int i, float *to, const float *from)
{
    const Slice here = param_slice(&p->part.table, i), all = param_slice(&p->whole.table, i);
    slice_copy(to, &here, from, &all, sizeof *to);
}

static void open_pair(Pair *p, const char *name, const ModelConf *conf)
{
    p->name = name;
    grid_open(&p->grid, MPI_COMM_WORLD, size);
    p->tp = tp_door(&p->grid, 0);
    assert_true(case_open(&p->whole, &p->of_whole, conf, &TP_ALONE) && case_open(&p->part, &p->of_part, conf, &p->tp));
    assert_int_equal(p->whole.table.n, p->part.table.n);
    check_fingerprint(p);
    case_shake(&p->whole, 0.1f);
    for (int i = 0; i < p->part.table.n; i++)
        cut(p, i, p->part.weights + p->part.table.p[i].offset, p->whole.weights + p->whole.table.p[i].offset);
    check_fingerprint(p);
}

static void close_pair(Pair *p)
{
    case_close(&p->whole, &p->of_whole);
    case_close(&p->part, &p->of_part);
    grid_close(&p->grid);
}

/* Floats of another order of additions, some of them rounded on their way through a few layers: 1e-7 to 1e-6 are seen. */
static bool near(double got, double want) { return fabs(got - want) <= 1e-5 * fabs(want); }

/* Every sum is near that of the whole model, and has the same bits on all ranks. */
static void check_losses(const Pair *p, const Losses *got, const Losses *want)
{
    const double *x = (const double *)got, *y = (const double *)want;
    Losses first = *got;
    comm_bcast(MPI_COMM_WORLD, &first, sizeof first, 0);
    if (memcmp(&first, got, sizeof first) != 0)
        breach(p->name, "a loss of another rank", 1, 0);
    for (size_t i = 0; i < sizeof *got / sizeof(double); i++)
        if (!near(x[i], y[i]))
            breach(p->name, "a loss", x[i], y[i]);
}

static void check_codes(const Pair *p, const Batch *b)
{
    const int64_t rows = (int64_t)b->I * p->whole.w.vision.P;
    for (int k = 0; k < BRANCHES; k++)
        for (int64_t i = 0; model_has(&p->whole, k ? PART_APP_CODES : PART_CODES) && i < rows * p->whole.c.codes_depth; i++)
            if (p->of_part.codes[k].code[i] != p->of_whole.codes[k].code[i])
                breach(p->name, "a code", p->of_part.codes[k].code[i], p->of_whole.codes[k].code[i]);
}

/* Ranks that hold the same piece have the same bits in it. */
static void check_copies(const Pair *p, const Param *q, const float *x)
{
    double *sums = calloc((size_t)size, sizeof *sums);
    uint32_t bits, sum = 0;
    for (int64_t e = 0; e < q->count; e++) {
        memcpy(&bits, x + e, sizeof bits);
        sum = 31 * sum + bits;
    }
    sums[rank] = sum;
    comm_sum_f64(MPI_COMM_WORLD, sums, size);
    if (sums[rank] != sums[rank - rank % q->copies])
        breach(p->name, q->name, sums[rank], sums[rank - rank % q->copies]);
    free(sums);
}

/* How large a tensor's gradient is; that of a bias of keys is 0 but for rounding where attention does not see what all
   keys have in common, so it is measured by its matrix's. */
static double size_of(const Pair *p, int i)
{
    char name[PARAM_NAME];
    const Param *q = &p->whole.table.p[i];
    snprintf(name, sizeof name, "%s", q->name);
    char *last = name + strlen(name) - 2;
    double size2 = op_sumsq(&op, p->whole.grads + q->grad, q->count);
    if (strcmp(last, "bk") == 0) {
        *last = 'w';
        const Param *matrix = &p->whole.table.p[params_find(&p->whole.table, name)];
        size2 = fmax(size2, op_sumsq(&op, p->whole.grads + matrix->grad, matrix->count));
    }
    return sqrt(size2);
}

/* Where each piece is counted by the rank that speaks for it, the ranks' squares make those of the whole. */
static void check_norm(const Pair *p)
{
    double want = 0, got = 0;
    for (int i = 0; i < p->part.table.n; i++) {
        const Param *all = &p->whole.table.p[i], *q = &p->part.table.p[i];
        want += all->grad < 0 ? 0 : op_sumsq(&op, p->whole.grads + all->grad, all->count);
        got += q->grad < 0 || !params_speak(&p->part.table, i) ? 0 : op_sumsq(&op, p->part.grads + q->grad, q->count);
    }
    comm_sum_f64(MPI_COMM_WORLD, &got, 1);
    if (!near(got, want))
        breach(p->name, "|g|^2", got, want);
}

static void check_gradients(const Pair *p)
{
    check_norm(p);
    for (int i = 0; i < p->part.table.n; i++) {
        const Param *q = &p->part.table.p[i];
        if (q->grad < 0)
            continue;
        float *want = malloc((size_t)q->count * sizeof *want);
        double off = 0;
        cut(p, i, want, p->whole.grads + p->whole.table.p[i].grad);
        for (int64_t e = 0; e < q->count; e++)
            off += pow((double)p->part.grads[q->grad + e] - want[e], 2);
        const double all = size_of(p, i);
        if (!(sqrt(off) <= 1e-5 * all))
            breach(p->name, q->name, sqrt(off), 1e-5 * all);
        check_copies(p, q, p->part.grads + q->grad);
        free(want);
    }
}

static void pass(Model *m, Tape *t, const Batch *b, Losses *sum, bool train)
{
    Losses global = { 0 };
    m->c.train = train;
    *sum = (Losses){ 0 };
    model_count(m, t, b, &global);
    op.zero(m->grads, m->table.grads);
    model_forward(m, t, b, &global, sum);
    if (train)
        model_backward(m, t, b, NULL);
}

static void compare(Pair *p, const Batch *b, bool train)
{
    Losses want, got;
    pass(&p->whole, &p->of_whole, b, &want, train);
    pass(&p->part, &p->of_part, b, &got, train);
    check_losses(p, &got, &want);
    if (p->whole.c.codes_given == 0)
        check_codes(p, b);
    if (train)
        check_gradients(p);
}

/* The codebooks move by what the pass gathered; figures of the whole codebook are the same on every rank. */
static void update_codes(Pair *p)
{
    for (int k = 0; k < BRANCHES; k++) {
        CodesUse want, got;
        codes_update(&want, &p->whole.w.codes[k], &p->whole.dw.codes[k], 0.5f, &TP_ALONE);
        codes_update(&got, &p->part.w.codes[k], &p->part.dw.codes[k], 0.5f, &p->tp);
        if (got.restarts != want.restarts || memcmp(got.used, want.used, sizeof got.used) != 0)
            breach(p->name, "codes in use or started again", (double)got.restarts, (double)want.restarts);
        if (want.restarts == 0)
            breach(p->name, "restarts", 0, 1);             /* else nothing would be compared */
        for (int i = 0; i < got.books; i++)
            if (!near(got.perplexity[i], want.perplexity[i]))
                breach(p->name, "a perplexity", got.perplexity[i], want.perplexity[i]);
    }
    for (int i = 0; i < p->part.table.n; i++) {
        const Param *q = &p->part.table.p[i];
        float *want = malloc((size_t)q->count * sizeof *want);
        cut(p, i, want, p->whole.weights + p->whole.table.p[i].offset);
        for (int64_t e = 0; e < q->count; e++)
            if (!(fabsf(p->part.weights[q->offset + e] - want[e]) <= 1e-5f))         /* values are of order 1 */
                breach(p->name, q->name, p->part.weights[q->offset + e], want[e]);
        free(want);
    }
}

static void every_stage_and_supervision(void **state)
{
    (void)state;
    for (int i = 0; i < NCASES; i++) {
        const Case *k = &CASES[i];
        static Pair p;
        BatchCase c;
        if (!divides(k))
            continue;
        const ModelConf conf = conf_of(k);
        case_batch(&c, k->stage == STAGE_CONTRAST);
        open_pair(&p, k->name, &conf);
        compare(&p, &c.batch, true);
        if (k->stage == STAGE_TOKENIZER)
            update_codes(&p);
        c.batch.step = 1;
        compare(&p, &c.batch, true);           /* soft targets are there already */
        compare(&p, &c.batch, false);
        close_pair(&p);
    }
    assert_none();
}

/* ---- generation ---- */

static void check_logits(const Pair *p, const float *got, const float *want)
{
    float *first = malloc((size_t)p->whole.c.decoder.V * sizeof *first);
    memcpy(first, got, (size_t)p->whole.c.decoder.V * sizeof *first);
    comm_bcast(MPI_COMM_WORLD, first, (size_t)p->whole.c.decoder.V * sizeof *first, 0);
    if (memcmp(first, got, (size_t)p->whole.c.decoder.V * sizeof *first) != 0)
        breach(p->name, "a logit of another rank", 1, 0);
    for (int v = 0; v < p->whole.c.decoder.V; v++)
        if (!(fabsf(got[v] - want[v]) <= 1e-5f))           /* logits are of order 1 */
            breach(p->name, "a logit", got[v], want[v]);
    free(first);
}

static void generates(void **state)
{
    (void)state;
    static const int32_t prompt[] = { 1, IMAGE_TOKEN, 7, 9 };
    for (int i = 0; i < NCASES; i++) {
        static Pair p;
        Case k = CASES[i];
        BatchCase c;
        Decode whole, part;
        if (k.stage != STAGE_INSTRUCT || !divides(&k))
            continue;
        k.trainable = "";
        ModelConf conf = conf_of(&k);
        conf.train = false;
        case_batch(&c, false);
        open_pair(&p, k.name, &conf);
        decode_open(&whole, &p.whole, 2, 30, 40), decode_open(&part, &p.part, 2, 30, 40);
        for (int s = 0; s < 2; s++) {                          /* the same in both slots, in one pass */
            decode_add(&whole, s, prompt, 4, model_image_rows(&p.whole, &p.of_whole, c.pixels, 1));
            decode_add(&part, s, prompt, 4, model_image_rows(&p.part, &p.of_part, c.pixels, 1));
        }
        for (int j = 0; j < 3; j++) {
            const int32_t next = 5 + j;
            decode_pass(&whole), decode_pass(&part);
            for (int s = 0; s < 2; s++) {
                check_logits(&p, part.logits + s * conf.decoder.V, whole.logits + s * conf.decoder.V);
                decode_add(&whole, s, &next, 1, NULL), decode_add(&part, s, &next, 1, NULL);
            }
        }
        if (model_has(&p.whole, PART_CODES)) {
            c.batch.I = 2;
            model_codes(&p.whole, &p.of_whole, c.pixels, 2), model_codes(&p.part, &p.of_part, c.pixels, 2);
            check_codes(&p, &c.batch);
        }
        decode_close(&whole), decode_close(&part);
        close_pair(&p);
    }
    assert_none();
}

static int reference(void **s) { (void)s; ops_use(NULL, 1); return 0; }
static int fast(void **s) { (void)s; ops_use(&OPS_CPU, 1); return 0; }

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    rank = comm_rank(MPI_COMM_WORLD);
    size = comm_size(MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_stage_and_supervision, reference),
        cmocka_unit_test_setup(every_stage_and_supervision, fast),
        cmocka_unit_test_setup(generates, reference), cmocka_unit_test_setup(generates, fast),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
