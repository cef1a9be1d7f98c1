#include "core/llama.h"

#include "core/ops.h"

/* With fewer kv heads than tp ranks each lies on `holders` neighbours, those whose query heads read it. */
static int holders(const LlamaDims *d, int ranks) { return (int)max64(1, ranks / d->K); }
static int kv_here(const LlamaDims *d, const Tp *tp) { return (int)max64(1, d->K / tp->size); }
static bool speaks(const LlamaDims *d, const Tp *tp) { return tp->rank % holders(d, tp->size) == 0; }

void llama_params(Llama *w, Binder *b)
{
    const int C = w->d.C, F = w->d.F, D = llama_head(&w->d), HD = w->d.H * D, KD = w->d.K * D, ranks = b->table->tp_size;
    const unsigned matrix = INIT_NORMAL | DECAY | MUON, kv = COPIES(holders(&w->d, ranks));
    CHECK(w->d.H % ranks == 0 && (w->d.K % ranks == 0 || ranks % w->d.K == 0),
          "%d heads and %d kv heads do not divide among %d tensor-parallel ranks", w->d.H, w->d.K, ranks);
    CHECK(D <= MAX_HEAD && D % 2 == 0, "heads of %d are odd, or larger than %d", D, MAX_HEAD);
    rope_freq(w->freq, D, w->d.theta, &w->d.rope);
    w->p_embed = b->next;
    w->embed = param(b, w->d.V, C, 0, INIT_NORMAL | DECAY, "decoder.embed");
    for (int l = 0; l < w->d.L; l++) {
        LlamaBlock *k = &w->block[l];
        k->first = b->next;
        k->attn_norm = param(b, C,  1, -1, INIT_ONE, "decoder.%d.attn.norm", l);
        k->wq        = param(b, HD, C,  0, matrix,   "decoder.%d.attn.wq", l);     /* split 0: column-parallel */
        k->wk        = param(b, KD, C,  0, matrix | kv, "decoder.%d.attn.wk", l);
        k->wv        = param(b, KD, C,  0, matrix | kv, "decoder.%d.attn.wv", l);
        if (w->d.qkv_bias) {
            k->bq = param(b, HD, 1, 0, INIT_ZERO, "decoder.%d.attn.bq", l);
            k->bk = param(b, KD, 1, 0, INIT_ZERO | kv, "decoder.%d.attn.bk", l);
            k->bv = param(b, KD, 1, 0, INIT_ZERO | kv, "decoder.%d.attn.bv", l);
        }
        if (w->d.qk_norm) {
            k->q_norm = param(b, D, 1, -1, INIT_ONE, "decoder.%d.attn.q_norm", l);
            k->k_norm = param(b, D, 1, -1, INIT_ONE, "decoder.%d.attn.k_norm", l);
        }
        k->wo        = param(b, C, HD,  1, matrix,   "decoder.%d.attn.wo", l);     /* split 1: row-parallel */
        k->ffn_norm  = param(b, C,  1, -1, INIT_ONE, "decoder.%d.ffn.norm", l);
        k->gate      = param(b, F,  C,  0, matrix,   "decoder.%d.ffn.gate", l);
        k->up        = param(b, F,  C,  0, matrix,   "decoder.%d.ffn.up", l);
        k->down      = param(b, C,  F,  1, matrix,   "decoder.%d.ffn.down", l);
        k->last = b->next;
    }
    w->p_norm = b->next;
    w->norm    = param(b, C, 1, -1, INIT_ONE, "decoder.norm");
    w->p_lm_head = w->d.tied ? w->p_embed : b->next;
    w->lm_head = w->d.tied ? w->embed : param(b, w->d.V, C, 0, INIT_NORMAL | DECAY, "decoder.lm_head");
}

void llama_tape(LlamaTape *t, Arena *a, const LlamaDims *d, int64_t N, const Tp *tp)
{
    const int C = d->C, Fl = d->F / tp->size, Hl = d->H / tp->size, D = llama_head(d), Kl = kv_here(d, tp);
    const int HD = Hl * D, KD = Kl * D;
    t->x = TAKE(a, float, N * C);
    for (int l = 0; l < d->L; l++) {
        LlamaLayerTape *s = &t->layer[l];
        s->rstd1 = TAKE(a, float, N);
        s->q     = TAKE(a, float, N * HD);  s->k   = TAKE(a, float, N * KD);
        s->v     = TAKE(a, float, N * KD);  s->att = TAKE(a, float, N * HD);
        s->lse   = TAKE(a, float, N * Hl);  s->mid = TAKE(a, float, N * C);
        if (d->qk_norm) {
            s->qin   = TAKE(a, float, N * HD);  s->kin   = TAKE(a, float, N * KD);
            s->rstdq = TAKE(a, float, N * Hl);  s->rstdk = TAKE(a, float, N * Kl);
        }
        s->rstd2 = TAKE(a, float, N);
        s->gate  = TAKE(a, float, N * Fl);  s->up  = TAKE(a, float, N * Fl);
        s->out   = TAKE(a, float, N * C);
    }
    t->rstd = TAKE(a, float, N);
    t->h    = TAKE(a, float, N * C);
    t->norm = TAKE(a, float, N * C);    t->part  = TAKE(a, float, N * C);    t->dx  = TAKE(a, float, N * C);
    t->act  = TAKE(a, float, N * Fl);   t->dgate = TAKE(a, float, N * Fl);   t->dup = TAKE(a, float, N * Fl);
    t->dq   = TAKE(a, float, N * HD);   t->datt  = TAKE(a, float, N * HD);
    t->dk   = TAKE(a, float, N * KD);   t->dv    = TAKE(a, float, N * KD);
    if (d->qk_norm) {
        t->dqin = TAKE(a, float, N * HD);  t->dkin = TAKE(a, float, N * KD);
        t->dqk  = TAKE(a, float, 2 * D);
    }
    t->held = holders(d, tp->size) > 1 ? TAKE(a, float, 2 * d->K * N * D) : NULL;
}

void llama_embed(float *out, const Llama *w, const int32_t *id, int32_t *local, int64_t N, Tp *tp)
{
    const int Vl = w->d.V / tp->size;
    tp->need(tp, w->p_embed, w->p_embed + 1);
    tp_ids(local, id, N, Vl, tp);
    op.embed_fwd(out, w->embed, local, N, w->d.C, Vl);
    tp->sum(tp, out, N * w->d.C);
}

void llama_embed_backward(Llama *dw, const float *dout, const Llama *w, const int32_t *id, int32_t *local, int64_t N,
                          Tp *tp)
{
    const int Vl = w->d.V / tp->size;
    if (!dw->embed)
        return;
    tp_ids(local, id, N, Vl, tp);
    op.embed_bwd(dw->embed, dout, local, N, w->d.C, Vl);
}

void llama_forward(LlamaTape *t, const Llama *w, int64_t N, int B, const int32_t *start, const int32_t *pos, Tp *tp)
{
    const LlamaDims *d = &w->d;
    const int C = d->C, D = llama_head(d), Hl = d->H / tp->size, Kl = kv_here(d, tp), Fl = d->F / tp->size;
    const float *x = t->x;
    for (int l = 0; l < d->L; l++) {
        LlamaLayerTape *s = &t->layer[l];
        const LlamaBlock *k = &w->block[l];
        tp->need(tp, k->first, k->last);
        op.rmsnorm_fwd(t->norm, s->rstd1, x, k->attn_norm, N, C, d->eps);
        op.linear_fwd(d->qk_norm ? s->qin : s->q, t->norm, k->wq, k->bq, N, C, Hl * D);
        op.linear_fwd(d->qk_norm ? s->kin : s->k, t->norm, k->wk, k->bk, N, C, Kl * D);
        op.linear_fwd(s->v, t->norm, k->wv, k->bv, N, C, Kl * D);
        if (d->qk_norm) {
            op.rmsnorm_fwd(s->q, s->rstdq, s->qin, k->q_norm, N * Hl, D, d->eps);      /* each head by itself */
            op.rmsnorm_fwd(s->k, s->rstdk, s->kin, k->k_norm, N * Kl, D, d->eps);
        }
        op.rope(s->q, pos, N, Hl, D, w->freq, +1);
        op.rope(s->k, pos, N, Kl, D, w->freq, +1);
        op.attention_fwd(s->att, s->lse, s->q, s->k, s->v, B, start, start, Hl, Kl, D, CAUSAL);
        op.linear_fwd(s->mid, s->att, k->wo, NULL, N, Hl * D, C);
        tp->sum(tp, s->mid, N * C);                       /* wo is split by input: partial sums */
        op.add_fwd(s->mid, s->mid, x, N * C);

        op.rmsnorm_fwd(t->norm, s->rstd2, s->mid, k->ffn_norm, N, C, d->eps);
        op.linear_fwd(s->gate, t->norm, k->gate, NULL, N, C, Fl);
        op.linear_fwd(s->up, t->norm, k->up, NULL, N, C, Fl);
        op.swiglu_fwd(t->act, s->gate, s->up, N * Fl);
        op.linear_fwd(s->out, t->act, k->down, NULL, N, Fl, C);
        tp->sum(tp, s->out, N * C);
        op.add_fwd(s->out, s->out, s->mid, N * C);
        x = s->out;
    }
    tp->need(tp, w->p_norm, w->p_norm + 1);
    op.rmsnorm_fwd(t->h, t->rstd, x, w->norm, N, C, d->eps);
}

/* dx += gradient through the FFN and its norm; activations that cost one pass are computed again, not stored */
static void ffn_backward(float *dx, LlamaBlock *dk, LlamaTape *t, const LlamaLayerTape *s, const LlamaBlock *k,
                         const LlamaDims *d, int64_t N, Tp *tp, const OnGrad *g)
{
    const int C = d->C, Fl = d->F / tp->size;
    float *dact = t->act, *dnorm = t->part;
    op.swiglu_fwd(t->act, s->gate, s->up, N * Fl);
    op.linear_bwd(NULL, dk->down, NULL, dx, t->act, k->down, N, Fl, C);
    op.linear_bwd(dact, NULL, NULL, dx, NULL, k->down, N, Fl, C);
    op.swiglu_bwd(t->dgate, t->dup, dact, s->gate, s->up, N * Fl);
    if (g)
        g->final(g->ctx, 0, 0);
    op.rmsnorm_fwd(t->norm, s->rstd2, s->mid, k->ffn_norm, N, C, d->eps);
    op.linear_bwd(dnorm, dk->gate, NULL, t->dgate, t->norm, k->gate, N, C, Fl);
    op.linear_bwd(NULL, dk->up, NULL, t->dup, t->norm, k->up, N, C, Fl);
    op.linear_bwd(t->norm, NULL, NULL, t->dup, NULL, k->up, N, C, Fl);
    op.add_fwd(dnorm, dnorm, t->norm, N * C);
    tp->sum(tp, dnorm, N * C);                            /* gate and up are split by output */
    op.rmsnorm_bwd(t->norm, dk->ffn_norm, dnorm, s->mid, s->rstd2, k->ffn_norm, N, C);
    op.add_fwd(dx, dx, t->norm, N * C);
}

/* Each holder of a kv head knows what its own query heads send there: t->dk and t->dv become the sums over its holders. */
static void sum_holders(LlamaTape *t, const LlamaDims *d, int64_t N, Tp *tp)
{
    const int64_t n = N * llama_head(d), head = tp->rank / holders(d, tp->size);
    if (!t->held)
        return;
    float *dk = t->held + head * n, *dv = dk + d->K * n;
    op.zero(t->held, 2 * d->K * n);
    op.copy(dk, t->dk, n);
    op.copy(dv, t->dv, n);
    tp->sum(tp, t->held, 2 * d->K * n);
    op.copy(t->dk, dk, n);
    op.copy(t->dv, dv, n);
}

/* Back through the q/k norms: of t->dq and t->dk -> t->dqin and t->dkin.  All heads of all ranks share the weights; of a kv
   head that lies on several ranks one of them speaks. */
static void norms_backward(LlamaBlock *dk, LlamaTape *t, const LlamaLayerTape *s, const LlamaBlock *k, const LlamaDims *d,
                           int64_t N, Tp *tp)
{
    const int D = llama_head(d), Hl = d->H / tp->size, Kl = kv_here(d, tp);
    float *dqk = dk->q_norm ? t->dqk : NULL;
    op.zero(t->dqk, 2 * D);
    op.rmsnorm_bwd(t->dqin, dqk, t->dq, s->qin, s->rstdq, k->q_norm, N * Hl, D);
    op.rmsnorm_bwd(t->dkin, dqk && speaks(d, tp) ? dqk + D : NULL, t->dk, s->kin, s->rstdk, k->k_norm, N * Kl, D);
    if (!dqk)
        return;
    tp->sum(tp, dqk, 2 * D);
    op.add_fwd(dk->q_norm, dk->q_norm, dqk, D);
    op.add_fwd(dk->k_norm, dk->k_norm, dqk + D, D);
}

static void attention_backward(float *dx, LlamaBlock *dw, LlamaTape *t, const LlamaLayerTape *s, const LlamaBlock *k,
                               const float *x, const Llama *w, int64_t N, int B, const int32_t *start, const int32_t *pos,
                               Tp *tp)
{
    const LlamaDims *d = &w->d;
    const int C = d->C, D = llama_head(d), Hl = d->H / tp->size, Kl = kv_here(d, tp);
    const float *dq = d->qk_norm ? t->dqin : t->dq, *dk = d->qk_norm ? t->dkin : t->dk;
    float *dnorm = t->part;
    op.linear_bwd(t->datt, dw->wo, NULL, dx, s->att, k->wo, N, Hl * D, C);
    op.attention_bwd(t->dq, t->dk, t->dv, t->datt, s->att, s->lse, s->q, s->k, s->v, B, start, start, Hl, Kl, D, CAUSAL);
    sum_holders(t, d, N, tp);
    op.rope(t->dq, pos, N, Hl, D, w->freq, -1);
    op.rope(t->dk, pos, N, Kl, D, w->freq, -1);
    if (d->qk_norm)
        norms_backward(dw, t, s, k, d, N, tp);
    op.rmsnorm_fwd(t->norm, s->rstd1, x, k->attn_norm, N, C, d->eps);
    op.linear_bwd(dnorm, dw->wq, dw->bq, dq, t->norm, k->wq, N, C, Hl * D);
    op.linear_bwd(NULL, dw->wk, dw->bk, dk, t->norm, k->wk, N, C, Kl * D);
    op.linear_bwd(NULL, dw->wv, dw->bv, t->dv, t->norm, k->wv, N, C, Kl * D);
    if (speaks(d, tp)) {                                  /* all holders would add the same */
        op.linear_bwd(t->norm, NULL, NULL, dk, NULL, k->wk, N, C, Kl * D);
        op.add_fwd(dnorm, dnorm, t->norm, N * C);
        op.linear_bwd(t->norm, NULL, NULL, t->dv, NULL, k->wv, N, C, Kl * D);
        op.add_fwd(dnorm, dnorm, t->norm, N * C);
    }
    tp->sum(tp, dnorm, N * C);
    op.rmsnorm_bwd(t->norm, dw->attn_norm, dnorm, x, s->rstd1, k->attn_norm, N, C);
    op.add_fwd(dx, dx, t->norm, N * C);
}

float *llama_backward(Llama *dw, LlamaTape *t, const float *dh, const Llama *w, int64_t N, int B, const int32_t *start,
                      const int32_t *pos, Tp *tp, const OnGrad *g)
{
    const LlamaDims *d = &w->d;
    const float *last = d->L ? t->layer[d->L - 1].out : t->x;
    op.rmsnorm_bwd(t->dx, dw->norm, dh, last, t->rstd, w->norm, N, d->C);
    if (g)
        g->final(g->ctx, w->p_norm, w->p_norm + (d->tied ? 1 : 2));    /* and, complete since the loss, an LM head of its own */
    for (int l = d->L - 1; l >= 0; l--) {
        const LlamaLayerTape *s = &t->layer[l];
        const LlamaBlock *k = &w->block[l];
        ffn_backward(t->dx, &dw->block[l], t, s, k, d, N, tp, g);
        if (g)
            g->final(g->ctx, 0, 0);
        attention_backward(t->dx, &dw->block[l], t, s, k, l ? t->layer[l - 1].out : t->x, w, N, B, start, pos, tp);
        if (g)
            g->final(g->ctx, k->first, k->last);
    }
    return t->dx;
}

void llama_cache(LlamaCache *c, Arena *a, const LlamaDims *d, int cap, int rows, const Tp *tp)
{
    const int C = d->C, D = llama_head(d), Hl = d->H / tp->size, KD = kv_here(d, tp) * D, Fl = d->F / tp->size;
    c->len = 0;
    c->cap = cap;
    c->rows = rows;
    for (int l = 0; l < d->L; l++) {
        c->k[l] = TAKE(a, float, (int64_t)cap * KD);
        c->v[l] = TAKE(a, float, (int64_t)cap * KD);
    }
    c->norm = TAKE(a, float, (int64_t)rows * C);         c->q    = TAKE(a, float, (int64_t)rows * Hl * D);
    c->att  = TAKE(a, float, (int64_t)rows * Hl * D);    c->lse  = TAKE(a, float, (int64_t)rows * Hl);
    c->part = TAKE(a, float, (int64_t)rows * C);         c->gate = TAKE(a, float, (int64_t)rows * Fl);
    c->up   = TAKE(a, float, (int64_t)rows * Fl);
}

void llama_extend(float *h, LlamaCache *c, const Llama *w, float *x, const int32_t *pos, int n, Tp *tp)
{
    const LlamaDims *d = &w->d;
    const int C = d->C, D = llama_head(d), Hl = d->H / tp->size, Kl = kv_here(d, tp), KD = Kl * D, Fl = d->F / tp->size;
    CHECK(n <= c->rows && c->len + n <= c->cap, "a sequence of %d rows does not fit the cache of %d", c->len + n, c->cap);
    const int32_t queries[2] = { 0, n }, keys[2] = { 0, c->len + n };
    for (int l = 0; l < d->L; l++) {
        const LlamaBlock *b = &w->block[l];
        float *k = c->k[l] + (int64_t)c->len * KD, *v = c->v[l] + (int64_t)c->len * KD;
        tp->need(tp, b->first, b->last);
        op.rmsnorm_fwd(c->norm, c->lse, x, b->attn_norm, n, C, d->eps);
        op.linear_fwd(c->q, c->norm, b->wq, b->bq, n, C, Hl * D);
        op.linear_fwd(k, c->norm, b->wk, b->bk, n, C, KD);
        op.linear_fwd(v, c->norm, b->wv, b->bv, n, C, KD);
        if (d->qk_norm) {
            op.rmsnorm_fwd(c->q, c->lse, c->q, b->q_norm, (int64_t)n * Hl, D, d->eps);
            op.rmsnorm_fwd(k, c->lse, k, b->k_norm, (int64_t)n * Kl, D, d->eps);
        }
        op.rope(c->q, pos, n, Hl, D, w->freq, +1);
        op.rope(k, pos, n, Kl, D, w->freq, +1);
        op.attention_fwd(c->att, c->lse, c->q, c->k[l], c->v[l], 1, queries, keys, Hl, Kl, D, CAUSAL);
        op.linear_fwd(c->part, c->att, b->wo, NULL, n, Hl * D, C);
        tp->sum(tp, c->part, (int64_t)n * C);
        op.add_fwd(x, x, c->part, (int64_t)n * C);
        op.rmsnorm_fwd(c->norm, c->lse, x, b->ffn_norm, n, C, d->eps);
        op.linear_fwd(c->gate, c->norm, b->gate, NULL, n, C, Fl);
        op.linear_fwd(c->up, c->norm, b->up, NULL, n, C, Fl);
        op.swiglu_fwd(c->gate, c->gate, c->up, (int64_t)n * Fl);
        op.linear_fwd(c->part, c->gate, b->down, NULL, n, Fl, C);
        tp->sum(tp, c->part, (int64_t)n * C);
        op.add_fwd(x, x, c->part, (int64_t)n * C);
    }
    tp->need(tp, w->p_norm, w->p_norm + 1);
    op.rmsnorm_fwd(h, c->lse, x, w->norm, n, C, d->eps);
    c->len += n;
}
