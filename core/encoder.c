#include "core/encoder.h"

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
    s->mean1 = TAKE(a, float, N);       s->rstd1 = TAKE(a, float, N);
    s->q     = TAKE(a, float, N * Cl);  s->k     = TAKE(a, float, N * Cl);
    s->v     = TAKE(a, float, N * Cl);  s->att   = TAKE(a, float, N * Cl);
    s->lse   = TAKE(a, float, N * Hl);
}

static void lay_ffn(EncoderLayerTape *s, Arena *a, const EncoderDims *d, int64_t N, const Tp *tp)
{
    s->mid   = TAKE(a, float, N * d->C);
    s->mean2 = TAKE(a, float, N);       s->rstd2 = TAKE(a, float, N);
    s->pre   = TAKE(a, float, N * (d->F / tp->size));
}

void encoder_tape(EncoderTape *t, Arena *a, const EncoderDims *d, int64_t N, bool keep, int recompute, const Tp *tp)
{
    const int C = d->C, Cl = C / tp->size, Fl = d->F / tp->size;
    t->recompute = recompute;
    t->x = TAKE(a, float, N * C);
    for (int l = 0; l < d->L; l++) {
        EncoderLayerTape *s = &t->layer[l];
        if (l > 0)
            *s = t->layer[0];
        if (l == 0 || (keep && recompute == RECOMPUTE_NONE))
            lay_attention(s, a, d, N, tp);
        if (l == 0 || (keep && recompute != RECOMPUTE_BLOCK))
            lay_ffn(s, a, d, N, tp);
        s->out = keep ? TAKE(a, float, N * C) : t->x;
    }
    t->norm = TAKE(a, float, N * C);
    t->act  = TAKE(a, float, N * Fl);
    t->room = tp->size > 1 ? TAKE(a, float, N * C) : NULL;
    if (keep) {
        t->dq = TAKE(a, float, N * Cl);  t->dk   = TAKE(a, float, N * Cl);
        t->dv = TAKE(a, float, N * Cl);  t->datt = TAKE(a, float, N * Cl);
        t->dnorm = TAKE(a, float, N * C);
    }
}

/* Rows p of norm = LN(x), of x += add first where there is something to add: then x is a sum under way. */
static void norm_of_sum(float *norm, float *mean, float *rstd, float *x, const float *add, const float *w, const float *bias, Stripe p,
                        const EncoderDims *d, Tp *tp)
{
    const int64_t at = p.at * d->C;
    if (add) {
        tp->sum_wait(tp);
        op.add_layernorm_fwd(x + at, norm + at, mean + p.at, rstd + p.at, x + at, add + at, w, bias, p.n, d->C, d->eps);
    } else {
        op.layernorm_fwd(norm + at, mean + p.at, rstd + p.at, x + at, w, bias, p.n, d->C, d->eps);
    }
}

/* x: what the block before left, its sum under way, without its residual `add`, which comes to it here. */
static void attend(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, float *x, const float *add, const EncoderDims *d,
                   const Rows *r, Tp *tp)
{
    const int D = d->C / d->H, Hl = d->H / tp->size, n = stripes(tp, r->N, d->C);
    for (int i = 0; i < n; i++) {
        const Stripe p = stripe(i, n, r->N);
        norm_of_sum(t->norm, s->mean1, s->rstd1, x, add, k->ln1_w, k->ln1_b, p, d, tp);
        stripe_linear(s->q, t->norm, &k->wq, p);
        stripe_linear(s->k, t->norm, &k->wk, p);
        stripe_linear(s->v, t->norm, &k->wv, p);
    }
    op.attention_fwd(s->att, s->lse, s->q, s->k, s->v, r->B, r->start, r->start, Hl, Hl, D, FULL);
}

/* s->mid, its sum under way.  wo is split by input: partial sums, the bias in one of them. */
static void leave_attention(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, int64_t N, Tp *tp)
{
    const Linear wo = linear_biased(&k->wo, tp->rank == 0);
    const int C = wo.O, n = stripes(tp, N, C);
    for (int i = 0; i < n; i++) {
        const Stripe p = stripe(i, n, N);
        stripe_linear(s->mid, s->att, &wo, p);
        stripe_sum_start(tp, s->mid, t->room, p, C);
    }
}

/* Rows p of s->pre; s->mid gets its residual x. */
static void enter_ffn(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, const float *x, Stripe p, const EncoderDims *d, Tp *tp)
{
    norm_of_sum(t->norm, s->mean2, s->rstd2, s->mid, x, k->ln2_w, k->ln2_b, p, d, tp);
    stripe_linear(s->pre, t->norm, &k->w1, p);
}

/* x and add: attend's.  s->out lacks its own residual, s->mid, in turn. */
static void block_forward(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, float *x, const float *add, const EncoderDims *d,
                          const Rows *r, Tp *tp)
{
    const Linear w2 = linear_biased(&k->w2, tp->rank == 0);
    const int C = d->C, Fl = k->w1.O, n = stripes(tp, r->N, C);
    tp->need(tp, k->first, k->last);
    attend(s, t, k, x, add, d, r, tp);
    leave_attention(s, t, k, r->N, tp);
    for (int i = 0; i < n; i++) {
        const Stripe p = stripe(i, n, r->N);
        enter_ffn(s, t, k, x, p, d, tp);
        tp->sum_start(tp, NULL, NULL, 0);                 /* the other stripe's goes on */
        op.gelu_fwd(t->act + p.at * Fl, s->pre + p.at * Fl, p.n * Fl, d->gelu);
        stripe_linear(s->out, t->act, &w2, p);
        stripe_sum_start(tp, s->out, t->room, p, C);
    }
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
    for (int i = 0, n = stripes(tp, r->N, d->C); i < n; i++)
        enter_ffn(s, t, k, x, stripe(i, n, r->N), d, tp);
}

float *encoder_forward(EncoderTape *t, const Encoder *w, int from, int to, const Rows *r, Tp *tp)
{
    float *x = from ? t->layer[from - 1].out : t->x;
    const float *add = NULL;
    for (int l = from; l < to; l++) {
        block_forward(&t->layer[l], t, &w->block[l], x, add, &w->d, r, tp);
        x = t->layer[l].out;
        add = t->layer[l].mid;
    }
    for (int i = 0; add && i < stripes(tp, r->N, w->d.C); i++)
        tp->sum_wait(tp);
    if (add)
        op.add_fwd(x, x, add, r->N * w->d.C);
    return x;
}

/* dx += gradient through LN2 and the FFN.  s->pre becomes its own gradient. */
static void ffn_backward(float *dx, EncoderBlock *dk, EncoderTape *t, const EncoderLayerTape *s, const EncoderBlock *k,
                         const EncoderDims *d, int64_t N, Tp *tp)
{
    const int C = d->C;
    op.linear_dx(t->act, TERMS({ dx, &k->w2 }), N, false);
    op.gelu_bwd(s->pre, dk->w2.w ? t->act : NULL, t->act, s->pre, N * k->w1.O, d->gelu);
    op.linear_dw(&dk->w2, dx, t->act, N);
    if (dk->w1.w)
        op.layernorm_fwd(t->norm, s->mean2, s->rstd2, s->mid, k->ln2_w, k->ln2_b, N, C, d->eps);
    op.linear_dx(t->dnorm, TERMS({ s->pre, &k->w1 }), N, false);
    tp->sum_start(tp, t->dnorm, t->room, N * C);          /* w1 is split by output: each rank knows a part of dnorm */
    op.linear_dw(&dk->w1, s->pre, t->norm, N);
    tp->sum_wait(tp);
    op.layernorm_bwd(dx, dk->ln2_w, dk->ln2_b, t->dnorm, s->mid, s->mean2, s->rstd2, k->ln2_w, N, C, true);
}

static void attention_backward(float *dx, EncoderBlock *dk, EncoderTape *t, const EncoderLayerTape *s, const EncoderBlock *k,
                               const float *x, const EncoderDims *d, const Rows *r, Tp *tp)
{
    const int64_t N = r->N;
    const int C = d->C, Hl = d->H / tp->size, D = C / d->H;
    op.linear_dw(&dk->wo, dx, s->att, N);
    op.linear_dx(t->datt, TERMS({ dx, &k->wo }), N, false);
    op.attention_bwd(t->dq, t->dk, t->dv, t->datt, s->att, s->lse, s->q, s->k, s->v, r->B, r->start, r->start, Hl, Hl, D, FULL, tp->leaves);
    if (dk->wq.w)
        op.layernorm_fwd(t->norm, s->mean1, s->rstd1, x, k->ln1_w, k->ln1_b, N, C, d->eps);
    op.linear_dx(t->dnorm, TERMS({ t->dq, &k->wq }, { t->dk, &k->wk }, { t->dv, &k->wv }), N, false);
    tp->sum_start(tp, t->dnorm, t->room, N * C);
    op.linear_dw(&dk->wq, t->dq, t->norm, N);
    tp->sum_start(tp, NULL, NULL, 0);
    op.linear_dw(&dk->wk, t->dk, t->norm, N);
    op.linear_dw(&dk->wv, t->dv, t->norm, N);
    tp->sum_wait(tp);
    op.layernorm_bwd(dx, dk->ln1_w, dk->ln1_b, t->dnorm, x, s->mean1, s->rstd1, k->ln1_w, N, C, true);
}

void encoder_backward(float *dx, Encoder *dw, EncoderTape *t, const Encoder *w, int from, int to, const Rows *r, Tp *tp,
                      const OnGrad *g)
{
    for (int l = to - 1; l >= from; l--) {
        float *x = l ? t->layer[l - 1].out : t->x;
        recompute(&t->layer[l], t, &w->block[l], x, &w->d, r, tp);
        ffn_backward(dx, &dw->block[l], t, &t->layer[l], &w->block[l], &w->d, r->N, tp);
        if (g)
            g->final(g->ctx, 0, 0);
        attention_backward(dx, &dw->block[l], t, &t->layer[l], &w->block[l], x, &w->d, r, tp);
        if (g)
            g->final(g->ctx, w->block[l].first, w->block[l].last);
    }
}
