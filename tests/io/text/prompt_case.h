/*
 * prompt_case.h -- what tests of prompts share: text models of one corpus, and a prompt as a reader sees it
 */
#pragma once
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

#define SYSTEM "A chat between a curious user and an artificial intelligence assistant. " \
               "The assistant gives helpful, detailed, and polite answers to the user's questions."

static Text  *text, *symbols, *marks, *defined, *bare;      /* of the same corpus: without marks; with ChatML's, with all as control symbols;
                                                        with ChatML's as user-defined ones;
                                                        with ChatML's and neither BOS nor EOS */
#define MARKS "<|im_start|>,<|im_end|>,<|start_header_id|>,<|end_header_id|>,<|eot_id|>,[INST],[/INST],<start_of_turn>,<end_of_turn>," \
              "<think>,</think>,<|endoftext|>,<|end_of_text|>"
static Prompt p, q;

static Text *train(const char *corpus, const char *model, const char *control)
{
    Err e = { 0 };
    assert_true(text_train(corpus, 400, control, model, &e));
    Text *t = text_open(model, &e);
    unlink(model);
    return t;
}

static Text *train_with(const char *corpus, const char *model, const char *const *options)
{
    char why[256];
    size_t n;
    void *bytes = sp_train(corpus, 400, options, &n, why, sizeof why);
    assert_non_null(bytes);
    FILE *f = fopen(model, "wb");
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    free(bytes);
    Err e = { 0 };
    Text *t = text_open(model, &e);
    unlink(model);
    return t;
}

#define PLAIN_BPE "model_type", "bpe", "byte_fallback", "true", "normalization_rule_name", "identity", "remove_extra_whitespaces", "false"

/* As published models have the marks: text that spells one becomes its id. */
static const char *const DEFINED[] = { PLAIN_BPE, "user_defined_symbols", CHATML_START "," CHATML_END, NULL };
/* As Qwen's has them: no BOS, no EOS, marks alone. */
static const char *const BARE[] = { PLAIN_BPE, "bos_id", "-1", "eos_id", "-1", "control_symbols", CHATML_START "," CHATML_END, NULL };

static int setup(void **state)
{
    (void)state;
    char dir[] = "/tmp/asvr-prompt-XXXXXX", corpus[64], model[64];
    assert_non_null(mkdtemp(dir));
    snprintf(corpus, sizeof corpus, "%s/corpus", dir);
    snprintf(model, sizeof model, "%s/model", dir);
    FILE *f = fopen(corpus, "w");
    for (int i = 0; i < 40; i++)
        fprintf(f, "%s USER: What is on the %s? ASSISTANT: A %s cat.\n", SYSTEM, i % 2 ? "left" : "right", i % 3 ? "red" : "big");
    fclose(f);
    text = train(corpus, model, NULL);
    symbols = train(corpus, model, templates[TEMPLATE_CHATML].symbols);
    marks = train(corpus, model, MARKS);
    defined = train_with(corpus, model, DEFINED);
    bare = train_with(corpus, model, BARE);
    unlink(corpus);
    rmdir(dir);
    return text && symbols && marks && defined && bare ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    prompt_free(&p);
    prompt_free(&q);
    text_close(text);
    text_close(symbols);
    text_close(marks);
    text_close(defined);
    text_close(bare);
    return 0;
}
