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

enum { LEN = 40, V = 40, SLOTS = 3, IMG = IMAGE_TOKEN };

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

/* Three slots; len rows each, and as many and three in a pass. */
static Chat *open_chat_on(int len, unsigned kind, Tp *tp)
{
    Chat *c = calloc(1, sizeof *c);
    ModelConf conf = case_conf(STAGE_INSTRUCT, "");
    conf.train = false;
    case_kind(&conf, kind);
    case_batch(&c->c, false);
    assert_true(case_open(&c->m, &c->t, &conf, tp));
    case_shake(&c->m, 0.1f);
    const size_t bytes = 2 * (size_t)c->m.w.vision.P * (size_t)conf.decoder.C * sizeof(float);
    c->image = malloc(bytes);
    memcpy(c->image, model_image_rows(&c->m, &c->t, c->c.pixels, 2), bytes);
    decode_open(&c->d, &c->m, SLOTS, len, len + SLOTS);
    return c;
}

static Chat *open_chat_of(int len, unsigned kind) { return open_chat_on(len, kind, &TP_ALONE); }

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

/* A pass of its own. */
static bool say(Chat *c, const int32_t *tokens, int n, const float *image_rows)
{
    if (!decode_add(&c->d, 0, tokens, n, image_rows))
        return false;
    decode_pass(&c->d);
    return true;
}

static void one_by_one(unsigned kind)
{
    Chat *c = open_chat_of(LEN, kind);
    double *z = whole_logits(c);
    for (int round = 0; round < 2; round++) {              /* the second starts over in a used cache */
        decode_start(&c->d, 0);
        assert_true(say(c, sequence, HEAD, c->image));
        for (int j = HEAD, row = ROWS - TOKENS + HEAD; j < TOKENS; j++, row++) {
            assert_logits(c->d.logits, z + (row - 1) * V);
            assert_true(say(c, sequence + j, 1, NULL));
        }
        assert_int_equal(c->d.cache.len[0], ROWS);
        assert_logits(c->d.logits, z + (ROWS - 1) * V);
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
    assert_true(say(c, sequence, 3, c->image));
    assert_logits(c->d.logits, z + (2 + P - 1) * V);
    assert_true(say(c, sequence + 3, TOKENS - 3, c->image + P * C));
    assert_logits(c->d.logits, z + (ROWS - 1) * V);
    free(z);
    close_chat(c);
}

/*
 * The same sequence in three slots, that of slot s begun s passes later, with its tokens beside the others' prompts and tokens, and added in
 * turning order: each row's logits are those of the whole sequence; with leaves to the bit those of a sequence that has the passes to itself,
 * before the model was packed.
 */
static void among_others(unsigned kind, Tp *tp)
{
    Chat *c = open_chat_on(LEN, kind, tp);
    double *z = whole_logits(c);
    float alone[TOKENS][V];
    for (int j = HEAD; j <= TOKENS; j++) {
        assert_true(j == HEAD ? say(c, sequence, HEAD, c->image) : say(c, sequence + j - 1, 1, NULL));
        memcpy(alone[j - 1], c->d.logits, sizeof alone[0]);
    }
    decode_start(&c->d, 0);
    model_pack(&c->m);
    assert_true(c->m.w.decoder.block[0].down.packed == (tp->leaves > 0));
    for (int pass = 0; pass < TOKENS - HEAD + SLOTS; pass++) {
        int said[SLOTS], pieces = 0;
        for (int k = 0; k < SLOTS; k++) {
            const int s = (k + pass) % SLOTS, j = HEAD + pass - s;
            if (j < HEAD || j > TOKENS)
                continue;
            assert_true(j == HEAD ? decode_add(&c->d, s, sequence, HEAD, c->image) : decode_add(&c->d, s, sequence + j - 1, 1, NULL));
            said[pieces++] = j;
        }
        decode_pass(&c->d);
        assert_int_equal(c->d.pieces, pieces);
        for (int i = 0; i < pieces; i++) {
            assert_logits(c->d.logits + i * V, z + (ROWS - TOKENS + said[i] - 1) * V);
            if (tp->leaves)
                assert_memory_equal(c->d.logits + i * V, alone[said[i] - 1], sizeof alone[0]);
        }
    }
    decode_cut(&c->d, 1, ROWS - 2);                        /* the last two once more */
    assert_true(decode_add(&c->d, 1, sequence + TOKENS - 2, 2, NULL));
    decode_pass(&c->d);
    assert_logits(c->d.logits, z + (ROWS - 1) * V);
    assert_int_equal(c->d.cache.len[1], ROWS);
    free(z);
    close_chat(c);
}

static void together(void **state)
{
    (void)state;
    Tp blocks = TP_ALONE;
    blocks.leaves = 2;
    among_others(CASE_QK_NORM, &TP_ALONE), among_others(CASE_LORA, &TP_ALONE);
    among_others(CASE_QK_NORM, &blocks), among_others(CASE_LORA, &blocks);
}

static void what_does_not_fit(void **state)
{
    (void)state;
    Chat *c = open_chat(ROWS);
    double *z = whole_logits(c);
    int32_t longer[TOKENS + 1] = { 6 };
    memcpy(longer + 1, sequence, sizeof sequence);
    assert_false(say(c, longer, TOKENS + 1, c->image));
    assert_int_equal(c->d.cache.len[0], 0);
    assert_false(say(c, sequence, 0, NULL));
    assert_true(say(c, sequence, TOKENS, c->image));     /* to the last row */
    assert_false(say(c, longer, 1, NULL));
    assert_false(say(c, sequence, 2, c->image));
    assert_int_equal(c->d.cache.len[0], ROWS);
    assert_logits(c->d.logits, z + (ROWS - 1) * V);           /* nothing was done */
    free(z);
    close_chat(c);
}

static void beyond_the_cache(void **state)
{
    (void)state;
    static Chat *c;                                        /* outlives the jump out of die_at */
    c = open_chat(ROWS);
    assert_true(say(c, sequence, TOKENS, c->image));
    assert_true(DIES(llama_piece(&c->d.cache, 0, 1)));
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
    assert_true(say(c, sequence, TOKENS, c->image));
    for (int i = 0; i < 5; i++)                            /* whatever the random number */
        assert_int_equal(decode_pick(&c->d, 0, 0, i / 5.0), largest(z + (ROWS - 1) * V));
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
    assert_true(say(c, sequence, TOKENS, c->image));
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
    assert_int_equal(decode_pick(&c->d, 0, 1, 0), 0);
    assert_int_equal(decode_pick(&c->d, 0, 1, 1 - 0x1p-53), V - 1);
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
        cmocka_unit_test_setup(together, reference),          cmocka_unit_test_setup(together, fast),
        cmocka_unit_test_setup(what_does_not_fit, reference), cmocka_unit_test_setup(beyond_the_cache, reference),
        cmocka_unit_test_setup(greedy, reference),            cmocka_unit_test_setup(greedy, fast),
        cmocka_unit_test_setup(sampling, reference),          cmocka_unit_test_setup(sampling, fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
