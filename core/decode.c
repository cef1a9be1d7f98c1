#include "core/decode.h"

#include "core/ops.h"

static void layout(Decode *d, int max_len)
{
    const LlamaDims *dims = &d->m->c.decoder;
    Arena *a = &d->arena;
    llama_cache(&d->cache, a, dims, max_len, max_len, d->m->tp);
    d->logits = TAKE(a, float, dims->V);
    d->id  = LIST(a, int32_t, max_len);
    d->pos = LIST(a, int32_t, max_len);
    d->local = TAKE(a, int32_t, max_len);
}

void decode_open(Decode *d, Model *m, int max_len)
{
    *d = (Decode){ .m = m, .rows = max_len, .arena.name = "generation" };
    layout(d, max_len);
    arena_alloc(&d->arena);
    layout(d, max_len);
}

size_t decode_bytes(const Model *m, int max_len)
{
    Decode d = { .m = (Model *)(uintptr_t)m };
    layout(&d, max_len);
    return d.arena.used;
}

void decode_close(Decode *d) { arena_free(&d->arena); }

void decode_start(Decode *d)
{
    d->cache.len = 0;
    d->last = -1;
}

bool decode_prompt(Decode *d, const int32_t *tokens, int n, const float *image_rows)
{
    const int C = d->m->c.decoder.C, P = d->m->w.vision.P;
    int rows = 0, images = 0;
    for (int j = 0; j < n; j++)
        rows += tokens[j] == IMAGE_TOKEN ? P : 1;
    if (n == 0 || d->cache.len + rows > d->cache.cap)
        return false;
    int at = 0;
    for (int j = 0; j < n; j++)
        for (int k = tokens[j] == IMAGE_TOKEN ? P : 1; k > 0; k--)
            d->id[at++] = tokens[j] == IMAGE_TOKEN ? -1 : tokens[j];
    for (int i = 0; i < rows; i++)
        d->pos[i] = d->cache.len + i;
    llama_embed(d->cache.tape.x, &d->m->w.decoder, d->id, d->local, rows, d->m->tp);
    for (int j = 0, row = 0; j < n; j++) {
        if (tokens[j] == IMAGE_TOKEN)
            op.copy(d->cache.tape.x + (int64_t)row * C, image_rows + (int64_t)images++ * P * C, (int64_t)P * C);
        row += tokens[j] == IMAGE_TOKEN ? P : 1;
    }
    llama_extend(&d->cache, &d->m->w.decoder, d->pos, rows, d->m->tp);
    d->last = rows - 1;
    return true;
}

bool decode_token(Decode *d, int32_t token)
{
    return decode_prompt(d, &token, 1, NULL);
}

const float *decode_logits(Decode *d)
{
    Tp *tp = d->m->tp;
    const Llama *w = &d->m->w.decoder;
    const int C = w->d.C, V = w->d.V, Vl = V / tp->size;
    tp->need(tp, w->p_lm_head, w->p_lm_head + 1);
    op.zero(d->logits, V);
    op.linear_fwd(d->logits + tp->rank * Vl, d->cache.tape.h + (int64_t)d->last * C, &w->lm_head, 1);
    tp->sum(tp, d->logits, V);
    return d->logits;
}

int decode_pick(Decode *d, float temperature, double u)
{
    int32_t id;
    op.pick(&id, decode_logits(d), d->m->c.decoder.V, temperature, u);
    return id;
}
