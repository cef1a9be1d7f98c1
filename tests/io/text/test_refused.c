/*
 * A text that SentencePiece refuses is an error that quotes it: no prompt is made of the rest.  Nothing we know makes the library
 * refuse, so the linker puts a wrapper around the call (Makefile).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/text/prompt.h"
#include "io/text/sentencepiece.h"

static const char *refused;         /* texts that hold this */
static Text *text;

int __real_sp_encode(const Sp *s, const char *words, size_t len, int32_t *ids, int cap, char *why, size_t why_cap);
int __wrap_sp_encode(const Sp *s, const char *words, size_t len, int32_t *ids, int cap, char *why, size_t why_cap);
int __wrap_sp_encode(const Sp *s, const char *words, size_t len, int32_t *ids, int cap, char *why, size_t why_cap)
{
    if (refused && memmem(words, len, refused, strlen(refused))) {
        snprintf(why, why_cap, "so it is");
        return SP_REFUSES;
    }
    return __real_sp_encode(s, words, len, ids, cap, why, why_cap);
}

static void a_refused_text_is_quoted(void **state)
{
    (void)state;
    int32_t id[8];
    char words[400];
    Err e = { 0 };
    refused = "owl";
    assert_true(text_encode(text, "a cat", 5, id, 8, &e) > 0);
    assert_int_equal(text_encode(text, "an owl", 6, id, 8, &e), -1);
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.what, "\"an owl\": so it is"));
    memset(words, 'x', sizeof words);
    memcpy(words, "owl", 3);
    e = (Err){ 0 };
    assert_int_equal(text_continue(text, words, sizeof words, id, 8, &e), -1);
    assert_non_null(strstr(e.what, "xxx...\": so it is"));          /* no more of it than a message can hold */
}

static void no_prompt_lacks_a_turn(void **state)
{
    (void)state;
    static const char *const where[] = { "system", "a question", "an answer", "the last" };
    const Turn turns[] = { { "a question", "an answer" }, { "the last", "word" } };
    for (int kind = TEMPLATE_V1; kind < TEMPLATES; kind++)
        for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
            const Talk talk = { turns, 2, 1, "system" };
            Prompt p = { 0 };
            Err e = { 0 };
            refused = NULL;
            assert_true(prompt_build(&p, text, kind, &talk, &e));
            refused = where[i];
            assert_false(prompt_build(&p, text, kind, &talk, &e));
            assert_int_equal(e.code, EXIT_DATA);
            assert_non_null(strstr(e.what, where[i]));
            prompt_free(&p);
        }
}

static void a_model_that_refuses_a_line_break_is_not_opened(void **state)
{
    (void)state;
    Err e = { 0 };
    refused = "\n";
    assert_null(text_open(*state, &e));
    assert_int_equal(e.code, EXIT_DATA);
}

static int setup(void **state)
{
    static char dir[] = "/tmp/asvr-refused-XXXXXX", model[64], corpus[64];
    Err e = { 0 };
    assert_non_null(mkdtemp(dir));
    snprintf(corpus, sizeof corpus, "%s/corpus", dir);
    snprintf(model, sizeof model, "%s/model", dir);
    FILE *f = fopen(corpus, "w");
    assert_non_null(f);
    fputs("a question and an answer about a cat and an owl\nthe last word of the system\n", f);
    fclose(f);
    assert_true(text_train(corpus, 300, NULL, model, &e));
    text = text_open(model, &e);
    unlink(corpus);
    *state = model;
    return text ? 0 : -1;
}

static int teardown(void **state)
{
    unlink(*state);
    *strrchr(*state, '/') = 0;
    text_close(text);
    return rmdir(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_text_is_quoted), cmocka_unit_test(no_prompt_lacks_a_turn),
        cmocka_unit_test(a_model_that_refuses_a_line_break_is_not_opened),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
