#include "launch/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

void answer_open(Answerer *a, Model *m, const Text *text, int max_len, int max_new)
{
    *a = (Answerer){ .text = text, .max_new = max_new, .open = true };
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
        if (t == text_eos(a->text))
            break;
        a->ids[made++] = t;
        if (!decode_token(&a->d, t))
            break;
    }
    text_decode(a->text, a->ids, made, out, cap);
    trim(out);
    return true;
}

/* What stands between "USER:" and "ASSISTANT:" in the decoded prompt. */
static void human_turn(const Text *t, const int32_t *tokens, int n, char *out, int cap)
{
    char all[4096], *from, *to;
    text_decode(t, tokens, n, all, sizeof all);
    from = strstr(all, "USER:");
    from = from ? from + 5 : all;
    to = strstr(from, "ASSISTANT:");
    if (to)
        *to = '\0';
    trim(from);
    snprintf(out, (size_t)cap, "%s", from);
}

void answer_sample(Answerer *a, const Sample *s, char *question, int q_cap, char *out, int cap)
{
    int n = 0;
    while (n < s->n_tokens && s->labels[n] == IGNORE)
        n++;
    human_turn(a->text, s->tokens, n, question, q_cap);
    answer_prompt(a, s->tokens, n, s->pixels, s->n_images, 0, 0, out, cap);
}
