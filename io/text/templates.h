/*
 * templates.h -- what conversations look like in writing: names, system prompts, words, ends of answers
 *
 *     plain    [BOS] IMAGE... {answer}\n
 *     v1       [BOS] {system} USER: IMAGE\n...{human} ASSISTANT: {answer}[EOS]USER: {human} ASSISTANT: {answer}[EOS]
 *     llama2   [BOS][INST] <<SYS>>\n{system}\n<</SYS>>\n\nIMAGE\n...{human} [/INST] {answer}[EOS]
 *              [BOS][INST] {human} [/INST] {answer}[EOS]
 *     mistral  [BOS][INST] {system}\n\nIMAGE\n...{human} [/INST] {answer}[EOS][INST] {human} [/INST] {answer}[EOS]
 *     chatml   <|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\nIMAGE\n...{human}<|im_end|>\n
 *              <|im_start|>assistant\n{answer}<|im_end|>\n   and so on with <|im_start|>user
 *
 * What stands on several lines here is written without a break.  An empty system prompt leaves out what stands around it.
 * llama2 begins every turn as a text of its own, mistral goes on.  <|im_start|> and <|im_end|> are one id each where
 * the text model has such pieces; elsewhere chatml begins with BOS, they are spelt, and an answer ends with EOS.
 *
 * Source  ASVR's released code (plain, vicuna_v1);  LLaVA, conversation.py (llava_llama_2, mistral_instruct);  Meta's
 *         Llama 2 chat format;  Mistral's instruct format;  Qwen's ChatML.  The first two write a space in front of the
 *         EOS of llama2; here the answer's last token is EOS, as in all other templates.
 * Tests   tests/io/text/test_prompt.c
 */
#pragma once
#include "io/text/text.h"

enum { TEMPLATE_PLAIN, TEMPLATE_V1, TEMPLATE_LLAMA2, TEMPLATE_MISTRAL, TEMPLATE_CHATML, TEMPLATES };

#define CHATML_START "<|im_start|>"
#define CHATML_END   "<|im_end|>"

typedef struct {
    const char *name;              /* as in data.template and in shards */
    const char *system;            /* the template's own system prompt; "" where it has none */
    const char *human, *answer;    /* the words in front of a question and of an answer; plain has v1's, whose text
                                      model it shares */
    const char *symbols;           /* control symbols, comma separated, for training a text model; NULL: none */
} Template;
extern const Template templates[TEMPLATES];

int template_find(const char *name);                              /* -1 unknown */
/* The id that ends an answer; -1 where the model has none. */
int template_stop(int template_, const Text *t);
/* A decoded prompt of one turn up to its answer -> its question, in place, without blanks around it. */
void template_question(int template_, char *prompt);
