/* divides.c -- among how many tensor-parallel ranks a model can be split (asvr.h) */
#include <stdio.h>
#include <string.h>

#include "core/asvr.h"

enum { SIZES = 16, LISTED = 64 };

/* A size that is divided among ranks, and the parts of a model that have it.  few: where there are fewer than ranks, each
   lies on several. */
typedef struct { const char *key; int size; unsigned parts; bool few; } Split;
typedef struct { Split s[SIZES]; } Splits;

static Splits splits(const ModelConf *c)
{
    const unsigned heads = PART_HEAD | PART_APP_HEAD, codes = PART_CODES | PART_APP_CODES | heads;
    const unsigned towers = PART_VISION | PART_TOKENIZER, paired = c->projector_layers > 1 ? PART_PROJECTOR : 0;
    return (Splits){ {
        { "model.decoder.heads",    c->decoder.H,  PART_DECODER, false },
        { "model.decoder.kv_heads", c->decoder.K,  PART_DECODER, true },
        { "model.decoder.width",    c->decoder.C,  PART_DECODER | paired, false },
        { "model.decoder.ffn",      c->decoder.F,  PART_DECODER, false },
        { "model.decoder.vocab",    c->decoder.V,  PART_DECODER | PART_TEXT, false },
        { "model.vision.heads",     c->vision.H,   towers, false },
        { "model.vision.width",     c->vision.C,   towers, false },
        { "model.vision.ffn",       c->vision.F,   towers, false },
        { "model.text.heads",       c->text.H,     PART_TEXT, false },
        { "model.text.width",       c->text.C,     PART_TEXT, false },
        { "model.text.ffn",         c->text.F,     PART_TEXT, false },
        { "model.codes.size",       c->codes_size, codes, false },
        { "model.head.heads",       c->head_heads, heads | PART_DENOISER, false },
        { "model.head.width",       c->head_width, heads | PART_DENOISER, false },
    } };
}

/* The first of the model's sizes that does not divide among tp ranks, or NULL. */
static const Split *obstacle(const Splits *all, unsigned parts, int tp)
{
    for (const Split *s = all->s; s->key; s++)
        if ((s->parts & parts) && s->size % tp && !(s->few && tp % s->size == 0))
            return s;
    return NULL;
}

/* Appends "1, 2 and 4 would do": the numbers of ranks that no size stands in the way of. */
static void list_good(char *why, size_t cap, const Splits *all, unsigned parts)
{
    int good[LISTED], n = 0;
    size_t at = strlen(why);
    for (int tp = 1; tp <= LISTED; tp++)
        if (!obstacle(all, parts, tp))
            good[n++] = tp;
    for (int i = 0; i < n && at < cap; i++)
        at += (size_t)snprintf(why + at, cap - at, "%s%d", i == 0 ? "" : i + 1 < n ? ", " : " and ", good[i]);
    if (at < cap)
        snprintf(why + at, cap - at, "%s would do", n == 1 ? " alone" : "");
}

bool model_divides(const ModelConf *c, int tp, char *why, size_t cap)
{
    const Splits all = splits(c);
    const unsigned parts = model_parts(c);
    const Split *s = obstacle(&all, parts, tp);
    if (!s)
        return true;
    snprintf(why, cap, s->few ? "%s = %d neither divides among parallel.tp = %d ranks nor is divided by them; "
                              : "%s = %d does not divide among parallel.tp = %d ranks; ", s->key, s->size, tp);
    list_good(why, cap, &all, parts);
    return false;
}
