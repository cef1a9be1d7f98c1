/* Conversations -> tokens and labels: the text is exactly the template's, what is learned is exactly the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/prompt.h"

#define SYSTEM "A chat between a curious user and an artificial intelligence assistant. " \
               "The assistant gives helpful, detailed, and polite answers to the user's questions."

static Text  *text;
static Prompt p, q;

static int setup(void **state)
{
    (void)state;
    char dir[] = "/tmp/asvr-prompt-XXXXXX", corpus[64], model[64];
    Err e = { 0 };
    assert_non_null(mkdtemp(dir));
    snprintf(corpus, sizeof corpus, "%s/corpus", dir);
    snprintf(model, sizeof model, "%s/model", dir);
    FILE *f = fopen(corpus, "w");
    for (int i = 0; i < 40; i++)
        fprintf(f, "%s USER: What is on the %s? ASSISTANT: A %s cat.\n", SYSTEM, i % 2 ? "left" : "right", i % 3 ? "red" : "big");
    fclose(f);
    assert_true(text_train(corpus, 400, model, &e));
    text = text_open(model, &e);
    unlink(corpus);
    unlink(model);
    rmdir(dir);
    return text ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    prompt_free(&p);
    prompt_free(&q);
    text_close(text);
    return 0;
}

/* The prompt as a reader sees it, <s>, <image> and </s> written out; with only_learned, what has a label. */
static const char *show(const Prompt *x, bool only_learned)
{
    static char out[4096];
    int32_t run[2048];
    int k = 0, len = 0;
    for (int i = 0; i <= x->n; i++) {
        const int id = i < x->n ? x->tokens[i] : text_bos(text);
        const bool skip = only_learned && i < x->n && x->labels[i] == IGNORE;
        if (id == IMAGE_TOKEN || id == text_bos(text) || id == text_eos(text) || skip) {
            /* decode drops a space at the beginning, so each run is decoded behind a letter */
            char s[4096];
            int32_t behind[2048];
            const int a = text_encode(text, "|", 1, behind, 8);
            memcpy(behind + a, run, (size_t)k * sizeof *run);
            text_decode(text, behind, a + k, s, sizeof s);
            len += snprintf(out + len, sizeof out - (size_t)len, "%s", s + 1);
            k = 0;
            if (i < x->n && !skip)
                len += snprintf(out + len, sizeof out - (size_t)len, "%s",
                                id == IMAGE_TOKEN ? "<image>" : id == text_eos(text) ? "</s>" : "<s>");
        } else {
            run[k++] = id;
        }
    }
    return out;
}

static void build(int template_, const Turn *turns, int n, int images)
{
    Err e = { 0 };
    assert_true(prompt_build(&p, text, template_, turns, n, images, &e));
    for (int i = 0; i < p.n; i++) {
        assert_true(p.labels[i] == IGNORE || p.labels[i] == p.tokens[i]);
        assert_true(p.tokens[i] != IMAGE_TOKEN || p.labels[i] == IGNORE);
    }
    assert_int_equal(p.tokens[0], text_bos(text));
    assert_int_equal(p.labels[0], IGNORE);
}

static void test_plain(void **state)
{
    (void)state;
    build(TEMPLATE_PLAIN, &(Turn){ "<image>\nDescribe it.", "A red cat." }, 1, 1);
    assert_int_equal(p.tokens[1], IMAGE_TOKEN);
    assert_int_equal(p.tokens[p.n - 1], text_newline(text));
    int32_t caption[32];
    const int n = text_encode(text, "A red cat.", 10, caption, 32);      /* the caption begins a text, as at inference */
    assert_int_equal(p.n, n + 3);
    assert_memory_equal(p.tokens + 2, caption, (size_t)n * sizeof *caption);
    for (int i = 2; i < p.n; i++)
        assert_int_equal(p.labels[i], p.tokens[i]);

    build(TEMPLATE_PLAIN, &(Turn){ "", "A cat." }, 1, 3);
    assert_string_equal(show(&p, false), "<s><image><image><image> A cat.\n");
    build(TEMPLATE_PLAIN, &(Turn){ "", NULL }, 1, 1);
    assert_int_equal(p.n, 2);
}

static const Turn talk[] = { { "What is on the left?<image>", "A red cat." }, { "And on the right?", "A  big\ncat </s>" }, { "Why?", "" } };

static void test_v1(void **state)
{
    (void)state;
    build(TEMPLATE_V1, talk, 3, 1);
    assert_string_equal(show(&p, false), "<s> " SYSTEM " USER: <image>\nWhat is on the left? ASSISTANT: A red cat.</s>"
                        "USER: And on the right? ASSISTANT: A  big\ncat </s></s>USER: Why? ASSISTANT: </s>");
    assert_string_equal(show(&p, true), " A red cat.</s> A  big\ncat </s></s> </s>");
    int ends = 0;
    for (int i = 0; i < p.n; i++)
        ends += p.tokens[i] == text_eos(text);
    assert_int_equal(ends, 3);      /* "</s>" written in an answer ends nothing */

    char whole[2048];
    text_decode(text, p.tokens, p.n, whole, sizeof whole);
    assert_memory_equal(whole, SYSTEM " USER: \nWhat", strlen(SYSTEM " USER: \nWhat"));
}

static void test_v1_without_picture(void **state)
{
    (void)state;
    build(TEMPLATE_V1, &(Turn){ " What?\n", "A cat." }, 1, 0);
    assert_string_equal(show(&p, false), "<s> " SYSTEM " USER: What? ASSISTANT: A cat.</s>");
    int32_t id[256];
    const char *prefix = SYSTEM " USER: What? ASSISTANT:";
    const int n = text_encode(text, prefix, strlen(prefix), id, 256);
    assert_memory_equal(p.tokens + 1, id, (size_t)n * sizeof *id);
}

/* However the marks are placed, and with none at all, the same pictures give the same prompt. */
static void test_places_of_the_mark(void **state)
{
    (void)state;
    static const char *const human[] = { "<image>\n<image>\nWhat is it?", "What is <image><image>it?", "<image>What is it?\n<image>",
                                         "What is it?", " What is it?  " };
    for (int i = 0; i < 5; i++) {
        build(TEMPLATE_V1, &(Turn){ human[i], "A cat." }, 1, 2);
        assert_string_equal(show(&p, false), "<s> " SYSTEM " USER: <image>\n<image>\nWhat is it? ASSISTANT: A cat.</s>");
    }
    const Turn late[] = { { "What?", "A cat." }, { "<image>\nAnd here?", "A cat." } };
    build(TEMPLATE_V1, late, 2, 1);
    assert_string_equal(show(&p, false), "<s> " SYSTEM " USER: <image>\nWhat? ASSISTANT: A cat.</s>USER: And here? ASSISTANT: A cat.</s>");
}

/* What the model is given when it has to answer is, id by id, what it was trained behind. */
static void test_inference_is_training(void **state)
{
    (void)state;
    Err e = { 0 };
    for (int template_ = TEMPLATE_PLAIN; template_ <= TEMPLATE_V1; template_++)
        for (int n = 1; n <= (template_ == TEMPLATE_PLAIN ? 1 : 3); n++) {
            Turn asked[3];
            memcpy(asked, talk, sizeof asked);
            asked[n - 1].answer = NULL;
            build(template_, talk, n, 1);
            assert_true(prompt_build(&q, text, template_, asked, n, 1, &e));
            assert_true(q.n < p.n);
            assert_memory_equal(q.tokens, p.tokens, (size_t)q.n * sizeof *q.tokens);
            assert_memory_equal(q.labels, p.labels, (size_t)q.n * sizeof *q.labels);
            for (int i = q.n; i < p.n; i++)
                assert_int_equal(p.labels[i], p.tokens[i]);      /* and all that follows is learned */
        }
}

static void refused(int template_, const Turn *turns, int n, int images, const char *expected, const char *got)
{
    Err e = { 0 };
    assert_false(prompt_build(&p, text, template_, turns, n, images, &e));
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.expected, expected));
    assert_string_equal(e.got, got);
}

static void test_refusals(void **state)
{
    (void)state;
    refused(TEMPLATE_V1, &(Turn){ "<image><image>What?", "A cat." }, 1, 1, "1 times", "2");
    refused(TEMPLATE_V1, &(Turn){ "<image>What?", "A cat." }, 1, 2, "2 times", "1");
    refused(TEMPLATE_PLAIN, &(Turn){ "<image>", "A cat." }, 1, 0, "0 times", "1");
    refused(TEMPLATE_PLAIN, talk, 3, 1, "1 question", "3");
    refused(TEMPLATE_V1, talk, 0, 0, "1 or more", "0");
    refused(TEMPLATE_V1, (Turn[]){ { "What?", NULL }, { "Why?", "A cat." } }, 2, 0, "", "");
    /* "<image>" in an answer is text */
    build(TEMPLATE_V1, &(Turn){ "What?", "<image>" }, 1, 0);
    for (int i = 0; i < p.n; i++)
        assert_true(p.tokens[i] >= 0);
}

static void test_long_conversation(void **state)
{
    (void)state;
    enum { N = 300 };
    static Turn turns[N];
    for (int i = 0; i < N; i++)
        turns[i] = talk[i % 2];
    turns[0].human = "What?";
    for (int i = 2; i < N; i += 2)
        turns[i].human = "What?";
    Prompt fresh = { 0 };
    Err e = { 0 };
    build(TEMPLATE_V1, turns, N, 0);
    assert_true(prompt_build(&fresh, text, TEMPLATE_V1, turns, N, 0, &e));      /* grown step by step or reused: the same */
    assert_int_equal(fresh.n, p.n);
    assert_memory_equal(fresh.tokens, p.tokens, (size_t)p.n * sizeof *p.tokens);
    prompt_free(&fresh);
}

static void test_template_names(void **state)
{
    (void)state;
    assert_int_equal(template_find("plain"), TEMPLATE_PLAIN);
    assert_int_equal(template_find("v1"), TEMPLATE_V1);
    assert_int_equal(template_find("v2"), -1);
    assert_int_equal(template_find(""), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),               cmocka_unit_test(test_v1),
        cmocka_unit_test(test_v1_without_picture),  cmocka_unit_test(test_places_of_the_mark),
        cmocka_unit_test(test_inference_is_training), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_long_conversation),   cmocka_unit_test(test_template_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
