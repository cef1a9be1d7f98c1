#include "launch/eval/generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

void generate_open(Generator *g, Model *m, Tape *t, const Text *text, int template_, int max_len, int max_new)
{
    *g = (Generator){ .tape = t, .text = text, .max_new = max_new, .template_ = template_, .open = true };
    g->stops = template_stops(template_, text, g->stop);
    decode_open(&g->d, m, max_len);
    g->ids = calloc((size_t)max_new, sizeof *g->ids);
    CHECK(g->ids, "no memory for %d tokens", max_new);
}

void generate_close(Generator *g)
{
    if (g->open)
        decode_close(&g->d);
    free(g->ids);
    *g = (Generator){ 0 };
}

static bool stops(const Generator *g, int32_t id)
{
    for (int i = 0; i < g->stops; i++)
        if (g->stop[i] == id)
            return true;
    return false;
}

static void trim(char *s)
{
    size_t n = strlen(s), from = strspn(s, " \n");
    while (n > from && (s[n - 1] == ' ' || s[n - 1] == '\n'))
        n--;
    memmove(s, s + from, n - from);
    s[n - from] = '\0';
}

bool generate_prompt(Generator *g, const int32_t *tokens, int n, const uint8_t *pixels, int images, float temperature,
                     uint64_t seed, char *out, int cap)
{
    const float *rows = images ? model_image_rows(g->d.m, g->tape, pixels, images) : NULL;
    int made = 0, said = 0;
    decode_start(&g->d);
    out[0] = '\0';
    if (!decode_prompt(&g->d, tokens, n, rows))
        return false;
    while (made < g->max_new) {
        const int t = decode_pick(&g->d, temperature, rng_uniform(seed, rng_stream("answer"), (uint64_t)made));
        if (stops(g, t))
            break;
        g->ids[made++] = t;
        if (!decode_token(&g->d, t))
            break;
    }
    for (int i = 0; i < made; i++)                  /* some text models would write marks out */
        if (!template_is_mark(g->template_, g->text, g->ids[i]))
            g->ids[said++] = g->ids[i];
    text_decode(g->text, g->ids, said, out, cap);
    trim(out);
    return true;
}

/* Where the sample's last answer begins, what is to be learned without a break. */
static int last_answer(const Sample *s)
{
    int n = s->n_tokens;
    while (n > 0 && s->labels[n - 1] == IGNORE)
        n--;
    while (n > 0 && s->labels[n - 1] != IGNORE)
        n--;
    return n;
}

void generate_sample(Generator *g, const Sample *s, char *question, int q_cap, char *out, int cap)
{
    char prompt[4096];
    const int n = last_answer(s);
    int images = 0, from = n;
    for (int j = 0; j < n; j++)
        images += s->tokens[j] == IMAGE_TOKEN;
    while (from > 0 && s->labels[from - 1] == IGNORE)       /* the last turn alone */
        from--;
    text_decode(g->text, s->tokens + from, n - from, prompt, sizeof prompt);
    template_question(g->template_, prompt);
    snprintf(question, (size_t)q_cap, "%s", prompt);
    generate_prompt(g, s->tokens, n, s->pixels, images, 0, 0, out, cap);
}
