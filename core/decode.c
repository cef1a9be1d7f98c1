#include "core/decode.h"

#include "core/ops.h"

static void layout(Decode *d, int slots, int max_len, int rows)
{
    const LlamaDims *dims = &d->m->c.decoder;
    const Tp *tp = d->m->tp;
    Arena *a = &d->arena;
    llama_cache(&d->cache, a, dims, slots, max_len, rows, tp);
    d->images = TAKE(a, float, (int64_t)rows * dims->C);
    d->last   = TAKE(a, float, (int64_t)slots * dims->C);
    d->part   = tp->size > 1 ? TAKE(a, float, (int64_t)slots * (dims->V / tp->size)) : NULL;
    d->logits = TAKE(a, float, (int64_t)slots * dims->V);
    d->id  = LIST(a, int32_t, rows);
    d->pos = LIST(a, int32_t, rows);
    d->end = LIST(a, int32_t, slots);
    d->local = TAKE(a, int32_t, rows);
}

void decode_open(Decode *d, Model *m, int slots, int max_len, int rows)
{
    *d = (Decode){ .m = m, .arena.name = "generation" };
    layout(d, slots, max_len, rows);
    arena_alloc(&d->arena);
    layout(d, slots, max_len, rows);
    for (int i = 0; i < slots; i++)
        decode_start(d, i);
}

size_t decode_bytes(const Model *m, int slots, int max_len, int rows)
{
    Decode d = { .m = (Model *)(uintptr_t)m };
    layout(&d, slots, max_len, rows);
    return d.arena.used;
}

void decode_close(Decode *d) { arena_free(&d->arena); }

void decode_start(Decode *d, int slot) { d->cache.len[slot] = 0; }

void decode_cut(Decode *d, int slot, int len)
{
    ASSERT(len <= d->cache.len[slot]);
    d->cache.len[slot] = len;
}

int decode_rows(const Decode *d, const int32_t *tokens, int n)
{
    int rows = 0;
    for (int j = 0; j < n; j++)
        rows += tokens[j] == IMAGE_TOKEN ? d->m->w.vision.P : 1;
    return rows;
}

int decode_waiting(const Decode *d) { return d->cache.pieces ? d->cache.start[2 * d->cache.pieces - 1] : 0; }

bool decode_add(Decode *d, int slot, const int32_t *tokens, int n, const float *image_rows)
{
    LlamaCache *c = &d->cache;
    const int C = d->m->c.decoder.C, P = d->m->w.vision.P, rows = decode_rows(d, tokens, n), first = c->len[slot];
    if (n == 0 || first + rows > c->cap || decode_waiting(d) + rows > c->rows)
        return false;
    int at = llama_piece(c, slot, rows);
    for (int i = 0; i < rows; i++)
        d->pos[at + i] = first + i;
    d->end[c->pieces - 1] = at + rows - 1;
    for (int j = 0; j < n; j++)
        if (tokens[j] == IMAGE_TOKEN) {
            op.copy(d->images + (int64_t)at * C, image_rows, (int64_t)P * C);
            image_rows += (int64_t)P * C;
            for (int k = 0; k < P; k++)
                d->id[at++] = -1;
        } else
            d->id[at++] = tokens[j];
    return true;
}

/* Rows [at, to) of the pass have no token: they are a picture's. */
static void put_images(Decode *d, int rows)
{
    const int C = d->m->c.decoder.C;
    for (int at = 0, to; at < rows; at = to) {
        for (to = at; to < rows && d->id[to] < 0; )
            to++;
        if (to > at)
            op.copy(d->cache.tape.x + (int64_t)at * C, d->images + (int64_t)at * C, (int64_t)(to - at) * C);
        else
            to++;
    }
}

static void make_logits(Decode *d)
{
    Tp *tp = d->m->tp;
    const Llama *w = &d->m->w.decoder;
    const int V = w->d.V, Vl = V / tp->size;
    tp->need(tp, w->p_lm_head, w->p_lm_head + 1);
    op.gather(d->last, d->cache.tape.h, d->end, d->pieces, w->d.C);
    if (tp->size == 1) {
        op.linear_fwd(d->logits, d->last, &w->lm_head, d->pieces);
        return;
    }
    op.linear_fwd(d->part, d->last, &w->lm_head, d->pieces);
    op.zero(d->logits, (int64_t)d->pieces * V);
    for (int64_t i = 0; i < d->pieces; i++)
        op.copy(d->logits + i * V + (int64_t)tp->rank * Vl, d->part + i * Vl, Vl);
    tp->sum(tp, d->logits, (int64_t)d->pieces * V);
}

void decode_pass(Decode *d)
{
    LlamaCache *c = &d->cache;
    d->pieces = c->pieces;
    if (c->pieces == 0)
        return;
    const int rows = decode_waiting(d);
    llama_embed(c->tape.x, &d->m->w.decoder, d->id, d->local, rows, d->m->tp);
    put_images(d, rows);
    llama_extend(c, &d->m->w.decoder, d->pos, d->m->tp);
    make_logits(d);
}

int decode_pick(const Decode *d, int i, float temperature, double u)
{
    int32_t id;
    const int V = d->m->c.decoder.V;
    ASSERT(i < d->pieces);
    op.pick(&id, d->logits + (int64_t)i * V, V, temperature, u);
    return id;
}
