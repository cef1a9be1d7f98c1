#include "launch/pack/shardbuild.h"

#include <stdlib.h>
#include <string.h>

static void grow(Growing *g, const void *bytes, size_t n)
{
    if (g->used + n > g->cap) {
        g->cap = 2 * g->cap > g->used + n ? 2 * g->cap : g->used + n + 4096;
        g->at = realloc(g->at, g->cap);
        CHECK(g->at, "no memory for %zu bytes of a shard", g->cap);
    }
    if (n)
        memcpy(g->at + g->used, bytes, n);
    g->used += n;
}

void pack_sample_room(PackSample *p, int n, int size)
{
    if (n <= p->cap)
        return;
    p->cap = n;
    p->pixels = realloc(p->pixels, (size_t)n * (size_t)size * (size_t)size * 3);
    CHECK(p->pixels, "no memory for %d pictures of %d x %d", n, size, size);
}

const char *source_system(const Source *s)
{
    return s->c->data.system[0] ? s->c->data.system : NULL;
}

void shardbuild_begin(ShardBuild *b, const ShardMeta *meta)
{
    const int64_t zero = 0;
    b->meta = meta;
    grow(&b->image_start, &zero, sizeof zero);
    grow(&b->token_start, &zero, sizeof zero);
    grow(&b->answer_start, &zero, sizeof zero);
}

void shardbuild_add(ShardBuild *b, const PackSample *p)
{
    const size_t side = (size_t)b->meta->image;
    b->part.samples++;
    b->part.images += p->images;
    b->part.tokens += p->prompt.n;
    const size_t at = b->pixels.used;
    grow(&b->pixels, p->pixels, (size_t)p->images * side * side * 3);
    if (b->meta->store == STORE_DELTA)
        store_encode((uint8_t *)b->pixels.at + at, p->pixels, p->images, b->meta->image);
    grow(&b->tokens, p->prompt.tokens, (size_t)p->prompt.n * sizeof(int32_t));
    grow(&b->labels, p->prompt.labels, (size_t)p->prompt.n * sizeof(int32_t));
    grow(&b->image_start, &b->part.images, sizeof(int64_t));
    grow(&b->token_start, &b->part.tokens, sizeof(int64_t));
    if (b->meta->eval) {
        const int32_t task = p->task;
        if (task >= 0)
            grow(&b->answers, p->answer, strlen(p->answer));
        const int64_t end = (int64_t)b->answers.used;
        grow(&b->answer_start, &end, sizeof end);
        grow(&b->task, &task, sizeof task);
    }
}

void shardbuild_codes(ShardBuild *b, Model *m, Tape *t, Watch *w)
{
    const int P = m->w.vision.P, Q = m->c.codes_depth;
    const size_t picture = (size_t)b->meta->image * (size_t)b->meta->image * 3;
    uint8_t *px = malloc((size_t)m->c.max_images * picture);
    CHECK(px, "no memory for %d pictures", m->c.max_images);
    for (int64_t i = 0; i < b->part.images; i += m->c.max_images) {
        const int n = (int)min64(m->c.max_images, b->part.images - i);
        watch_phase(w, WATCH_PACK, i);
        memcpy(px, (const uint8_t *)b->pixels.at + (size_t)i * picture, (size_t)n * picture);
        if (b->meta->store == STORE_DELTA)
            store_decode(px, n, b->meta->image);
        model_codes(m, t, px, n);
        for (int64_t p = 0; p < (int64_t)n * P; p++)
            for (int k = 0; k < b->meta->depth; k++) {     /* depth-major in the model, patch by patch in the shard */
                const uint16_t c = (uint16_t)t->codes[k / Q].code[k % Q * (int64_t)n * P + p];
                grow(&b->codes, &c, sizeof c);
            }
    }
    free(px);
}

const ShardPart *shardbuild_get(ShardBuild *b)
{
    ShardPart *p = &b->part;
    p->pixels = (const uint8_t *)b->pixels.at;
    p->codes = (const uint16_t *)(void *)b->codes.at;
    p->image_start = (const int64_t *)(void *)b->image_start.at;
    p->token_start = (const int64_t *)(void *)b->token_start.at;
    p->tokens_ = (const int32_t *)(void *)b->tokens.at;
    p->labels = (const int32_t *)(void *)b->labels.at;
    p->answers = b->answers.at;
    p->answer_start = (const int64_t *)(void *)b->answer_start.at;
    p->task = (const int32_t *)(void *)b->task.at;
    return p;
}

void shardbuild_free(ShardBuild *b)
{
    Growing *all[] = { &b->pixels, &b->codes, &b->image_start, &b->token_start, &b->tokens, &b->labels, &b->answers,
                       &b->answer_start, &b->task };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]->at);
    *b = (ShardBuild){ 0 };
}
