/* test_decode.c -- generation: a token at a time gives what the whole sequence at once gives; picking the next token */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/decode.h"
#include "tests/core/dies.h"
#include "tests/core/model_case.h"
#include "tests/core/op_values.h"

enum { LEN = 40, V = 40, IMG = IMAGE_TOKEN };

/* Two pictures among the text: 1 + 9 + 2 + 9 + 4 = 25 rows. */
static const int32_t sequence[] = { 1, IMG, 7, 9, IMG, 4, 5, 2, 3 };
enum { TOKENS = sizeof sequence / sizeof *sequence, ROWS = 25, HEAD = 5 };     /* the first five make the prompt */

typedef struct {
    Model     m;
    Tape      t;
    BatchCase c;
    Decode    d;
    float    *image;                                       /* (2 P, C) projected rows of two pictures */
} Chat;

static Chat *open_chat_of(int len, unsigned kind)
{
    Chat *c = calloc(1, sizeof *c);
    ModelConf conf = case_conf(STAGE_INSTRUCT, "");
    conf.train = false;
    case_kind(&conf, kind);
    case_batch(&c->c, false);
    assert_true(case_open(&c->m, &c->t, &conf, &TP_ALONE));
    case_shake(&c->m, 0.1f);
    const size_t bytes = 2 * (size_t)c->m.w.vision.P * (size_t)conf.decoder.C * sizeof(float);
    c->image = malloc(bytes);
    memcpy(c->image, model_image_rows(&c->m, &c->t, c->c.pixels, 2), bytes);
    decode_open(&c->d, &c->m, len);
    decode_start(&c->d);
    return c;
}

static Chat *open_chat(int len) { return open_chat_of(len, 0); }

static void close_chat(Chat *c)
{
    decode_close(&c->d);
    case_close(&c->m, &c->t);
    free(c->image);
    free(c);
}

/* Logits (ROWS,V) of the whole sequence, from the decoder's training forward pass and plain dot products. */
static double *whole_logits(Chat *c)
{
    Model *m = &c->m;
    const int C = m->c.decoder.C, P = m->w.vision.P;
    int32_t pos[ROWS], start[2] = { 0, ROWS };
    float *x = c->t.decoder.x;
    int n = 0, images = 0;
    for (int j = 0; j < TOKENS; j++) {
        const bool image = sequence[j] == IMG;
        memcpy(x + n * C, image ? c->image + images * P * C : m->w.decoder.embed + sequence[j] * C,
               (size_t)(image ? P : 1) * (size_t)C * sizeof *x);
        images += image;
        n += image ? P : 1;
    }
    assert_int_equal(n, ROWS);
    for (int i = 0; i < ROWS; i++)
        pos[i] = i;
    llama_forward(&c->t.decoder, &m->w.decoder, &(Rows){ ROWS, 1, start, pos }, &TP_ALONE);
    double *z = calloc(ROWS * V, sizeof *z);
    for (int i = 0; i < ROWS * V; i++)
        for (int k = 0; k < C; k++)
            z[i] += (double)c->t.decoder.h[i / V * C + k] * m->w.decoder.lm_head.w[i % V * C + k];
    return z;
}

/* Sums of 24 to 36 floats in another order, through two layers: 1e-5 of logits of order 1. */
static void assert_logits(const float *got, const double *want)
{
    for (int v = 0; v < V; v++)
        assert_true(fabs(got[v] - want[v]) < 1e-5);
}

static void one_by_one(unsigned kind)
{
    Chat *c = open_chat_of(LEN, kind);
    double *z = whole_logits(c);
    for (int round = 0; round < 2; round++) {              /* the second starts over in a used cache */
        decode_start(&c->d);
        assert_true(decode_prompt(&c->d, sequence, HEAD, c->image));
        for (int j = HEAD, row = ROWS - TOKENS + HEAD; j < TOKENS; j++, row++) {
            assert_logits(decode_logits(&c->d), z + (row - 1) * V);
            assert_true(decode_token(&c->d, sequence[j]));
        }
        assert_int_equal(c->d.cache.len, ROWS);
        assert_logits(decode_logits(&c->d), z + (ROWS - 1) * V);
    }
    free(z);
    close_chat(c);
}

static void token_by_token(void **state)
{
    (void)state;
    one_by_one(0);
    for (int i = 0; i < N_CASE_KINDS; i++)
        one_by_one(CASE_KINDS[i]);
}

/* A prompt in pieces is the same prompt: a second question with a second picture. */
static void prompt_in_pieces(void **state)
{
    (void)state;
    Chat *c = open_chat(LEN);
    double *z = whole_logits(c);
    const int C = c->m.c.decoder.C, P = c->m.w.vision.P;
    assert_true(decode_prompt(&c->d, sequence, 3, c->image));
    assert_logits(decode_logits(&c->d), z + (2 + P - 1) * V);
    assert_true(decode_prompt(&c->d, sequence + 3, TOKENS - 3, c->image + P * C));
    assert_logits(decode_logits(&c->d), z + (ROWS - 1) * V);
    free(z);
    close_chat(c);
}

static void what_does_not_fit(void **state)
{
    (void)state;
    Chat *c = open_chat(ROWS);
    double *z = whole_logits(c);
    int32_t longer[TOKENS + 1] = { 6 };
    memcpy(longer + 1, sequence, sizeof sequence);
    assert_false(decode_prompt(&c->d, longer, TOKENS + 1, c->image));
    assert_int_equal(c->d.cache.len, 0);
    assert_false(decode_prompt(&c->d, sequence, 0, NULL));
    assert_true(decode_prompt(&c->d, sequence, TOKENS, c->image));     /* to the last row */
    assert_false(decode_token(&c->d, 6));
    assert_false(decode_prompt(&c->d, sequence, 2, c->image));
    assert_int_equal(c->d.cache.len, ROWS);
    assert_logits(decode_logits(&c->d), z + (ROWS - 1) * V);           /* nothing was done */
    free(z);
    close_chat(c);
}

static void beyond_the_cache(void **state)
{
    (void)state;
    static Chat *c;                                        /* outlives the jump out of die_at */
    c = open_chat(ROWS);
    const int32_t pos[1] = { ROWS };
    assert_true(decode_prompt(&c->d, sequence, TOKENS, c->image));
    assert_true(DIES(llama_extend(&c->d.cache, &c->m.w.decoder, pos, 1, &TP_ALONE)));
    close_chat(c);
}

static int largest(const double *z)
{
    int best = 0;
    for (int v = 1; v < V; v++)
        best = z[v] > z[best] ? v : best;
    return best;
}

static void greedy(void **state)
{
    (void)state;
    Chat *c = open_chat(LEN);
    double *z = whole_logits(c);
    assert_true(decode_prompt(&c->d, sequence, TOKENS, c->image));
    for (int i = 0; i < 5; i++)                            /* whatever the random number */
        assert_int_equal(decode_pick(&c->d, 0, i / 5.0), largest(z + (ROWS - 1) * V));
    free(z);
    close_chat(c);
}

/*
 * Shares of 20,000 draws against softmax(z / temperature).  A share p varies by sqrt(p (1-p) / 20000); of 3 x 40 shares
 * none strays by 5 of these.  The draws are the same in each run.
 */
static void sampling(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    const float temperature[] = { 0.5f, 1, 2 };
    Chat *c = open_chat(LEN);
    double *z = whole_logits(c), *last = z + (ROWS - 1) * V;
    assert_true(decode_prompt(&c->d, sequence, TOKENS, c->image));
    for (int t = 0; t < 3; t++) {
        double drawn[V] = { 0 }, p[V], sum = 0;
        for (int v = 0; v < V; v++)
            sum += p[v] = exp(3 * last[v] / temperature[t]);
        for (int v = 0; v < V; v++)
            c->d.logits[v] = (float)(3 * last[v]);         /* further from uniform than a random model's */
        for (int i = 0; i < DRAWS; i++)
            drawn[op_pick(&op, c->d.logits, V, temperature[t], rng_uniform(6, (uint64_t)t, (uint64_t)i))]++;
        for (int v = 0; v < V; v++)
            assert_true(fabs(drawn[v] / DRAWS - p[v] / sum) < 5 * sqrt(p[v] / sum / DRAWS));
    }
    assert_int_equal(decode_pick(&c->d, 1, 0), 0);
    assert_int_equal(decode_pick(&c->d, 1, 1 - 0x1p-53), V - 1);
    free(z);
    close_chat(c);
}

static int reference(void **s) { (void)s; ops_use(NULL, 1); return 0; }
static int fast(void **s) { (void)s; ops_use(&OPS_CPU, 1); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(token_by_token, reference),    cmocka_unit_test_setup(token_by_token, fast),
        cmocka_unit_test_setup(prompt_in_pieces, reference),  cmocka_unit_test_setup(prompt_in_pieces, fast),
        cmocka_unit_test_setup(what_does_not_fit, reference), cmocka_unit_test_setup(beyond_the_cache, reference),
        cmocka_unit_test_setup(greedy, reference),            cmocka_unit_test_setup(greedy, fast),
        cmocka_unit_test_setup(sampling, reference),          cmocka_unit_test_setup(sampling, fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
