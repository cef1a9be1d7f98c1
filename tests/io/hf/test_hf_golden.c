/* test_hf_golden.c -- what is exported, by its Hugging Face names, is the model that PyTorch computes; what is imported, too
 *
 * Without GOLDEN_DIR: losses and gradients of the cases, the gradients in the files' layout, against numbers that
 * tests/ref/hf.py wrote; and LLaVA folders, written here from numbers that every tensor's name gives, imported, their
 * logits against its.  With GOLDEN_DIR: writes the cases there for hf.py, and imports the LLaVA folders that it left. */
#include <math.h>

#include "io/base/files.h"
#include "tests/core/op_values.h"
#include "tests/io/hf/hf_dump.h"

enum { HF_DEPTHS = HF_Q * BRANCHES, LLAVA_SEED = 11, LLAVA_M = 8 };

typedef struct { const char *name; double norm, along[2]; } HfGradient;
typedef struct {
    const char *name;
    double loss, text, visual[HF_DEPTHS];
    const HfGradient *gradient;                    /* ends with a NULL name */
} HfGolden;
typedef struct { const char *name; int dims; int64_t shape[4]; } HfShape;
typedef struct {
    const char *name;
    StType type;
    bool bias;
    const HfShape *shape;                          /* ends with a NULL name */
    const double *logits;
} HfLlava;

#include "tests/golden/hf_golden.h"

/* Float against double.  Measured: losses 8e-8; norms and components of gradients 1.3e-6 of the norm (with the fast ops,
   whose tanh and exp are polynomials; 5e-7 with the reference); logits 2.2e-6.  The smallest mistakes tried: the denoising
   head's epsilon 1e-5 for 1e-6 moves a gradient by 1.6e-5, the tower's by 4e-5, the visual head's by 1e-4; a tanh-gelu for
   an exact one by 1e-4 to 4e-4; bf16 cut instead of rounded moves logits by 5e-2; a wrong place or name by 1e-2 to 1. */
static const double TOLERANCE = 8e-6, LOSS_TOLERANCE = 1e-6;

static void assert_close(const char *name, const char *what, double got, double want, double size,
                         double tolerance)
{
    const double error = fabs(got - want) / size;
    if (!(error <= tolerance))
        fail_msg("%s: %s is %.9g, PyTorch says %.9g: off by %.2e", name, what, got, want, error);
}

/* ---- losses and gradients ---- */

static const HfGolden *golden_of(const char *name)
{
    for (size_t i = 0; i < sizeof HF_GOLDEN / sizeof *HF_GOLDEN; i++)
        if (strcmp(HF_GOLDEN[i].name, name) == 0)
            return &HF_GOLDEN[i];
    fail_msg("there are no golden numbers of the case %s", name);
    return NULL;
}

static double along(const float *g, int64_t n, double a, double b)
{
    double dot = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = cos(a + b * (double)i);
        dot += d * g[i];
        norm += d * d;
    }
    return dot / sqrt(norm);
}

/* A gradient that vanishes by construction (the bias of keys) is held against all the others. */
static void compare_gradients(const Model *m, const HfGolden *want)
{
    Whole w[WHOLES];
    const int n = wholes_of(w, m, true);
    double whole = 0;
    int expected = 0;
    for (const HfGradient *g = want->gradient; g->name; g++, expected++)
        whole += g->norm * g->norm;
    assert_int_equal(n, expected);
    for (int i = 0; i < n; i++) {
        const HfGradient *g = want->gradient;
        const int64_t count = w[i].t.rows * w[i].t.cols;
        while (g->name && strcmp(g->name, w[i].t.name))
            g++;
        if (!g->name)
            fail_msg("%s: PyTorch's model has no %s", want->name, w[i].t.name);
        const double size = g->norm > 1e-9 * sqrt(whole) ? g->norm : sqrt(whole);
        assert_close(want->name, g->name, sqrt(op_sumsq(&op, w[i].x, count)), g->norm, size, TOLERANCE);
        assert_close(want->name, g->name, along(w[i].x, count, 0.1, 0.7), g->along[0], size, TOLERANCE);
        assert_close(want->name, g->name, along(w[i].x, count, 0.3, 1.9), g->along[1], size, TOLERANCE);
    }
    wholes_free(w, n);
}

static void compare_losses(const Model *m, const Losses *sum, const HfGolden *want)
{
    double visual[BRANCHES * MAX_DEPTH] = { 0 };
    const int depths = model_visual_depths(m, sum, visual);
    assert_close(want->name, "loss", model_loss(m, sum), want->loss, want->loss, LOSS_TOLERANCE);
    assert_close(want->name, "text loss", sum->text / sum->n_text, want->text, want->text, LOSS_TOLERANCE);
    for (int k = 0; k < depths; k++)
        assert_close(want->name, "a visual loss", visual[k], want->visual[k], want->visual[k], LOSS_TOLERANCE);
    assert_true(depths == HF_DEPTHS || want->visual[depths] == 0);
}

static void shake(Model *m)
{
    for (int i = 0; i < m->table.n; i++)
        for (int64_t e = 0; e < m->table.p[i].count; e++)
            m->weights[m->table.p[i].offset + e] += 0.1f * (float)rng_normal(9, rng_stream(m->table.p[i].name), (uint64_t)e);
}

static void run_case(const HfCase *c, const HfGolden *want, const char *root)
{
    const ModelConf conf = hf_conf(c);
    Model m;
    Tape t;
    HfBatch b;
    Losses global = { 0 }, sum = { 0 };
    hf_batch(&b);
    assert_true(model_open(&m, &conf, &TP_ALONE));
    tape_open(&t, &m);
    shake(&m);
    model_count(&m, &t, &b.batch, &global);
    model_forward(&m, &t, &b.batch, &global, &sum);
    model_backward(&m, &t, &b.batch, NULL);
    if (root)
        dump_case(root, c->name, &m, &b, &sum);
    if (want) {
        compare_losses(&m, &sum, want);
        compare_gradients(&m, want);
    }
    tape_close(&t);
    model_close(&m);
}

static void cases(void **s)
{
    (void)s;
    const char *root = getenv("GOLDEN_DIR");
    for (int i = 0; i < HF_CASE_COUNT; i++)
        run_case(&HF_CASES[i], root ? NULL : golden_of(HF_CASES[i].name), root);
    if (root) {
        char path[PATH_ROOM];
        snprintf(path, sizeof path, "%s/cases", root);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        for (int i = 0; i < HF_CASE_COUNT; i++)
            fprintf(f, "%s\n", HF_CASES[i].name);
        assert_int_equal(fclose(f), 0);
        return;
    }
    HfCase shifted = HF_CASES[0];                  /* text alone does not care where codes would be learned */
    shifted.shift = 1;
    run_case(&shifted, golden_of(shifted.name), NULL);
}

/* ---- LLaVA ---- */

static void llava_write(const HfLlava *g, const char *dir)
{
    Whole w[WHOLES] = { 0 };
    int n = 0;
    for (const HfShape *s = g->shape; s->name; s++, n++) {
        const size_t end = strlen(s->name);
        const bool norm = s->dims == 1 && end > 7 && !strcmp(s->name + end - 7, ".weight");
        whole_new(&w[n], s->name, s->dims, s->shape);
        for (int64_t i = 0; i < w[n].t.rows * w[n].t.cols; i++)
            w[n].x[i] = (float)(0.1 * rng_normal(LLAVA_SEED, rng_stream(s->name), (uint64_t)i) + (norm ? 1 : 0));
    }
    wholes_write(dir, w, n, g->type);
    wholes_free(w, n);
}

/* Every tensor of the folder to its places, and every weight of the model from the folder. */
static void llava_import(Model *m, const char *dir)
{
    St s;
    Err e = { 0 };
    int filled = 0;
    must(st_open(&s, dir, "", &e), &e);
    for (int i = 0; i < s.tensors; i++) {
        HfPiece piece[HF_PIECES];
        const int n = hf_pieces(s.tensor[i].name, HF_Q, piece);
        assert_true(n >= 0);
        for (int k = 0; k < n; k++) {
            const HfPiece *p = &piece[k];
            const int at = params_find(&m->table, p->ours);
            if (at < 0) {
                assert_true(p->extra);
                continue;
            }
            const Param *q = &m->table.p[at];
            must(st_read(&s, &s.tensor[i], (int64_t)p->row_block * q->rows, q->rows, (int64_t)p->col_block * q->cols,
                         q->cols, m->weights + q->offset, q->cols, &e), &e);
            filled++;
        }
    }
    assert_int_equal(filled, m->table.n);
    st_close(&s);
}

static void compare_config(const Model *m, const char *dir)
{
    char path[PATH_ROOM], *text;
    size_t bytes;
    HfDifference d[HF_DIFFERENCES];
    Err e = { 0 };
    snprintf(path, sizeof path, "%s/config.json", dir);
    must(file_read(path, 1 << 20, &text, &bytes, &e), &e);
    const int n = hfconfig_compare(text, bytes, path, dump_number, &m->c, d, &e);
    if (n)
        fail_msg("%s: %s is %s, not %s %s", path, d[0].theirs, d[0].got, d[0].expected, e.what);
    free(text);
}

static void llava_compare(const HfLlava *g, const char *dir, bool with_config)
{
    static const int32_t tokens[LLAVA_M] = { 1, 7, IMAGE_TOKEN, 9, 4, 5, 2, 3 };
    static const HfCase plain = { "llava", SUPERVISE_NONE, 0, "", .no_bias = false };
    const int32_t labels[LLAVA_M] = { IGNORE, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE };
    const int32_t start[2] = { 0, LLAVA_M }, image[2] = { 0, 1 };
    const int64_t sample[1] = { 0 };
    HfBatch b;
    ModelConf conf = hf_conf(&plain);
    Losses global = { 0 }, sum = { 0 };
    Model m;
    Tape t;
    hf_batch(&b);
    conf.train = false;
    conf.parts = PART_VISION | PART_PROJECTOR | PART_DECODER;      /* the whole tower */
    conf.decoder.qkv_bias = g->bias;
    const Batch batch = { .B = 1, .I = 1, .M = LLAVA_M, .tokens = tokens, .labels = labels, .token_start = start,
                          .image_start = image, .pixels = b.pixels, .sample = sample, .global_batch = 1 };
    assert_true(model_open(&m, &conf, &TP_ALONE));
    tape_open(&t, &m);
    llava_import(&m, dir);
    if (with_config)
        compare_config(&m, dir);
    model_forward(&m, &t, &batch, &global, &sum);
    const int N = LLAVA_M - 1 + HF_P, V = conf.decoder.V;
    float *logits = calloc((size_t)(N * V), sizeof *logits);
    double norm = 0;
    assert_int_equal(t.splice.N, N);
    op.linear_fwd(logits, t.decoder.h, &m.w.decoder.lm_head, N);
    for (int i = 0; i < N * V; i++)
        norm += g->logits[i] * g->logits[i] / (N * V);
    for (int i = 0; i < N * V; i++)
        assert_close(g->name, "a logit", logits[i], g->logits[i], sqrt(norm), TOLERANCE);
    free(logits);
    tape_close(&t);
    model_close(&m);
}

static void llava(void **s)
{
    (void)s;
    const char *root = getenv("GOLDEN_DIR"), *tmp = getenv("TMP");
    for (size_t i = 0; i < sizeof HF_LLAVA_GOLDEN / sizeof *HF_LLAVA_GOLDEN; i++) {
        const HfLlava *g = &HF_LLAVA_GOLDEN[i];
        char dir[PATH_ROOM / 2], file[PATH_ROOM];
        if (root) {
            snprintf(dir, sizeof dir, "%s/%s", root, g->name);
            if (access(dir, F_OK) == 0)
                llava_compare(g, dir, true);
            continue;
        }
        snprintf(dir, sizeof dir, "%s/asvr-hf-XXXXXX", tmp ? tmp : "/tmp");
        assert_non_null(mkdtemp(dir));
        llava_write(g, dir);
        llava_compare(g, dir, false);
        snprintf(file, sizeof file, "%s/" ST_SINGLE, dir);
        assert_true(unlink(file) == 0 && rmdir(dir) == 0);
    }
}

static int reference(void **s) { (void)s; ops_use(NULL, 1); return 0; }
static int fast(void **s) { (void)s; ops_use(&OPS_CPU, 1); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cases, reference), cmocka_unit_test_setup(cases, fast),
        cmocka_unit_test_setup(llava, reference), cmocka_unit_test_setup(llava, fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
