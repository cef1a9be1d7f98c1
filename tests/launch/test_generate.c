/* test_generate.c -- answers of many prompts at once are those of each alone, whatever goes beside them and from whatever was kept */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/text/text.h"
#include "launch/eval/generate.h"
#include "tests/core/model_case.h"

enum { LEN = 64, NEW = 7, ASKED = 6, V = 320, SIDE = 13, IMG = IMAGE_TOKEN };

static const char TEXT[] = "a cat is on the left\na dog is on the right\nthe red apple is above the table\n";
static char dir[] = "/tmp/asvr-generate-XXXXXX", corpus[64], model[64];
static Text *text;
static Model m;
static Tape tape;
static uint8_t pixels[4 * SIDE * SIDE * 3];

/* Prompts with none, one or two pictures, of several lengths; the first two differ in their pictures alone. */
static const int32_t PROMPT[ASKED][8] = { { 1, IMG, 40, 41 }, { 1, IMG, 40, 41 }, { 1, 50, 51, 52, 53, 54 }, { 1, IMG, 60, IMG, 61 }, { 1, 70 }, { 1, IMG, 40, 41, 42, 43, 44 } };
static const int LENGTH[ASKED] = { 4, 4, 6, 5, 2, 7 }, IMAGES[ASKED] = { 1, 1, 0, 2, 0, 1 }, FIRST[ASKED] = { 0, 1, 0, 2, 0, 0 };

static Request asked(int i)
{
    return (Request){ .tokens = PROMPT[i], .n = LENGTH[i], .images = IMAGES[i], .pixels = pixels + (size_t)FIRST[i] * SIDE * SIDE * 3,
                      .temperature = i % 2 ? 1 : 0, .seed = (uint64_t)i, .max_new = i == 2 ? 3 : 0 };
}

static void open_generator(Generator *g, int slots, bool keep)
{
    const GeneratorShape s = { .slots = slots, .max_len = LEN, .max_new = NEW, .template_ = TEMPLATE_V1, .keep = keep };
    generate_open(g, &m, &tape, text, &s);
}

/* What each prompt is answered alone, in a generator of its own. */
static void alone(char out[ASKED][256])
{
    for (int i = 0; i < ASKED; i++) {
        Generator g;
        const Request q = asked(i);
        open_generator(&g, 1, false);
        assert_true(generate_prompt(&g, &q, out[i], 256));
        generate_close(&g);
    }
}

/* All of them through fewer slots, the next as soon as one is free; slot by slot what has ended is read and let go. */
static void through(int slots, bool keep, int rounds)
{
    char want[ASKED][256], got[256];
    Generator g;
    int of[ASKED], next = 0, done = 0;
    alone(want);
    open_generator(&g, slots, keep);
    while (done < rounds * ASKED) {
        for (; next < rounds * ASKED; next++) {
            const Request q = asked(next % ASKED);
            const int slot = generate_add(&g, &q);
            if (slot == GENERATE_FULL)
                break;
            assert_true(slot >= 0 && slot < slots);
            of[slot] = next % ASKED;
        }
        assert_true(generate_step(&g));
        for (int s = 0; s < slots; s++)
            if (g.slot[s].taken && generate_ended(&g, s)) {
                const int n = generate_text(&g, s, got, sizeof got);
                assert_int_equal(n, strlen(got));
                assert_string_equal(got, want[of[s]]);
                generate_release(&g, s);
                done++;
            }
    }
    assert_false(generate_step(&g));
    generate_close(&g);
}

static void together(void **state)
{
    (void)state;
    for (int slots = 1; slots <= ASKED; slots++)
        through(slots, false, 2);
}

/* Most prompts of the second round find their own keys and values. */
static void kept(void **state)
{
    (void)state;
    for (int slots = 1; slots <= ASKED; slots++)
        through(slots, true, 3);
}

/* A talk's second turn begins with its first and what was answered: only the new rows go through. */
static void talk(void **state)
{
    (void)state;
    Generator g, fresh;
    char got[256], want[256];
    int32_t longer[LEN];
    Request q = asked(0);
    open_generator(&g, 2, true), open_generator(&fresh, 1, false);
    assert_true(generate_prompt(&g, &q, got, sizeof got));
    const Slot *s = &g.slot[0];
    const int n = s->n_held;
    assert_true(n >= q.n);
    memcpy(longer, s->held, (size_t)n * sizeof *longer);
    longer[n] = 80, longer[n + 1] = 81;
    q.tokens = longer, q.n = n + 2;
    const int slot = generate_add(&g, &q);
    assert_int_equal(slot, 0);
    assert_int_equal(decode_waiting(&g.d), 2);
    while (!generate_ended(&g, slot))
        generate_step(&g);
    generate_text(&g, slot, got, sizeof got);
    assert_true(generate_prompt(&fresh, &q, want, sizeof want));
    assert_string_equal(got, want);
    q.pixels = pixels + SIDE * SIDE * 3;                    /* the same tokens about another picture share what is in front of it */
    const int other = generate_add(&g, &q);
    assert_int_equal(other, 1);
    generate_release(&g, slot);
    generate_release(&g, other);
    generate_step(&g);
    const int again = generate_add(&g, &q);
    assert_int_equal(again, 1);
    assert_int_equal(decode_waiting(&g.d), 1);
    generate_close(&g), generate_close(&fresh);
}

/* What is let go under way keeps the rows that went through: the token that was to go in next is none of them. */
static void let_go(void **state)
{
    (void)state;
    Generator g, fresh;
    char got[256], want[256];
    int32_t longer[LEN];
    Request q = asked(5);
    open_generator(&g, 1, true), open_generator(&fresh, 1, false);
    const int slot = generate_add(&g, &q);
    generate_step(&g);
    generate_step(&g);
    assert_int_equal(generate_ended(&g, slot), ENDED_NOT);
    const int n = g.slot[slot].n_held;
    assert_int_equal(n, q.n + 2);
    memcpy(longer, g.slot[slot].held, (size_t)n * sizeof *longer);
    longer[n] = 80;
    generate_release(&g, slot);
    q.tokens = longer, q.n = n + 1;
    assert_int_equal(generate_add(&g, &q), slot);
    assert_int_equal(decode_waiting(&g.d), 2);
    while (!generate_ended(&g, slot))
        generate_step(&g);
    generate_text(&g, slot, got, sizeof got);
    assert_true(generate_prompt(&fresh, &q, want, sizeof want));
    assert_string_equal(got, want);
    generate_close(&g), generate_close(&fresh);
}

/* An answer grows: each text begins the next, and the last is the whole. */
static void grows(void **state)
{
    (void)state;
    Generator g;
    char before[256] = "", now_[256];
    const Request q = asked(1);
    open_generator(&g, 1, false);
    const int slot = generate_add(&g, &q);
    do {
        generate_step(&g);
        generate_text(&g, slot, now_, sizeof now_);
        assert_int_equal(strncmp(now_, before, strlen(before)), 0);
        strcpy(before, now_);
    } while (!generate_ended(&g, slot));
    generate_close(&g);
}

static void limits(void **state)
{
    (void)state;
    Generator g;
    int32_t many[LEN + 1];
    char out[256];
    for (int i = 0; i <= LEN; i++)
        many[i] = 30 + i;
    Request q = { .tokens = many, .n = LEN + 1 };
    open_generator(&g, 2, false);
    assert_int_equal(generate_add(&g, &q), GENERATE_LONG);
    q.n = 0;
    assert_int_equal(generate_add(&g, &q), GENERATE_LONG);
    q.n = LEN;                                              /* to the last row: one token more, which nothing can follow */
    assert_true(generate_prompt(&g, &q, out, sizeof out));
    assert_true(g.slot[0].n_made <= 1);
    q.n = 3;
    const int a = generate_add(&g, &q), b = generate_add(&g, &q);
    assert_true(a >= 0 && b >= 0 && a != b);
    assert_int_equal(generate_add(&g, &q), GENERATE_FULL);
    generate_release(&g, a);                                /* its rows go with the pass that they joined: the slot is free behind it */
    assert_int_equal(generate_add(&g, &q), GENERATE_FULL);
    generate_step(&g);
    assert_int_equal(generate_add(&g, &q), a);
    generate_close(&g);
}

static int setup(void **state)
{
    (void)state;
    static Tp blocks;
    Err e = { 0 };
    ModelConf conf = case_conf(STAGE_INSTRUCT, "");
    blocks = TP_ALONE;
    blocks.leaves = 1;
    conf.train = false;
    conf.decoder.V = V;
    ops_use(&OPS_CPU, 1);
    assert_non_null(mkdtemp(dir));
    snprintf(corpus, sizeof corpus, "%s/corpus", dir);
    snprintf(model, sizeof model, "%s/text.model", dir);
    assert_true(file_replace(corpus, TEXT, sizeof TEXT - 1, &e) && text_train(corpus, 300, NULL, model, &e));
    text = text_open(model, &e);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)rng_below(256, 4, 2, i);
    assert_true(case_open(&m, &tape, &conf, &blocks));
    case_shake(&m, 0.3f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    case_close(&m, &tape);
    text_close(text);
    unlink(corpus), unlink(model);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(together), cmocka_unit_test(kept), cmocka_unit_test(talk), cmocka_unit_test(let_go), cmocka_unit_test(grows), cmocka_unit_test(limits) };
    return cmocka_run_group_tests_name("generate", tests, setup, teardown);
}
