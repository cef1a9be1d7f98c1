#include "launch/eval/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

void answer_open(Answerer *a, Model *m, const Text *text, int template_, int max_len, int max_new)
{
    *a = (Answerer){ .text = text, .max_new = max_new, .template_ = template_, .stop = template_stop(template_, text),
                     .open = true };
    decode_open(&a->d, m, max_len);
    a->ids = calloc((size_t)max_new, sizeof *a->ids);
    CHECK(a->ids, "no memory for %d tokens", max_new);
}

void answer_close(Answerer *a)
{
    if (a->open)
        decode_close(&a->d);
    free(a->ids);
    *a = (Answerer){ 0 };
}

static void trim(char *s)
{
    size_t n = strlen(s), from = strspn(s, " \n");
    while (n > from && (s[n - 1] == ' ' || s[n - 1] == '\n'))
        n--;
    memmove(s, s + from, n - from);
    s[n - from] = '\0';
}

bool answer_prompt(Answerer *a, const int32_t *tokens, int n, const uint8_t *pixels, int images, float temperature,
                   uint64_t seed, char *out, int cap)
{
    const float *rows = images ? model_image_rows(a->d.m, pixels, images) : NULL;
    int made = 0;
    decode_start(&a->d);
    out[0] = '\0';
    if (!decode_prompt(&a->d, tokens, n, rows))
        return false;
    while (made < a->max_new) {
        const int t = decode_pick(&a->d, temperature, rng_uniform(seed, rng_stream("answer"), (uint64_t)made));
        if (t == a->stop || t == text_eos(a->text))
            break;
        a->ids[made++] = t;
        if (!decode_token(&a->d, t))
            break;
    }
    text_decode(a->text, a->ids, made, out, cap);
    trim(out);
    return true;
}

void answer_sample(Answerer *a, const Sample *s, char *question, int q_cap, char *out, int cap)
{
    char prompt[4096];
    int n = 0;
    while (n < s->n_tokens && s->labels[n] == IGNORE)
        n++;
    text_decode(a->text, s->tokens, n, prompt, sizeof prompt);
    template_question(a->template_, prompt);
    snprintf(question, (size_t)q_cap, "%s", prompt);
    answer_prompt(a, s->tokens, n, s->pixels, s->n_images, 0, 0, out, cap);
}
