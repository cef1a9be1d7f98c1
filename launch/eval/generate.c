#include "launch/eval/generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/rng.h"

/* The longest prompt, and a token of each slot beside it. */
static int pass_rows(const GeneratorShape *s) { return s->max_len + s->slots; }

size_t generate_bytes(const Model *m, const GeneratorShape *s) { return decode_bytes(m, s->slots, s->max_len, pass_rows(s)); }

void generate_open(Generator *g, Model *m, Tape *t, const Text *text, const GeneratorShape *s)
{
    const size_t slots = (size_t)s->slots, len = (size_t)s->max_len, made = (size_t)s->max_new;
    *g = (Generator){ .tape = t, .text = text, .slots = s->slots, .max_len = s->max_len, .max_new = s->max_new,
                      .template_ = s->template_, .keep = s->keep, .open = true };
    g->stops = template_stops(g->template_, text, g->stop);
    decode_open(&g->d, m, s->slots, s->max_len, pass_rows(s));
    g->slot = calloc(slots, sizeof *g->slot);
    g->piece = calloc(slots, sizeof *g->piece);
    g->held = calloc(slots * len, sizeof *g->held);
    g->picture = calloc(slots * len, sizeof *g->picture);
    g->made = calloc(slots * made, sizeof *g->made);
    g->said = calloc(made, sizeof *g->said);
    CHECK(g->slot && g->piece && g->held && g->picture && g->made && g->said, "no memory for %d answers of %d tokens", s->slots, s->max_len);
    for (size_t i = 0; i < slots; i++) {
        g->slot[i].held = g->held + i * len;
        g->slot[i].picture = g->picture + i * len;
        g->slot[i].made = g->made + i * made;
    }
}

void generate_close(Generator *g)
{
    if (g->open)
        decode_close(&g->d);
    free(g->slot);
    free(g->piece);
    free(g->held);
    free(g->picture);
    free(g->made);
    free(g->said);
    *g = (Generator){ 0 };
}

static bool stops(const Generator *g, int32_t id)
{
    for (int i = 0; i < g->stops; i++)
        if (g->stop[i] == id)
            return true;
    return false;
}

/* ---- what a slot holds already ---- */

static size_t picture_bytes(const Generator *g)
{
    const size_t size = (size_t)g->d.m->c.image * (size_t)g->d.m->c.scales;
    return size * size * 3;
}

static uint64_t picture_hash(const Generator *g, const Request *q, int i)
{
    return XXH3_64bits(q->pixels + (size_t)i * picture_bytes(g), picture_bytes(g));
}

/* How many of a request's tokens, not the last, the slot's keys and values begin with. */
static int shared(const Generator *g, const Slot *s, const Request *q)
{
    int n = 0, pictures = 0;
    for (; g->keep && n < s->n_held && n < q->n - 1 && s->held[n] == q->tokens[n]; n++)
        if (q->tokens[n] == IMAGE_TOKEN && s->picture[pictures] != picture_hash(g, q, pictures))
            break;
        else
            pictures += q->tokens[n] == IMAGE_TOKEN;
    return n;
}

static int pictures_in(const int32_t *tokens, int n)
{
    int images = 0;
    for (int i = 0; i < n; i++)
        images += tokens[i] == IMAGE_TOKEN;
    return images;
}

/* Of the free slots the one that holds the most of the prompt, of those that hold none an empty one: its number, and how much. */
static int choose(const Generator *g, const Request *q, int *kept)
{
    int best = GENERATE_FULL;
    for (int i = 0; i < g->slots; i++) {
        const Slot *s = &g->slot[i];
        if (s->taken)
            continue;
        const int n = shared(g, s, q);
        if (best < 0 || n > *kept || (n == *kept && s->n_held < g->slot[best].n_held)) {
            best = i;
            *kept = n;
        }
    }
    return best;
}

/* ---- a pass ---- */

/* Tokens from `from` on join the next pass. */
static bool join(Generator *g, int i, int from, const float *image_rows)
{
    Slot *s = &g->slot[i];
    if (!decode_add(&g->d, i, s->held + from, s->n_held - from, image_rows))
        return false;
    g->piece[g->pieces++] = i;
    return s->added = true;
}

/* The token that follows ends the answer, or is the next to go in. */
static void take(Generator *g, int piece, Slot *s)
{
    s->added = false;
    if (s->leaving) {
        s->taken = s->leaving = false;
        return;
    }
    const int32_t id = decode_pick(&g->d, piece, s->temperature, rng_uniform(s->seed, rng_stream("answer"), (uint64_t)s->n_made));
    if (stops(g, id)) {
        s->ended = ENDED_STOP;
        return;
    }
    s->made[s->n_made++] = id;
    if (s->n_made == s->max_new || s->rows == g->max_len) {
        s->ended = ENDED_LENGTH;
        return;
    }
    s->held[s->n_held++] = id;
    s->rows++;
}

bool generate_step(Generator *g)
{
    for (int i = 0; i < g->slots; i++) {
        const Slot *s = &g->slot[i];
        if (!s->taken || s->ended || s->added)
            continue;
        const bool fits = join(g, i, s->n_held - 1, NULL);          /* a pass has a row more for each slot than the longest prompt */
        ASSERT(fits);
        (void)fits;
    }
    const int pieces = g->pieces;
    decode_pass(&g->d);
    for (int p = 0; p < pieces; p++)
        take(g, p, &g->slot[g->piece[p]]);
    g->pieces = 0;
    return pieces > 0;
}

/* ---- prompts and answers ---- */

int generate_add(Generator *g, const Request *q)
{
    const int rows = decode_rows(&g->d, q->tokens, q->n);
    int kept = 0;
    if (q->n == 0 || rows > g->max_len)
        return GENERATE_LONG;
    CHECK(q->images <= g->d.m->c.max_images, "a prompt of %d pictures where there is room for %d", q->images, g->d.m->c.max_images);
    const int i = choose(g, q, &kept);
    if (i < 0)
        return i;
    Slot *s = &g->slot[i];
    const int before = decode_rows(&g->d, q->tokens, kept), seen = pictures_in(q->tokens, kept);
    if (decode_waiting(&g->d) + rows - before > g->max_len)
        generate_step(g);
    *s = (Slot){ .held = s->held, .picture = s->picture, .made = s->made, .n_held = q->n, .rows = rows, .taken = true,
                 .max_new = q->max_new > 0 && q->max_new < g->max_new ? q->max_new : g->max_new, .temperature = q->temperature, .seed = q->seed };
    memcpy(s->held, q->tokens, (size_t)q->n * sizeof *s->held);
    for (int k = seen; g->keep && k < q->images; k++)
        s->picture[k] = picture_hash(g, q, k);
    const float *image_rows = NULL;
    if (q->images > seen)
        image_rows = model_image_rows(g->d.m, g->tape, q->pixels + (size_t)seen * picture_bytes(g), q->images - seen);
    decode_cut(&g->d, i, before);
    const bool fits = join(g, i, kept, image_rows);
    ASSERT(fits);
    (void)fits;
    return i;
}

Ended generate_ended(const Generator *g, int slot) { return g->slot[slot].ended; }

/* The length of s without the beginning of a character at its end, or the mark that stands for one. */
static size_t whole(const char *s, size_t n)
{
    if (n >= 3 && memcmp(s + n - 3, "\xef\xbf\xbd", 3) == 0)
        return whole(s, n - 3);
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char c = (unsigned char)s[n - back];
        if (c >= 0xc0)                                              /* a character of 2, 3 or 4 bytes begins here */
            return (c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2) > back ? n - back : n;
        if (c < 0x80)
            break;
    }
    return n;
}

int generate_text(const Generator *g, int slot, char *out, int cap)
{
    const Slot *s = &g->slot[slot];
    int said = 0;
    for (int i = 0; i < s->n_made; i++)                             /* some text models would write marks out */
        if (!template_is_mark(g->template_, g->text, s->made[i]))
            g->said[said++] = s->made[i];
    text_decode(g->text, g->said, said, out, cap);
    size_t n = strlen(out), from = strspn(out, " \n");
    if (!s->ended || n == (size_t)cap - 1)
        n = whole(out, n);
    while (n > from && (out[n - 1] == ' ' || out[n - 1] == '\n'))
        n--;
    n = n > from ? n - from : 0;
    memmove(out, out + from, n);
    out[n] = '\0';
    return (int)n;
}

void generate_release(Generator *g, int slot)
{
    Slot *s = &g->slot[slot];
    if (s->taken && !s->ended && !s->added) {                       /* its last token would have gone in next */
        s->n_held--;
        s->rows--;
    }
    s->leaving = s->added;
    s->taken = s->added;
}

bool generate_prompt(Generator *g, const Request *q, char *out, int cap)
{
    out[0] = '\0';
    const int slot = generate_add(g, q);
    if (slot < 0)
        return false;
    while (!generate_ended(g, slot))
        generate_step(g);
    generate_text(g, slot, out, cap);
    generate_release(g, slot);
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

Request generate_sample(const Generator *g, const Sample *s, char *question, int q_cap)
{
    char prompt[4096];
    const int n = last_answer(s);
    int from = n;
    while (from > 0 && s->labels[from - 1] == IGNORE)       /* the last turn alone */
        from--;
    text_decode(g->text, s->tokens + from, n - from, prompt, sizeof prompt);
    template_question(g->template_, prompt);
    snprintf(question, (size_t)q_cap, "%s", prompt);
    return (Request){ .tokens = s->tokens, .n = n, .pixels = s->pixels, .images = pictures_in(s->tokens, n) };
}
