#include "io/set/gather.h"

#include <stdlib.h>
#include <string.h>

static void *room(int64_t n, size_t elem)
{
    void *p = calloc((size_t)max64(n, 1), elem);
    CHECK(p, "no memory for %lld x %zu bytes of a batch", (long long)n, elem);
    return p;
}

void gather_open(Gather *g, const Shards *s, int samples, int images, int depth)
{
    const ShardMeta *m = shards_meta(s);
    *g = (Gather){ .cap = samples, .images_cap = images, .depth = depth,
                   .picture = (size_t)m->image * (size_t)m->image * 3, .codes_row = (size_t)(shard_patches(m) * depth) * 2,
                   .tokens_cap = samples * shards_max_tokens(s) };
    g->tokens = room(g->tokens_cap, sizeof *g->tokens);
    g->labels = room(g->tokens_cap, sizeof *g->labels);
    g->token_start = room(samples + 1, sizeof *g->token_start);
    g->image_start = room(samples + 1, sizeof *g->image_start);
    g->pixels = room(images, g->picture);
    g->codes = room(images, g->codes_row + 1);
    g->sample = room(samples, sizeof *g->sample);
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
    if (b->B == g->cap || b->I + s->n_images > g->images_cap || b->M + s->n_tokens > g->tokens_cap)
        return false;
    memcpy(g->tokens + b->M, s->tokens, (size_t)s->n_tokens * sizeof *g->tokens);
    memcpy(g->labels + b->M, s->labels, (size_t)s->n_tokens * sizeof *g->labels);
    if (s->n_images)
        memcpy(g->pixels + (size_t)b->I * g->picture, s->pixels, (size_t)s->n_images * g->picture);
    if (s->n_images && s->codes)
        memcpy((char *)g->codes + (size_t)b->I * g->codes_row, s->codes, (size_t)s->n_images * g->codes_row);
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
    b->codes = g->depth ? g->codes : NULL;
    b->sample = g->sample;
    return b;
}
