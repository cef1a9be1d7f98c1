#include "io/set/gather.h"

#include <stdlib.h>
#include <string.h>

GatherRoom gather_room(const Shards *s, int samples, int images)
{
    const ShardMeta *m = shards_meta(s);
    return (GatherRoom){ .samples = samples, .images = images, .tokens = samples * shards_max_tokens(s),
                         .image_bytes = (int64_t)m->image * m->image * 3, .image_codes = shard_patches(m) * m->depth };
}

/* Run with `bytes` it only counts. */
static void *room(int64_t n, size_t elem, int64_t *bytes)
{
    if (bytes) {
        *bytes += n * (int64_t)elem;
        return NULL;
    }
    void *p = calloc((size_t)max64(n, 1), elem);
    CHECK(p, "no memory for %lld x %zu bytes of a batch", (long long)n, elem);
    return p;
}

static void lay(Gather *g, int64_t *bytes)
{
    const GatherRoom *r = &g->room;
    g->tokens = room(r->tokens, sizeof *g->tokens, bytes);
    g->labels = room(r->tokens, sizeof *g->labels, bytes);
    g->token_start = room(r->samples + 1, sizeof *g->token_start, bytes);
    g->image_start = room(r->samples + 1, sizeof *g->image_start, bytes);
    g->pixels = room(r->images * r->image_bytes, 1, bytes);
    g->codes = room(r->images * r->image_codes, sizeof *g->codes, bytes);
    g->sample = room(r->samples, sizeof *g->sample, bytes);
}

int64_t gather_bytes(const GatherRoom *r)
{
    Gather g = { .room = *r };
    int64_t bytes = 0;
    lay(&g, &bytes);
    return bytes;
}

void gather_open(Gather *g, const GatherRoom *r)
{
    *g = (Gather){ .room = *r };
    lay(g, NULL);
}

void gather_close(Gather *g)
{
    free(g->tokens);
    free(g->labels);
    free(g->token_start);
    free(g->image_start);
    free(g->pixels);
    free(g->codes);
    free(g->sample);
    *g = (Gather){ 0 };
}

void gather_clear(Gather *g) { g->batch = (Batch){ 0 }; }

bool gather_add(Gather *g, const Sample *s, int64_t number)
{
    Batch *b = &g->batch;
    const GatherRoom *r = &g->room;
    if (b->B == r->samples || b->I + s->n_images > r->images || b->M + s->n_tokens > r->tokens)
        return false;
    memcpy(g->tokens + b->M, s->tokens, (size_t)s->n_tokens * sizeof *g->tokens);
    memcpy(g->labels + b->M, s->labels, (size_t)s->n_tokens * sizeof *g->labels);
    if (s->n_images)
        memcpy(g->pixels + b->I * r->image_bytes, s->pixels, (size_t)(s->n_images * r->image_bytes));
    if (s->n_images && s->codes && r->image_codes)
        memcpy(g->codes + b->I * r->image_codes, s->codes, (size_t)(s->n_images * r->image_codes) * sizeof *g->codes);
    g->sample[b->B++] = number;
    b->M += s->n_tokens;
    b->I += s->n_images;
    g->token_start[b->B] = (int32_t)b->M;
    g->image_start[b->B] = b->I;
    return true;
}

const Batch *gather_batch(Gather *g)
{
    Batch *b = &g->batch;
    b->tokens = g->tokens;
    b->labels = g->labels;
    b->token_start = g->token_start;
    b->image_start = g->image_start;
    b->pixels = g->pixels;
    b->codes = g->room.image_codes ? g->codes : NULL;
    b->sample = g->sample;
    return b;
}
