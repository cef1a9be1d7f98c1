/*
 * templates.h -- what conversations look like in writing: a table
 *
 *     plain      [BOS] IMAGE... {answer}\n
 *     v1         [BOS] {system} USER: {human} ASSISTANT: {answer}[EOS]USER: {human} ASSISTANT: {answer}[EOS]
 *     llama2     [BOS][INST] <<SYS>>\n{system}\n<</SYS>>\n\n{human} [/INST] {answer}[EOS][BOS][INST] {human} [/INST] {answer}[EOS]
 *     mistral    [BOS][INST] {system}\n\n{human} [/INST] {answer}[EOS][INST] {human} [/INST] {answer}[EOS]
 *     mistral3   [BOS][INST] {human}[/INST] {answer}[EOS][INST] {system}\n\n{human}[/INST] {answer}[EOS]
 *     tekken     [BOS][INST]{human}[/INST]{answer}[EOS][INST]{system}\n\n{human}[/INST]{answer}[EOS]
 *     chatml     <|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{human}<|im_end|>\n
 *                <|im_start|>assistant\n{answer}<|im_end|>\n   and so on with <|im_start|>user
 *     qwen3      chatml, <think>\n\n</think>\n\n in front of the last answer
 *     llama3     [BOS]<|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|>
 *                <|start_header_id|>user<|end_header_id|>\n\n{human}<|eot_id|>
 *                <|start_header_id|>assistant<|end_header_id|>\n\n{answer}<|eot_id|>
 *     llama31    llama3, {system} in two lines of dates, which are there always
 *     gemma      [BOS]<start_of_turn>user\n{system}\n\n{human}<end_of_turn>\n<start_of_turn>model\n{answer}<end_of_turn>\n
 *     zephyr     <|system|>\n{system}[EOS]\n<|user|>\n{human}[EOS]\n<|assistant|>\n{answer}[EOS]\n
 *
 * What stands on several lines here is written without a break.  An empty system prompt leaves out what stands around it.
 * qwen25, smollm2: chatml with another system prompt.  v1-bare, llama2-bare, chatml-bare: without one.
 *
 * Marks, as <|im_start|> or [INST] of mistral3, are one id each where the text model has all that the template needs; elsewhere
 * they are spelt, the text begins with BOS, and an answer whose end is a mark ends with EOS.  A text model without BOS has none.
 *
 * Source  ASVR's released code (plain, vicuna_v1);  LLaVA, conversation.py (llava_llama_2, mistral_instruct);  the chat formats
 *         of Llama 2, 3 and 3.1, Mistral, Qwen, SmolLM2, Gemma and Zephyr.  Llama 2's has a space in front of EOS; here the
 *         answer's last token is EOS, as in all other templates.
 * Tests   tests/io/text/test_prompt.c, test_prompt_golden.c, tests/peers/templates.py
 */
#pragma once
#include "io/text/text.h"

enum {
    TEMPLATE_PLAIN, TEMPLATE_V1, TEMPLATE_LLAMA2, TEMPLATE_MISTRAL, TEMPLATE_CHATML, TEMPLATE_QWEN25, TEMPLATE_QWEN3,
    TEMPLATE_SMOLLM2, TEMPLATE_CHATML_BARE, TEMPLATE_LLAMA3, TEMPLATE_LLAMA31, TEMPLATE_MISTRAL3, TEMPLATE_TEKKEN, TEMPLATE_GEMMA,
    TEMPLATE_ZEPHYR, TEMPLATE_V1_BARE, TEMPLATE_LLAMA2_BARE, TEMPLATES,
    TEMPLATE_AUTO = TEMPLATES          /* what jinja_find finds in the folder of the text model */
};
#define TEMPLATE_NAMES "plain|v1|llama2|mistral|chatml|qwen25|qwen3|smollm2|chatml-bare|llama3|llama31|mistral3|tekken|gemma|" \
                       "zephyr|v1-bare|llama2-bare|auto"

#define CHATML_START "<|im_start|>"
#define CHATML_END   "<|im_end|>"
#define MARK_BOS "\1"                  /* in the texts of a Template: these ids */
#define MARK_EOS "\2"

enum SystemPlace { SYSTEM_ALONE, SYSTEM_IN_FIRST, SYSTEM_IN_LAST };     /* in front of all turns; in the first; in the last one */

typedef struct {
    const char *name;                  /* as in data.template and in shards */
    const char *system;                /* the template's own system prompt; "" where it has none */
    const char *human, *answer;        /* the words in front of a question and of an answer, in the corpus of a text model that is
                                          trained; plain has v1's, whose text model it shares */
    const char *symbols;               /* control symbols, comma separated, for training a text model; NULL: none */
    const char *marks;                 /* ids, comma separated: all of them, or all are spelt; NULL: none */
    const char *also;                  /* more marks, each an id where the text model has it; NULL: none */
    const char *begin, *open, *close;  /* in front of all; around the system prompt */
    const char *turn, *ask, *last;     /* in front of a question; behind it; behind that in the last turn alone */
    const char *lead, *end, *after;    /* learned in front of the answer; its end, learned (a mark, or EOS); behind that */
    const char *stops;                 /* more marks that end an answer, where the text model has them; NULL: none */
    enum SystemPlace place;
    bool        always;                /* open and close are there without a system prompt too */
} Template;
extern const Template templates[TEMPLATES];

int  template_find(const char *name);                             /* -1 unknown */
/* Are the template's marks ids of this text model?  False where it has none. */
bool template_marks(int template_, const Text *t);
/* The length of the mark that text begins with, one of a comma separated list (NULL: an empty one); 0: it begins with none. */
int  template_mark(const char *list, const char *text);
/* The ids that end an answer: the one that is learned first, then EOS and the template's further ones, each once.  Their number;
   0 where the model has none. */
enum { TEMPLATE_STOPS = 8 };
int  template_stops(int template_, const Text *t, int32_t stop[TEMPLATE_STOPS]);
/* Is it one of the template's marks, which are not part of what an answer says? */
bool template_is_mark(int template_, const Text *t, int32_t id);
/* A decoded prompt of one turn up to its answer -> its question, in place, without blanks around it. */
void template_question(int template_, char *prompt);
