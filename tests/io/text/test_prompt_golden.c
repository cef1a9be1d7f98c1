/* Golden prompts: ids, labels and text targets of every template, which tests/ref/prompts.py spells once more. */
#include "core/splice.h"
#include "tests/io/text/prompt_case.h"

typedef struct {
    const char *what;
    int         template_, model, images;
    const char *system;
    int         n_turns;
    Turn        turns[3];
    int         max_len, n;
    const int32_t *tokens;
    const char *learned;
    int         targets;
    const int32_t *target;              /* (targets, 2): row, id */
} Golden;

static const Golden golden[] = {
#include "tests/golden/prompts.h"
};
enum { GOLDEN = sizeof golden / sizeof *golden, P = 3, ROOM = 1000, PICTURES = 5 };

static void compare_targets(const Golden *g, Splice *s)
{
    const int32_t token_start[2] = { 0, p.n }, image_start[2] = { 0, g->images };
    const Batch b = { .B = 1, .I = g->images, .M = p.n, .tokens = p.tokens, .labels = p.labels, .token_start = token_start,
                      .image_start = image_start };
    splice_build(s, &b, P, g->max_len, 0);
    if (s->text != g->targets || splice_text_targets(p.tokens, p.labels, p.n, P, g->max_len) != g->targets)
        fail_msg("%s: %d targets, golden %d", g->what, (int)s->text, g->targets);
    for (int j = 0; j < s->text; j++) {
        assert_int_equal(s->text_row[j], g->target[2 * j]);
        assert_int_equal(s->text_id[j], g->target[2 * j + 1]);
    }
}

/* Tokens, labels, and what is left to learn when the sequence is cut, picture rows counted. */
static void test_golden(void **state)
{
    (void)state;
    const Text *const models[] = { text, symbols, marks };
    Splice s;
    Arena a = { .name = "splice" };
    splice_layout(&s, &a, 1, ROOM, PICTURES, P);
    arena_alloc(&a);
    splice_layout(&s, &a, 1, ROOM, PICTURES, P);
    for (int i = 0; i < GOLDEN; i++) {
        const Golden *g = &golden[i];
        Err e = { 0 };
        const Talk talk = { g->turns, g->n_turns, g->images, g->system };
        assert_true(prompt_build(&p, models[g->model], g->template_, &talk, &e));
        for (int j = 0; j < g->n || j < p.n; j++) {
            if (j >= p.n || j >= g->n || p.tokens[j] != g->tokens[j])
                fail_msg("%s: token %d of %d (golden %d) differs", g->what, j, p.n, g->n);
            if (p.labels[j] != (g->learned[j] == 'L' ? p.tokens[j] : IGNORE))
                fail_msg("%s: label %d differs", g->what, j);
        }
        compare_targets(g, &s);
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_golden) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
