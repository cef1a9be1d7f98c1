/* llamatape.c -- the decoder's buffers: of a training step, and the cache of generation */
#include "core/llamainside.h"

#include "core/residual.h"
#include "core/stripe.h"

/* q, k, v and attention of a block, its keys and values of cap rows. */
static void lay_attention(LlamaLayerTape *s, Arena *a, const LlamaDims *d, int64_t N, const Tp *tp)
{
    const int Hl = d->H / tp->size, Kl = kv_here(d, tp), HD = Hl * llama_head(d), KD = Kl * llama_head(d);
    s->rstd1 = TAKE(a, float, kept_rows(tp, N));  s->q   = TAKE(a, float, N * HD);
    s->att   = TAKE(a, float, N * HD);  s->lse = TAKE(a, float, N * Hl);
    if (d->qk_norm) {
        s->qin   = TAKE(a, float, N * HD);  s->kin   = TAKE(a, float, N * KD);
        s->rstdq = TAKE(a, float, N * Hl);  s->rstdk = TAKE(a, float, N * Kl);
    }
}

static void lay_ffn(LlamaLayerTape *s, Arena *a, const LlamaDims *d, int64_t N, const Tp *tp)
{
    const int C = d->C, Fl = d->F / tp->size;
    const int64_t kept = kept_rows(tp, N);
    s->mid  = TAKE(a, float, kept * C); s->rstd2 = TAKE(a, float, kept);
    s->gate = TAKE(a, float, N * Fl);   s->up    = TAKE(a, float, N * Fl);
}

/* Of N rows at most in a call, with keys and values of cap rows.  Layers after the first share its buffers but those that outlast a
   layer's forward: what backward reads, or, without keep, the keys and values. */
static void lay_tape(LlamaTape *t, Arena *a, const LlamaDims *d, int64_t N, int64_t cap, bool keep, const Tp *tp)
{
    const int C = d->C, Fl = d->F / tp->size, KD = kv_here(d, tp) * llama_head(d);
    const bool attention = keep && t->recompute == RECOMPUTE_NONE, ffn = keep && t->recompute != RECOMPUTE_BLOCK;
    const int64_t kept = kept_rows(tp, N);
    t->x = TAKE(a, float, N * C);
    t->in = tp->sequence ? TAKE(a, float, kept * C) : t->x;
    for (int l = 0; l < d->L; l++) {
        LlamaLayerTape *s = &t->layer[l];
        if (l > 0)
            *s = t->layer[0];
        if (l == 0 || attention || !keep) {
            s->k = TAKE(a, float, cap * KD);
            s->v = TAKE(a, float, cap * KD);
        }
        if (l == 0 || attention)
            lay_attention(s, a, d, N, tp);
        if (l == 0 || ffn)
            lay_ffn(s, a, d, N, tp);
        s->out = keep ? TAKE(a, float, kept * C) : t->in;
    }
    t->rstd = TAKE(a, float, kept);     t->h   = tp->sequence ? t->x : TAKE(a, float, N * C);
    t->norm = TAKE(a, float, N * C);    t->act = TAKE(a, float, N * Fl);
    t->room = tp->size > 1 ? TAKE(a, float, room_rows(tp, N) * C) : NULL;
}

void llama_tape(LlamaTape *t, Arena *a, const LlamaDims *d, int64_t N, int recompute, const Tp *tp)
{
    t->recompute = recompute;
    lay_tape(t, a, d, N, N, true, tp);
}

void llama_tape_backward(LlamaTape *t, Arena *a, const LlamaDims *d, int64_t N, const Tp *tp)
{
    const int C = d->C, D = llama_head(d), HD = d->H / tp->size * D, KD = kv_here(d, tp) * D;
    t->dq   = TAKE(a, float, N * HD);   t->datt  = TAKE(a, float, N * HD);
    t->dk   = TAKE(a, float, N * KD);   t->dv    = TAKE(a, float, N * KD);
    t->dnorm = TAKE(a, float, N * C);   t->dx    = TAKE(a, float, N * C);
    if (d->qk_norm) {
        t->dqin = TAKE(a, float, N * HD);  t->dkin = TAKE(a, float, N * KD);
        t->dqk  = TAKE(a, float, 2 * D);
    }
    t->part = tp->sequence ? TAKE(a, float, 4 * C) : NULL;
    t->held = holders(d, tp->size) > 1 ? TAKE(a, float, 2 * d->K * N * D) : NULL;
}

void llama_cache(LlamaCache *c, Arena *a, const LlamaDims *d, int slots, int cap, int rows, const Tp *tp)
{
    const int KD = kv_here(d, tp) * llama_head(d);
    c->slots = slots;
    c->cap = cap;
    c->rows = rows;
    c->pieces = 0;
    c->tape.recompute = RECOMPUTE_NONE;
    lay_tape(&c->tape, a, d, rows, (int64_t)slots * cap, false, tp);
    c->k = TAKE(a, float, (int64_t)rows * KD);
    c->v = TAKE(a, float, (int64_t)rows * KD);
    c->len = LIST(a, int32_t, slots);
    c->slot = LIST(a, int32_t, slots);
    c->start = LIST(a, int32_t, 2 * slots);
    c->kstart = LIST(a, int32_t, 2 * slots);
}

int llama_piece(LlamaCache *c, int slot, int n)
{
    const int i = c->pieces, at = i ? c->start[2 * i - 1] : 0, len = c->len[slot];
    CHECK(at + n <= c->rows && len + n <= c->cap, "a sequence of %d rows does not fit the cache of %d", len + n, c->cap);
    ASSERT(slot < c->slots && i < c->slots);
    c->slot[i] = slot;
    c->start[2 * i] = at;
    c->start[2 * i + 1] = at + n;
    c->kstart[2 * i] = slot * c->cap;
    c->kstart[2 * i + 1] = slot * c->cap + len + n;
    c->pieces++;
    return at;
}
