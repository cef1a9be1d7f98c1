#include "io/text/templates.h"

#include <string.h>

const Template templates[TEMPLATES] = {
    [TEMPLATE_PLAIN] = { "plain", "", "USER:", "ASSISTANT:", NULL },
    [TEMPLATE_V1] = { "v1",
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions.",
        "USER:", "ASSISTANT:", NULL },
    [TEMPLATE_LLAMA2] = { "llama2",
        "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
        "provides, and assist the user with a variety of tasks using natural language.",
        "[INST]", "[/INST]", NULL },
    [TEMPLATE_MISTRAL] = { "mistral", "", "[INST]", "[/INST]", NULL },
    [TEMPLATE_CHATML] = { "chatml", "You are a helpful assistant.", "user", "assistant", CHATML_START "," CHATML_END },
};

int template_find(const char *name)
{
    for (int i = 0; i < TEMPLATES; i++)
        if (strcmp(name, templates[i].name) == 0)
            return i;
    return -1;
}

int template_stop(int template_, const Text *t)
{
    if (template_ == TEMPLATE_PLAIN)
        return text_newline(t);
    const bool symbols = template_ == TEMPLATE_CHATML && text_symbol(t, CHATML_START) >= 0;
    const int end = symbols ? text_symbol(t, CHATML_END) : -1;
    return end >= 0 ? end : text_eos(t);
}

static char *behind(char *s, const char *word)
{
    char *at = strstr(s, word);
    return at ? at + strlen(word) : s;
}

void template_question(int template_, char *prompt)
{
    const bool chatml = template_ == TEMPLATE_CHATML;
    const char *system_end = template_ == TEMPLATE_LLAMA2 ? "\n<</SYS>>\n\n" : chatml ? "\nuser\n" : templates[template_].human;
    char *from = behind(prompt, system_end);
    if (from == prompt)                       /* chatml that spells its symbols, or without a system prompt */
        from = behind(prompt, chatml ? "user\n" : templates[template_].human);
    char *to = strstr(from, templates[template_].answer);
    for (char *next = to; next; next = strstr(next + 1, templates[template_].answer))
        to = next;                            /* the last one: the question may have the word in it */
    size_t n = to ? (size_t)(to - from) : strlen(from);
    char *end = memmem(from, n, CHATML_END, sizeof CHATML_END - 1);
    if (chatml && end)
        n = (size_t)(end - from);
    while (n > 0 && strchr(" \n", from[n - 1]))
        n--;
    for (; n > 0 && strchr(" \n", *from); n--)
        from++;
    memmove(prompt, from, n);
    prompt[n] = '\0';
}
