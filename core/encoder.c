#include "core/encoder.h"

#include "core/residual.h"
#include "core/stripe.h"

void encoder_params(Encoder *w, Binder *b, const char *part)
{
    const int C = w->d.C, F = w->d.F;
    CHECK(w->d.H % b->table->tp_size == 0, "%d heads of \"%s\" do not divide among %d tensor-parallel ranks", w->d.H, part,
          b->table->tp_size);
    for (int l = 0; l < w->d.L; l++) {
        EncoderBlock *k = &w->block[l];
        k->first = b->next;
        k->ln1_w = param(b, C, 1, -1, INIT_ONE,                    "%s.%d.ln1.w", part, l);
        k->ln1_b = param(b, C, 1, -1, INIT_ZERO,                   "%s.%d.ln1.b", part, l);
        k->wq    = param_linear(b, C, C,  0, INIT_FAN_IN | DECAY | MUON,  "%s.%d.attn.wq", part, l);
        k->wq.b  = param(b, C, 1,  0, INIT_ZERO,                   "%s.%d.attn.bq", part, l);
        k->wk    = param_linear(b, C, C,  0, INIT_FAN_IN | DECAY | MUON,  "%s.%d.attn.wk", part, l);
        k->wk.b  = param(b, C, 1,  0, INIT_ZERO,                   "%s.%d.attn.bk", part, l);
        k->wv    = param_linear(b, C, C,  0, INIT_FAN_IN | DECAY | MUON,  "%s.%d.attn.wv", part, l);
        k->wv.b  = param(b, C, 1,  0, INIT_ZERO,                   "%s.%d.attn.bv", part, l);
        k->wo    = param_linear(b, C, C,  1, INIT_FAN_IN | DECAY | MUON,  "%s.%d.attn.wo", part, l);
        k->wo.b  = param(b, C, 1, -1, INIT_ZERO,                   "%s.%d.attn.bo", part, l);
        k->ln2_w = param(b, C, 1, -1, INIT_ONE,                    "%s.%d.ln2.w", part, l);
        k->ln2_b = param(b, C, 1, -1, INIT_ZERO,                   "%s.%d.ln2.b", part, l);
        k->w1    = param_linear(b, F, C,  0, INIT_FAN_IN | DECAY | MUON,  "%s.%d.ffn.w1", part, l);
        k->w1.b  = param(b, F, 1,  0, INIT_ZERO,                   "%s.%d.ffn.b1", part, l);
        k->w2    = param_linear(b, C, F,  1, INIT_FAN_IN | DECAY | MUON,  "%s.%d.ffn.w2", part, l);
        k->w2.b  = param(b, C, 1, -1, INIT_ZERO,                   "%s.%d.ffn.b2", part, l);
        k->last = b->next;
    }
}

static void lay_attention(EncoderLayerTape *s, Arena *a, const EncoderDims *d, int64_t N, const Tp *tp)
{
    const int Cl = d->C / tp->size, Hl = d->H / tp->size;
    s->mean1 = TAKE(a, float, kept_rows(tp, N));  s->rstd1 = TAKE(a, float, kept_rows(tp, N));
    s->q     = TAKE(a, float, N * Cl);  s->k     = TAKE(a, float, N * Cl);
    s->v     = TAKE(a, float, N * Cl);  s->att   = TAKE(a, float, N * Cl);
    s->lse   = TAKE(a, float, N * Hl);
}

static void lay_ffn(EncoderLayerTape *s, Arena *a, const EncoderDims *d, int64_t N, const Tp *tp)
{
    const int64_t kept = kept_rows(tp, N);
    s->mid   = TAKE(a, float, kept * d->C);
    s->mean2 = TAKE(a, float, kept);    s->rstd2 = TAKE(a, float, kept);
    s->pre   = TAKE(a, float, N * (d->F / tp->size));
}

void encoder_tape(EncoderTape *t, Arena *a, const EncoderDims *d, int64_t N, bool keep, int recompute, const Tp *tp)
{
    const int C = d->C, Cl = C / tp->size, Fl = d->F / tp->size;
    t->recompute = recompute;
    const int64_t kept = kept_rows(tp, N);
    t->x = TAKE(a, float, N * C);
    t->in = tp->sequence ? TAKE(a, float, kept * C) : t->x;
    for (int l = 0; l < d->L; l++) {
        EncoderLayerTape *s = &t->layer[l];
        if (l > 0)
            *s = t->layer[0];
        if (l == 0 || (keep && recompute == RECOMPUTE_NONE))
            lay_attention(s, a, d, N, tp);
        if (l == 0 || (keep && recompute != RECOMPUTE_BLOCK))
            lay_ffn(s, a, d, N, tp);
        s->out = keep ? TAKE(a, float, kept * C) : t->in;
    }
    t->norm = TAKE(a, float, N * C);
    t->act  = TAKE(a, float, N * Fl);
    t->room = tp->size > 1 ? TAKE(a, float, room_rows(tp, N) * C) : NULL;
    if (keep) {
        t->dq = TAKE(a, float, N * Cl);  t->dk   = TAKE(a, float, N * Cl);
        t->dv = TAKE(a, float, N * Cl);  t->datt = TAKE(a, float, N * Cl);
        t->dnorm = TAKE(a, float, N * C);
        t->part  = tp->sequence ? TAKE(a, float, 4 * C) : NULL;
    }
}

static Residual stream(const EncoderTape *t, int64_t N, int C, Tp *tp) { return residual(tp, N, C, t->norm, t->room, t->part); }

static Norm norm1(const EncoderLayerTape *s, const EncoderBlock *k, const EncoderDims *d)
{
    return (Norm){ k->ln1_w, k->ln1_b, s->mean1, s->rstd1, d->eps };
}

static Norm norm2(const EncoderLayerTape *s, const EncoderBlock *k, const EncoderDims *d)
{
    return (Norm){ k->ln2_w, k->ln2_b, s->mean2, s->rstd2, d->eps };
}

/* x: what the block before left; where its sum is under way (residual_norm), its residual `add` comes to it here. */
static void attend(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, float *x, const float *add, const EncoderDims *d,
                   const Rows *r, Tp *tp)
{
    const Residual res = stream(t, r->N, d->C, tp);
    const Norm norm = norm1(s, k, d);
    const int D = d->C / d->H, Hl = d->H / tp->size, lag = share_lag(tp);
    for (int i = 0; i < res.n + lag; i++) {
        if (i < res.n)
            residual_norm(&res, t->norm, &norm, x, add, i);
        if (i < lag)
            continue;
        const Stripe p = stripe(i - lag, res.n, r->N);
        share_gather_wait(tp);
        stripe_linear(s->q, t->norm, &k->wq, p);
        stripe_linear(s->k, t->norm, &k->wk, p);
        stripe_linear(s->v, t->norm, &k->wv, p);
    }
    op.attention_fwd(s->att, s->lse, s->q, s->k, s->v, r->B, r->start, r->start, Hl, Hl, D, FULL);
}

/* t->norm, its sum under way.  wo is split by input: partial sums, the bias in one of them. */
static void leave_attention(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, int64_t N, Tp *tp)
{
    const Linear wo = linear_biased(&k->wo, tp->rank == 0);
    const int C = wo.O, n = stripes(tp, N, C);
    for (int i = 0; i < n; i++) {
        stripe_linear(t->norm, s->att, &wo, stripe(i, n, N));
        share_sum_start(tp, t->norm, t->room, i, n, N, C);
    }
}

/* Rows p of t->norm: what the FFN adds, of which each rank has a part. */
static void leave_ffn(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, const EncoderDims *d, Stripe p, Tp *tp)
{
    const Linear w2 = linear_biased(&k->w2, tp->rank == 0);
    const int Fl = k->w1.O;
    tp->sum_start(tp, NULL, NULL, 0);                     /* the other stripe's goes on */
    op.gelu_fwd(t->act + p.at * Fl, s->pre + p.at * Fl, p.n * Fl, d->gelu);
    stripe_linear(t->norm, t->act, &w2, p);
}

/* s->mid, the residual x and leave_attention's sum, and s->pre; with `out` t->norm, its sum under way. */
static void ffn(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, const float *x, int64_t N, const EncoderDims *d, bool out, Tp *tp)
{
    const Residual r = stream(t, N, d->C, tp);
    const Norm norm = norm2(s, k, d);
    const int lag = share_lag(tp);
    for (int i = 0; i < r.n + lag; i++) {
        if (i < r.n)
            residual_norm(&r, t->norm, &norm, s->mid, x, i);
        if (i < lag)
            continue;
        share_gather_wait(tp);
        stripe_linear(s->pre, t->norm, &k->w1, stripe(i - lag, r.n, N));
        if (!out)
            continue;
        leave_ffn(s, t, k, d, stripe(i - lag, r.n, N), tp);
        share_sum_start(tp, t->norm, t->room, i - lag, r.n, N, d->C);
    }
}

/* x and add: attend's.  What comes to s->mid in turn, its sum under way, the next block adds. */
static void block_forward(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, float *x, const float *add, const EncoderDims *d,
                          const Rows *r, Tp *tp)
{
    tp->need(tp, k->first, k->last);
    attend(s, t, k, x, add, d, r, tp);
    leave_attention(s, t, k, r->N, tp);
    ffn(s, t, k, x, r->N, d, true, tp);
}

/* What of a block is not on the tape, from its input x: the same calls as forward's on the same operands, so the same bits. */
static void recompute(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, float *x, const EncoderDims *d, const Rows *r, Tp *tp)
{
    if (t->recompute == RECOMPUTE_NONE)
        return;
    attend(s, t, k, x, NULL, d, r, tp);
    if (t->recompute == RECOMPUTE_ATTENTION)
        return;
    leave_attention(s, t, k, r->N, tp);
    ffn(s, t, k, x, r->N, d, false, tp);
}

float *encoder_forward(EncoderTape *t, const Encoder *w, int from, int to, const Rows *r, Tp *tp)
{
    const Residual res = stream(t, r->N, w->d.C, tp);
    float *x = from ? t->layer[from - 1].out : t->in;
    const float *add = NULL;
    residual_enter(&res, x, t->x);
    for (int l = from; l < to; l++) {
        block_forward(&t->layer[l], t, &w->block[l], x, add, &w->d, r, tp);
        x = t->layer[l].out;
        add = t->layer[l].mid;
    }
    return t->out = residual_leave(&res, t->x, x, add);
}

/* dx += gradient through LN2 and the FFN.  s->pre becomes its own gradient. */
static void ffn_backward(float *dx, EncoderBlock *dk, EncoderTape *t, const EncoderLayerTape *s, const EncoderBlock *k,
                         const EncoderDims *d, int64_t N, Tp *tp)
{
    const Residual r = stream(t, N, d->C, tp);
    const Norm norm = norm2(s, k, d);
    if (linear_learns(&dk->w1))
        residual_again(&r, &norm, s->mid);
    lora_dx(t->act, TERMS({ dx, &k->w2 }), 0, N);
    op.gelu_bwd(s->pre, linear_learns(&dk->w2) ? t->act : NULL, t->act, s->pre, N * k->w1.O, d->gelu);
    lora_dw(&dk->w2, dx, t->act, &k->w2, 0, N);
    lora_dx(t->dnorm, TERMS({ s->pre, &k->w1 }), 0, N);        /* w1 is split by output: each rank knows a part */
    if (linear_learns(&dk->w1))
        residual_gathered(&r);
    residual_backward_beside(&r, dx, &(NormGrad){ dk->ln2_w, dk->ln2_b }, &norm, s->mid, t->dnorm,
                             (DwTerm[]){ { &dk->w1, &k->w1, s->pre } }, 1);
}

static void attention_backward(float *dx, EncoderBlock *dk, EncoderTape *t, const EncoderLayerTape *s, const EncoderBlock *k,
                               const float *x, const EncoderDims *d, const Rows *r, Tp *tp)
{
    const int64_t N = r->N;
    const int Hl = d->H / tp->size, D = d->C / d->H;
    const Residual res = stream(t, N, d->C, tp);
    const Norm norm = norm1(s, k, d);
    const bool learns = linear_learns(&dk->wq) || linear_learns(&dk->wk) || linear_learns(&dk->wv);
    if (learns)
        residual_again(&res, &norm, x);
    lora_dx(t->datt, TERMS({ dx, &k->wo }), 0, N);
    lora_dw(&dk->wo, dx, s->att, &k->wo, 0, N);
    op.attention_bwd(t->dq, t->dk, t->dv, t->datt, s->att, s->lse, s->q, s->k, s->v, r->B, r->start, r->start, Hl, Hl, D, FULL, tp->leaves);
    lora_dx(t->dnorm, TERMS({ t->dq, &k->wq }, { t->dk, &k->wk }, { t->dv, &k->wv }), 0, N);
    if (learns)
        residual_gathered(&res);
    residual_backward_beside(&res, dx, &(NormGrad){ dk->ln1_w, dk->ln1_b }, &norm, x, t->dnorm,
                             (DwTerm[]){ { &dk->wq, &k->wq, t->dq }, { &dk->wk, &k->wk, t->dk }, { &dk->wv, &k->wv, t->dv } }, 3);
}

void encoder_backward(float *dx, Encoder *dw, EncoderTape *t, const Encoder *w, int from, int to, const Rows *r, Tp *tp,
                      const OnGrad *g)
{
    for (int l = to - 1; l >= from; l--) {
        float *x = l ? t->layer[l - 1].out : t->in;
        recompute(&t->layer[l], t, &w->block[l], x, &w->d, r, tp);
        ffn_backward(dx, &dw->block[l], t, &t->layer[l], &w->block[l], &w->d, r->N, tp);
        if (g)
            g->final(g->ctx, 0, 0);
        attention_backward(dx, &dw->block[l], t, &t->layer[l], &w->block[l], x, &w->d, r, tp);
        if (g)
            g->final(g->ctx, w->block[l].first, w->block[l].last);
    }
}
