#include "io/text/templates.h"

#include <stdio.h>
#include <string.h>

#define LLAVA_SYSTEM \
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user " \
    "provides, and assist the user with a variety of tasks using natural language."
#define V1_SYSTEM \
    "A chat between a curious user and an artificial intelligence assistant. " \
    "The assistant gives helpful, detailed, and polite answers to the user's questions."

#define HEADER(who) "<|start_header_id|>" who "<|end_header_id|>\n\n"
#define DATES       "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"

/* What templates of one writing share. */
#define AS_V1 \
    .human = "USER:", .answer = "ASSISTANT:", .begin = MARK_BOS, .open = "", .close = " ", .turn = "USER: ", .ask = " ASSISTANT:", \
    .last = "", .lead = " ", .end = MARK_EOS, .after = ""
#define AS_LLAMA2 \
    .human = "[INST]", .answer = "[/INST]", .begin = "", .open = "<<SYS>>\n", .close = "\n<</SYS>>\n\n", .turn = MARK_BOS "[INST] ", \
    .ask = " [/INST]", .last = "", .lead = " ", .end = MARK_EOS, .after = "", .place = SYSTEM_IN_FIRST
#define AS_CHATML \
    .human = "user", .answer = "assistant", .symbols = CHATML_START "," CHATML_END, .marks = CHATML_START "," CHATML_END, \
    .begin = "", .open = CHATML_START "system\n", .close = CHATML_END "\n", .turn = CHATML_START "user\n", \
    .ask = CHATML_END "\n" CHATML_START "assistant\n", .lead = "", .end = CHATML_END, .after = "\n", .stops = "<|endoftext|>"
#define AS_LLAMA3(head) \
    .human = "user", .answer = "assistant", .symbols = "<|start_header_id|>,<|end_header_id|>,<|eot_id|>", \
    .marks = "<|start_header_id|>,<|end_header_id|>,<|eot_id|>", .begin = MARK_BOS, .open = HEADER("system") head, \
    .close = "<|eot_id|>", .turn = HEADER("user"), .ask = "<|eot_id|>" HEADER("assistant"), .last = "", .lead = "", \
    .end = "<|eot_id|>", .after = "", .stops = "<|end_of_text|>,<|eom_id|>"

const Template templates[TEMPLATES] = {
    [TEMPLATE_PLAIN] = { .name = "plain", .system = "", .human = "USER:", .answer = "ASSISTANT:", .begin = MARK_BOS, .open = "",
                         .close = "", .turn = "", .ask = "", .last = "", .lead = "", .end = "\n", .after = "" },
    [TEMPLATE_V1] = { .name = "v1", .system = V1_SYSTEM, AS_V1 },
    [TEMPLATE_V1_BARE] = { .name = "v1-bare", .system = "", AS_V1 },
    [TEMPLATE_LLAMA2] = { .name = "llama2", .system = LLAVA_SYSTEM, AS_LLAMA2 },
    [TEMPLATE_LLAMA2_BARE] = { .name = "llama2-bare", .system = "", AS_LLAMA2 },
    [TEMPLATE_MISTRAL] = { .name = "mistral", .system = "", .human = "[INST]", .answer = "[/INST]", .begin = MARK_BOS, .open = "",
                           .close = "\n\n", .turn = "[INST] ", .ask = " [/INST]", .last = "", .lead = " ", .end = MARK_EOS,
                           .after = "", .place = SYSTEM_IN_FIRST },
    [TEMPLATE_MISTRAL3] = { .name = "mistral3", .system = "", .human = "[INST]", .answer = "[/INST]", .symbols = "[INST],[/INST]",
                            .marks = "[INST],[/INST]", .begin = MARK_BOS, .open = "", .close = "\n\n", .turn = "[INST] ",
                            .ask = "[/INST]", .last = "", .lead = " ", .end = MARK_EOS, .after = "", .place = SYSTEM_IN_LAST },
    [TEMPLATE_TEKKEN] = { .name = "tekken", .system = "", .human = "[INST]", .answer = "[/INST]", .symbols = "[INST],[/INST]",
                          .marks = "[INST],[/INST]", .begin = MARK_BOS, .open = "", .close = "\n\n", .turn = "[INST]",
                          .ask = "[/INST]", .last = "", .lead = "", .end = MARK_EOS, .after = "", .place = SYSTEM_IN_LAST },
    [TEMPLATE_CHATML] = { .name = "chatml", .system = "You are a helpful assistant.", .last = "", AS_CHATML },
    [TEMPLATE_CHATML_BARE] = { .name = "chatml-bare", .system = "", .last = "", AS_CHATML },
    [TEMPLATE_QWEN25] = { .name = "qwen25", .last = "", AS_CHATML,
                          .system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant." },
    [TEMPLATE_SMOLLM2] = { .name = "smollm2", .last = "", AS_CHATML,
                           .system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face" },
    [TEMPLATE_QWEN3] = { .name = "qwen3", .system = "", .last = "<think>\n\n</think>\n\n", AS_CHATML, .also = "<think>,</think>" },
    [TEMPLATE_LLAMA3] = { .name = "llama3", .system = "", AS_LLAMA3("") },
    [TEMPLATE_LLAMA31] = { .name = "llama31", .system = "", AS_LLAMA3(DATES), .always = true },
    [TEMPLATE_GEMMA] = { .name = "gemma", .system = "", .human = "user", .answer = "model",
                         .symbols = "<start_of_turn>,<end_of_turn>", .marks = "<start_of_turn>,<end_of_turn>", .begin = MARK_BOS,
                         .open = "", .close = "\n\n", .turn = "<start_of_turn>user\n",
                         .ask = "<end_of_turn>\n<start_of_turn>model\n", .last = "", .lead = "", .end = "<end_of_turn>",
                         .after = "\n", .place = SYSTEM_IN_FIRST },
    [TEMPLATE_ZEPHYR] = { .name = "zephyr", .system = "", .human = "<|user|>", .answer = "<|assistant|>", .begin = MARK_BOS,
                          .open = "<|system|>\n", .close = MARK_EOS "\n", .turn = "<|user|>\n", .ask = MARK_EOS "\n<|assistant|>\n",
                          .last = "", .lead = "", .end = MARK_EOS, .after = "\n" },
};

int template_find(const char *name)
{
    for (int i = 0; i < TEMPLATES; i++)
        if (strcmp(name, templates[i].name) == 0)
            return i;
    return -1;
}

/* The next of the marks in a list -> word; behind it, or NULL at the end. */
static const char *next_mark(const char *list, char word[64])
{
    if (!list || !*list)
        return NULL;
    const size_t n = strcspn(list, ",");
    snprintf(word, 64, "%.*s", (int)n, list);
    return list + n + (list[n] == ',');
}

int template_mark(const char *list, const char *text)
{
    for (size_t n; list && *list; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        if (list[0] == text[0] && strncmp(text, list, n) == 0)
            return (int)n;
    }
    return 0;
}

bool template_marks(int template_, const Text *t)
{
    char word[64];
    for (const char *list = templates[template_].marks; (list = next_mark(list, word)); )
        if (text_symbol(t, word) < 0)
            return false;
    return templates[template_].marks != NULL;
}

static int add_stop(int32_t stop[TEMPLATE_STOPS], int n, int id)
{
    for (int i = 0; i < n; i++)
        if (stop[i] == id)
            return n;
    if (id >= 0 && n < TEMPLATE_STOPS)
        stop[n++] = id;
    return n;
}

int template_stops(int template_, const Text *t, int32_t stop[TEMPLATE_STOPS])
{
    const Template *x = &templates[template_];
    char word[64];
    int n = 0;
    if (template_ == TEMPLATE_PLAIN)
        n = add_stop(stop, n, text_newline(t));
    else if (x->end[0] != MARK_EOS[0] && template_marks(template_, t))
        n = add_stop(stop, n, text_symbol(t, x->end));
    n = add_stop(stop, n, text_eos(t));
    for (const char *list = template_marks(template_, t) ? x->stops : NULL; (list = next_mark(list, word)); )
        n = add_stop(stop, n, text_symbol(t, word));
    return n;
}

bool template_is_mark(int template_, const Text *t, int32_t id)
{
    char word[64];
    if (!template_marks(template_, t))
        return false;
    for (const char *list = templates[template_].marks; (list = next_mark(list, word)); )
        if (text_symbol(t, word) == id)
            return true;
    return false;
}

/* Takes marks, BOS and EOS out of a text, in place. */
static void unmark(int template_, char *text)
{
    char *to = text;
    for (const char *s = text; *s; ) {
        const Template *x = &templates[template_];
        const int n = *s == MARK_BOS[0] || *s == MARK_EOS[0] ? 1 : template_mark(x->marks, s) + template_mark(x->also, s);
        if (n > 0)
            s += n;
        else
            *to++ = *s++;
    }
    *to = '\0';
}

static void trim(char *s)
{
    size_t n = strlen(s), from = strspn(s, " \n");
    while (n > from && strchr(" \n", s[n - 1]))
        n--;
    memmove(s, s + from, n - from);
    s[n - from] = '\0';
}

/* Where it goes on behind a text of the template that has more than blanks; NULL: there is none. */
static char *behind(int template_, char *s, const char *before, const char *text)
{
    char words[256];
    snprintf(words, sizeof words, "%s%s", before, text);
    unmark(template_, words);
    char *at = words[strspn(words, " \n")] ? strstr(s, words) : NULL;
    return at ? at + strlen(words) : NULL;
}

void template_question(int template_, char *prompt)
{
    const Template *x = &templates[template_];
    char ask[256], *from;
    unmark(template_, prompt);
    from = x->place == SYSTEM_ALONE ? behind(template_, prompt, x->close, x->turn) : behind(template_, prompt, x->close, "");
    if (!from)
        from = behind(template_, prompt, x->turn, "");
    if (from)
        memmove(prompt, from, strlen(from) + 1);
    snprintf(ask, sizeof ask, "%s%s", x->ask, x->last);
    unmark(template_, ask);
    trim(prompt);
    trim(ask);
    const size_t n = strlen(prompt), k = strlen(ask);
    if (n >= k && strcmp(prompt + n - k, ask) == 0)
        prompt[n - k] = '\0';
    trim(prompt);
}
