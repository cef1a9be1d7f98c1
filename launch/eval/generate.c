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

void generate_sample(Generator *g, const Sample *s, char *question, int q_cap, char *out, int cap)
{
    char prompt[4096];
    int n = 0, images = 0;
    for (; n < s->n_tokens && s->labels[n] == IGNORE; n++)
        images += s->tokens[n] == IMAGE_TOKEN;
    text_decode(g->text, s->tokens, n, prompt, sizeof prompt);
    template_question(g->template_, prompt);
    snprintf(question, (size_t)q_cap, "%s", prompt);
    generate_prompt(g, s->tokens, n, s->pixels, images, 0, 0, out, cap);
}
