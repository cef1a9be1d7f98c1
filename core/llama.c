#include "core/llamainside.h"

#include "core/join.h"
#include "core/residual.h"
#include "core/stripe.h"

void llama_params(Llama *w, Binder *b)
{
    const int C = w->d.C, F = w->d.F, D = llama_head(&w->d), HD = w->d.H * D, KD = w->d.K * D, ranks = b->table->tp_size;
    const unsigned matrix = INIT_NORMAL | DECAY | MUON | LORA, kv = COPIES(holders(&w->d, ranks));
    CHECK(w->d.H % ranks == 0 && (w->d.K % ranks == 0 || ranks % w->d.K == 0),
          "%d heads and %d kv heads do not divide among %d tensor-parallel ranks", w->d.H, w->d.K, ranks);
    const int leaves = (int)min64(b->table->leaves, max64(1, w->d.K / ranks));          /* a kv head lies in one */
    CHECK(D <= MAX_HEAD && D % 2 == 0, "heads of %d are odd, or larger than %d", D, MAX_HEAD);
    rope_freq(w->freq, D, w->d.theta, &w->d.rope);
    w->p_embed = b->next;
    w->embed = param(b, w->d.V, C, 0, INIT_NORMAL | DECAY, "decoder.embed");
    for (int l = 0; l < w->d.L; l++) {
        LlamaBlock *k = &w->block[l];
        k->first = b->next;
        k->attn_norm = param(b, C,  1, -1, INIT_ONE, "decoder.%d.attn.norm", l);
        k->wq        = param_linear(b, HD, C,  0, matrix,   "decoder.%d.attn.wq", l);     /* split 0: column-parallel */
        k->wk        = param_linear(b, KD, C,  0, matrix | kv, "decoder.%d.attn.wk", l);
        k->wv        = param_linear(b, KD, C,  0, matrix | kv, "decoder.%d.attn.wv", l);
        k->wk.leaves = k->wv.leaves = leaves;
        if (w->d.qkv_bias) {
            k->wq.b = param(b, HD, 1, 0, INIT_ZERO, "decoder.%d.attn.bq", l);
            k->wk.b = param(b, KD, 1, 0, INIT_ZERO | kv, "decoder.%d.attn.bk", l);
            k->wv.b = param(b, KD, 1, 0, INIT_ZERO | kv, "decoder.%d.attn.bv", l);
        }
        if (w->d.qk_norm) {
            k->q_norm = param(b, D, 1, -1, INIT_ONE, "decoder.%d.attn.q_norm", l);
            k->k_norm = param(b, D, 1, -1, INIT_ONE, "decoder.%d.attn.k_norm", l);
        }
        k->wo        = param_linear(b, C, HD,  1, matrix,   "decoder.%d.attn.wo", l);     /* split 1: row-parallel */
        k->ffn_norm  = param(b, C,  1, -1, INIT_ONE, "decoder.%d.ffn.norm", l);
        k->gate      = param_linear(b, F,  C,  0, matrix,   "decoder.%d.ffn.gate", l);
        k->up        = param_linear(b, F,  C,  0, matrix,   "decoder.%d.ffn.up", l);
        k->down      = param_linear(b, C,  F,  1, matrix,   "decoder.%d.ffn.down", l);
        k->last = b->next;
    }
    w->p_norm = b->next;
    w->norm    = param(b, C, 1, -1, INIT_ONE, "decoder.norm");
    w->p_lm_head = w->d.tied ? w->p_embed : b->next;
    w->lm_head = w->d.tied ? param_tied(b, w->embed, w->d.V, C)
                           : param_linear(b, w->d.V, C, 0, INIT_NORMAL | DECAY, "decoder.lm_head");
}

void llama_embed(float *out, const Llama *w, const int32_t *id, int32_t *local, int64_t N, Tp *tp)
{
    const int Vl = w->d.V / tp->size;
    tp->need(tp, w->p_embed, w->p_embed + 1);
    op.local_ids(local, id, N, tp->rank * Vl);
    if (w->d.tied && w->lm_head.packed)
        op.linear_rows(out, &w->lm_head, local, N);
    else
        op.embed_fwd(out, w->embed, local, N, w->d.C, Vl);
    tp->sum(tp, out, N * w->d.C);
}

void llama_embed_backward(Llama *dw, const float *dout, const Llama *w, const int32_t *id, int32_t *local, int64_t N,
                          Tp *tp)
{
    const int Vl = w->d.V / tp->size;
    if (!dw->embed)
        return;
    op.local_ids(local, id, N, tp->rank * Vl);
    op.embed_bwd(dw->embed, dout, local, N, w->d.C, Vl);
}

static Residual stream(const LlamaTape *t, int64_t N, int C, Tp *tp) { return residual(tp, N, C, t->norm, t->room, t->part); }

static Norm norm1(const LlamaLayerTape *s, const LlamaBlock *b, float eps) { return (Norm){ .w = b->attn_norm, .rstd = s->rstd1, .eps = eps }; }
static Norm norm2(const LlamaLayerTape *s, const LlamaBlock *b, float eps) { return (Norm){ .w = b->ffn_norm, .rstd = s->rstd2, .eps = eps }; }

/* The new keys and values join those of their sequences in layer s. */
static void append(LlamaLayerTape *s, const LlamaCache *c, int KD)
{
    for (int i = 0; i < c->pieces; i++) {
        const int64_t from = (int64_t)c->start[2 * i] * KD, n = c->start[2 * i + 1] - c->start[2 * i];
        const int64_t to = ((int64_t)c->slot[i] * c->cap + c->len[c->slot[i]]) * KD;
        op.copy(s->k + to, c->k + from, n * KD);
        op.copy(s->v + to, c->v + from, n * KD);
    }
}

/* The rotated q and k and the v of normed rows p. */
static void project(LlamaLayerTape *s, float *k, float *v, const LlamaBlock *b, const float *norm, const Llama *w, const int32_t *pos,
                    Stripe p, const Tp *tp)
{
    const LlamaDims *d = &w->d;
    const int D = llama_head(d), Hl = d->H / tp->size, Kl = kv_here(d, tp);
    float *q = s->q + p.at * Hl * D, *key = k + p.at * Kl * D;
    stripe_linear(d->qk_norm ? s->qin : s->q, norm, &b->wq, p);
    stripe_linear(d->qk_norm ? s->kin : k, norm, &b->wk, p);
    stripe_linear(v, norm, &b->wv, p);
    if (d->qk_norm) {                                     /* each head by itself */
        op.rmsnorm_fwd(q, s->rstdq + p.at * Hl, s->qin + p.at * Hl * D, b->q_norm, p.n * Hl, D, d->eps);
        op.rmsnorm_fwd(key, s->rstdk + p.at * Kl, s->kin + p.at * Kl * D, b->k_norm, p.n * Kl, D, d->eps);
    }
    op.rope(q, pos + p.at, p.n, Hl, D, w->freq, +1);
    op.rope(key, pos + p.at, p.n, Kl, D, w->freq, +1);
}

/* x: what the block before left; where its sum is under way (residual_norm), its residual `add` comes to it here.
   Rows meet the keys of their sequences: those of these rows, or with a cache all that it holds. */
static void attend(LlamaLayerTape *s, LlamaTape *t, const LlamaBlock *b, float *x, const float *add, const Llama *w, const Rows *r,
                   const LlamaCache *cache, Tp *tp)
{
    const LlamaDims *d = &w->d;
    const Residual res = stream(t, r->N, d->C, tp);
    const Norm norm = norm1(s, b, d->eps);
    const int D = llama_head(d), Hl = d->H / tp->size, Kl = kv_here(d, tp), lag = share_lag(tp);
    float *k = cache ? cache->k : s->k, *v = cache ? cache->v : s->v;
    for (int i = 0; i < res.n + lag; i++) {
        if (i < res.n)
            residual_norm(&res, t->norm, &norm, x, add, i);
        if (i < lag)
            continue;
        share_gather_wait(tp);
        project(s, k, v, b, t->norm, w, r->pos, stripe(i - lag, res.n, r->N), tp);
    }
    if (cache)
        append(s, cache, Kl * D);
    op.attention_fwd(s->att, s->lse, s->q, s->k, s->v, r->B, r->start, cache ? cache->kstart : r->start, Hl, Kl, D, CAUSAL);
}

/* t->norm, its sum under way. */
static void leave_attention(LlamaLayerTape *s, LlamaTape *t, const LlamaBlock *b, int64_t N, Tp *tp)
{
    const int C = b->wo.O, n = stripes(tp, N, C);
    for (int i = 0; i < n; i++) {
        stripe_linear(t->norm, s->att, &b->wo, stripe(i, n, N));
        share_sum_start(tp, t->norm, t->room, i, n, N, C);           /* wo is split by input: partial sums */
    }
}

/* s->gate and s->up; s->mid becomes leave_attention's sum and the residual x. */
static void enter_ffn(LlamaLayerTape *s, LlamaTape *t, const LlamaBlock *b, Stripe p, Tp *tp)
{
    share_gather_wait(tp);
    stripe_linear(s->gate, t->norm, &b->gate, p);
    tp->sum_start(tp, NULL, NULL, 0);                     /* the other stripe's goes on */
    stripe_linear(s->up, t->norm, &b->up, p);
}

/* Rows p of t->norm: what the FFN adds, of which each rank has a part. */
static void leave_ffn(LlamaLayerTape *s, LlamaTape *t, const LlamaBlock *b, Stripe p)
{
    const int Fl = b->gate.O;
    op.swiglu_fwd(t->act + p.at * Fl, s->gate + p.at * Fl, s->up + p.at * Fl, p.n * Fl);
    stripe_linear(t->norm, t->act, &b->down, p);
}

/* s->mid, s->gate and s->up; with `out` t->norm, its sum under way. */
static void ffn(LlamaLayerTape *s, LlamaTape *t, const LlamaBlock *b, const float *x, int64_t N, const LlamaDims *d, bool out, Tp *tp)
{
    const Residual r = stream(t, N, d->C, tp);
    const Norm norm = norm2(s, b, d->eps);
    const int lag = share_lag(tp);
    for (int i = 0; i < r.n + lag; i++) {
        if (i < r.n)
            residual_norm(&r, t->norm, &norm, s->mid, x, i);
        if (i < lag)
            continue;
        enter_ffn(s, t, b, stripe(i - lag, r.n, N), tp);
        if (!out)
            continue;
        leave_ffn(s, t, b, stripe(i - lag, r.n, N));
        share_sum_start(tp, t->norm, t->room, i - lag, r.n, N, d->C);
    }
}

/* x and add: attend's.  What comes to s->mid in turn, its sum under way, the next block adds. */
static void block_forward(LlamaLayerTape *s, LlamaTape *t, const LlamaBlock *b, float *x, const float *add, const Llama *w,
                          const Rows *r, const LlamaCache *cache, Tp *tp)
{
    tp->need(tp, b->first, b->last);
    attend(s, t, b, x, add, w, r, cache, tp);
    leave_attention(s, t, b, r->N, tp);
    ffn(s, t, b, x, r->N, &w->d, true, tp);
}

/* What of a block is not on the tape, from its input x: the same calls as forward's on the same operands, so the same bits. */
static void recompute(LlamaLayerTape *s, LlamaTape *t, const LlamaBlock *b, float *x, const Llama *w, const Rows *r, Tp *tp)
{
    if (t->recompute == RECOMPUTE_NONE)
        return;
    attend(s, t, b, x, NULL, w, r, NULL, tp);
    if (t->recompute == RECOMPUTE_ATTENTION)
        return;
    leave_attention(s, t, b, r->N, tp);
    ffn(s, t, b, x, r->N, &w->d, false, tp);
}

/* t->x -> t->h */
static void blocks_forward(LlamaTape *t, const Llama *w, const Rows *r, const LlamaCache *cache, Tp *tp)
{
    float *x = t->in;
    const float *add = NULL;
    const Residual res = stream(t, r->N, w->d.C, tp);
    residual_enter(&res, t->in, t->x);
    for (int l = 0; l < w->d.L; l++) {
        block_forward(&t->layer[l], t, &w->block[l], x, add, w, r, cache, tp);
        x = t->layer[l].out;
        add = t->layer[l].mid;
    }
    tp->need(tp, w->p_norm, w->p_norm + 1);
    const Norm last = { .w = w->norm, .rstd = t->rstd, .eps = w->d.eps };
    for (int i = 0; i < res.n; i++)
        residual_norm(&res, t->h, &last, x, add, i);
    residual_gathered(&res);
}

void llama_forward(LlamaTape *t, const Llama *w, const Rows *r, Tp *tp)
{
    blocks_forward(t, w, r, NULL, tp);
}

void llama_extend(LlamaCache *c, const Llama *w, const int32_t *pos, Tp *tp)
{
    const int last = 2 * c->pieces - 1;
    if (c->pieces == 0)
        return;
    blocks_forward(&c->tape, w, &(Rows){ c->start[last], last, c->start, pos }, c, tp);
    for (int i = 0; i < c->pieces; i++)
        c->len[c->slot[i]] += c->start[2 * i + 1] - c->start[2 * i];
    c->pieces = 0;
}

/* dx += gradient through the FFN and its norm; activations that cost one pass are computed again, not stored.  s->gate and s->up
   become their own gradients. */
static void ffn_backward(float *dx, LlamaBlock *dk, LlamaTape *t, const LlamaLayerTape *s, const LlamaBlock *k,
                         const LlamaDims *d, int64_t N, Tp *tp, const OnGrad *g)
{
    const Residual r = stream(t, N, d->C, tp);
    const Norm norm = norm2(s, k, d->eps);
    const bool learns = linear_learns(&dk->gate) || linear_learns(&dk->up);
    if (learns)
        residual_again(&r, &norm, s->mid);
    lora_dx(t->act, TERMS({ dx, &k->down }), 0, N);
    op.swiglu_bwd(s->gate, s->up, linear_learns(&dk->down) ? t->act : NULL, t->act, s->gate, s->up, N * k->gate.O);
    lora_dw(&dk->down, dx, t->act, &k->down, 0, N);
    if (g)
        g->final(g->ctx, 0, 0);
    lora_dx(t->dnorm, TERMS({ s->gate, &k->gate }, { s->up, &k->up }), 0, N);     /* split by output: each rank knows a part */
    if (learns)
        residual_gathered(&r);
    residual_backward_beside(&r, dx, &(NormGrad){ .w = dk->ffn_norm }, &norm, s->mid, t->dnorm,
                             (DwTerm[]){ { &dk->gate, &k->gate, s->gate }, { &dk->up, &k->up, s->up } }, 2);
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

/* dw (D) <- the gradient of a norm of H heads: of each of so many leaves by itself, joined; part (leaves,D) is work space. */
static void norm_weight(float *dw, float *part, const float *dout, const float *x, const float *rstd, int64_t N, int H, int D, int leaves)
{
    float *of[MAX_LEAVES];
    Addition add[MAX_LEAVES];
    ASSERT(leaves <= MAX_LEAVES && H % leaves == 0);
    op.zero(part, leaves * D);
    op.rmsnorm_dw(part, dout, x, rstd, N, H, D, leaves);
    for (int k = 0; k < leaves; k++)
        of[k] = part + k * D;
    op.sum_tree(dw, of, add, join_additions(add, leaves), D);
}

/* Back through the q/k norms: of t->dq and t->dk -> t->dqin and t->dkin.  All heads of all ranks share the weights; of a kv
   head that lies on several ranks one of them speaks, and of several leaves the first.  t->datt has served: (N,Hl D), a leaf has a head. */
static void norms_backward(LlamaBlock *dk, LlamaTape *t, const LlamaLayerTape *s, const LlamaBlock *k, const LlamaDims *d,
                           int64_t N, Tp *tp)
{
    const int D = llama_head(d), Hl = d->H / tp->size, Kl = kv_here(d, tp), leaves = tp->leaves;
    float *dqk = dk->q_norm ? t->dqk : NULL, *dq = dqk, *dkey = dqk && speaks(d, tp) ? dqk + D : NULL;
    op.zero(t->dqk, 2 * D);
    if (leaves && dq)
        norm_weight(dq, t->datt, t->dq, s->qin, s->rstdq, N, Hl, D, leaves);
    if (leaves && dkey)
        norm_weight(dkey, t->datt, t->dk, s->kin, s->rstdk, N, Kl, D, (int)min64(leaves, Kl));
    op.rmsnorm_bwd(t->dqin, leaves ? NULL : dq, t->dq, s->qin, s->rstdq, k->q_norm, N * Hl, D, 0, false);
    op.rmsnorm_bwd(t->dkin, leaves ? NULL : dkey, t->dk, s->kin, s->rstdk, k->k_norm, N * Kl, D, 0, false);
    if (!dqk)
        return;
    tp->sum(tp, dqk, 2 * D);
    op.add_fwd(dk->q_norm, dk->q_norm, dqk, D);
    op.add_fwd(dk->k_norm, dk->k_norm, dqk + D, D);
}

static void attention_backward(float *dx, LlamaBlock *dw, LlamaTape *t, const LlamaLayerTape *s, const LlamaBlock *k,
                               const float *x, const Llama *w, const Rows *r, Tp *tp)
{
    const LlamaDims *d = &w->d;
    const int64_t N = r->N;
    const int D = llama_head(d), Hl = d->H / tp->size, Kl = kv_here(d, tp);
    const float *dq = d->qk_norm ? t->dqin : t->dq, *dk = d->qk_norm ? t->dkin : t->dk;
    const Residual res = stream(t, N, d->C, tp);
    const Norm norm = norm1(s, k, d->eps);
    const bool learns = linear_learns(&dw->wq) || linear_learns(&dw->wk) || linear_learns(&dw->wv);
    if (learns)
        residual_again(&res, &norm, x);
    lora_dx(t->datt, TERMS({ dx, &k->wo }), 0, N);
    lora_dw(&dw->wo, dx, s->att, &k->wo, 0, N);
    op.attention_bwd(t->dq, t->dk, t->dv, t->datt, s->att, s->lse, s->q, s->k, s->v, r->B, r->start, r->start, Hl, Kl, D, CAUSAL,
                     tp->leaves);
    sum_holders(t, d, N, tp);
    op.rope(t->dq, r->pos, N, Hl, D, w->freq, -1);
    op.rope(t->dk, r->pos, N, Kl, D, w->freq, -1);
    if (d->qk_norm)
        norms_backward(dw, t, s, k, d, N, tp);
    const LinearTerm qkv[] = { { dq, &k->wq }, { dk, &k->wk }, { t->dv, &k->wv } };
    lora_dx(t->dnorm, qkv, speaks(d, tp) ? 3 : 1, speaks(d, tp) ? 0 : 2, N);      /* all holders of k and v would add the same */
    if (learns)
        residual_gathered(&res);
    residual_backward_beside(&res, dx, &(NormGrad){ .w = dw->attn_norm }, &norm, x, t->dnorm,
                             (DwTerm[]){ { &dw->wq, &k->wq, dq }, { &dw->wk, &k->wk, dk }, { &dw->wv, &k->wv, t->dv } }, 3);
}

float *llama_backward(Llama *dw, LlamaTape *t, const float *dh, const Llama *w, const Rows *r, Tp *tp, const OnGrad *g)
{
    const LlamaDims *d = &w->d;
    const Residual res = stream(t, r->N, d->C, tp);
    const Norm last = { .w = w->norm, .rstd = t->rstd, .eps = d->eps };
    residual_backward(&res, t->dx, &(NormGrad){ .w = dw->norm }, &last, d->L ? t->layer[d->L - 1].out : t->in, dh);
    if (g)
        g->final(g->ctx, w->p_norm, w->p_norm + (d->tied ? 1 : 2));    /* and, complete since the loss, an LM head of its own */
    for (int l = d->L - 1; l >= 0; l--) {
        LlamaLayerTape *s = &t->layer[l];
        const LlamaBlock *k = &w->block[l];
        float *x = l ? t->layer[l - 1].out : t->in;
        if (l < d->L - 1)                                 /* of the last one forward has left everything */
            recompute(s, t, k, x, w, r, tp);
        ffn_backward(t->dx, &dw->block[l], t, s, k, d, r->N, tp, g);
        if (g)
            g->final(g->ctx, 0, 0);
        attention_backward(t->dx, &dw->block[l], t, s, k, x, w, r, tp);
        if (g)
            g->final(g->ctx, k->first, k->last);
    }
    return t->dx;
}
