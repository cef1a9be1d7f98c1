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

void encoder_tape(EncoderTape *t, Arena *a, const EncoderDims *d, int64_t N, bool keep, const Tp *tp)
{
    const int C = d->C, Cl = C / tp->size, Fl = d->F / tp->size, Hl = d->H / tp->size;
    t->x = TAKE(a, float, N * C);
    for (int l = 0; l < d->L; l++) {
        EncoderLayerTape *s = &t->layer[l];
        if (l > 0 && !keep) {
            *s = t->layer[0];
            continue;
        }
        s->mean1 = TAKE(a, float, N);       s->rstd1 = TAKE(a, float, N);
        s->q     = TAKE(a, float, N * Cl);  s->k     = TAKE(a, float, N * Cl);
        s->v     = TAKE(a, float, N * Cl);  s->att   = TAKE(a, float, N * Cl);
        s->lse   = TAKE(a, float, N * Hl);  s->mid   = TAKE(a, float, N * C);
        s->mean2 = TAKE(a, float, N);       s->rstd2 = TAKE(a, float, N);
        s->pre   = TAKE(a, float, N * Fl);  s->out   = keep ? TAKE(a, float, N * C) : t->x;
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

/* Rows p of s->out, of those of t->norm. */
static void ffn(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, const Linear *w2, const EncoderDims *d, Stripe p, Tp *tp)
{
    const int64_t at = p.at * k->w1.O;
    stripe_linear(s->pre, t->norm, &k->w1, p);
    tp->sum_start(tp, NULL, NULL, 0);                     /* the other stripe's goes on */
    op.gelu_fwd(t->act + at, s->pre + at, p.n * k->w1.O, d->gelu);
    stripe_linear(s->out, t->act, w2, p);
}

/* x: what the block before left, its sum under way, without its residual `add`, which comes to it here.  s->out lacks its own,
   s->mid, in turn. */
static void block_forward(EncoderLayerTape *s, EncoderTape *t, const EncoderBlock *k, float *x, const float *add, const EncoderDims *d,
                          const Rows *r, Tp *tp)
{
    const int64_t N = r->N;
    const int C = d->C, D = C / d->H, Hl = d->H / tp->size, n = stripes(tp, N, C);
    /* wo and w2 are split by input: partial sums, the bias in one of them */
    const Linear wo = linear_biased(&k->wo, tp->rank == 0), w2 = linear_biased(&k->w2, tp->rank == 0);
    tp->need(tp, k->first, k->last);
    for (int i = 0; i < n; i++) {
        const Stripe p = stripe(i, n, N);
        norm_of_sum(t->norm, s->mean1, s->rstd1, x, add, k->ln1_w, k->ln1_b, p, d, tp);
        stripe_linear(s->q, t->norm, &k->wq, p);
        stripe_linear(s->k, t->norm, &k->wk, p);
        stripe_linear(s->v, t->norm, &k->wv, p);
    }
    op.attention_fwd(s->att, s->lse, s->q, s->k, s->v, r->B, r->start, r->start, Hl, Hl, D, FULL);
    for (int i = 0; i < n; i++) {
        const Stripe p = stripe(i, n, N);
        stripe_linear(s->mid, s->att, &wo, p);
        stripe_sum_start(tp, s->mid, t->room, p, C);
    }
    for (int i = 0; i < n; i++) {
        const Stripe p = stripe(i, n, N);
        norm_of_sum(t->norm, s->mean2, s->rstd2, s->mid, x, k->ln2_w, k->ln2_b, p, d, tp);
        ffn(s, t, k, &w2, d, p, tp);
        stripe_sum_start(tp, s->out, t->room, p, C);
    }
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
    op.linear_dx(t->act, dx, &k->w2, N, false);
    op.gelu_bwd(s->pre, dk->w2.w ? t->act : NULL, t->act, s->pre, N * k->w1.O, d->gelu);
    op.linear_dw(&dk->w2, dx, t->act, N);
    if (dk->w1.w)
        op.layernorm_fwd(t->norm, s->mean2, s->rstd2, s->mid, k->ln2_w, k->ln2_b, N, C, d->eps);
    op.linear_dx(t->dnorm, s->pre, &k->w1, N, false);
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
    op.linear_dx(t->datt, dx, &k->wo, N, false);
    op.attention_bwd(t->dq, t->dk, t->dv, t->datt, s->att, s->lse, s->q, s->k, s->v, r->B, r->start, r->start, Hl, Hl, D, FULL, tp->leaves);
    if (dk->wq.w)
        op.layernorm_fwd(t->norm, s->mean1, s->rstd1, x, k->ln1_w, k->ln1_b, N, C, d->eps);
    op.linear_dx(t->dnorm, t->dq, &k->wq, N, false);
    op.linear_dx(t->dnorm, t->dk, &k->wk, N, true);
    op.linear_dx(t->dnorm, t->dv, &k->wv, N, true);
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
        const float *x = l ? t->layer[l - 1].out : t->x;
        ffn_backward(dx, &dw->block[l], t, &t->layer[l], &w->block[l], &w->d, r->N, tp);
        if (g)
            g->final(g->ctx, 0, 0);
        attention_backward(dx, &dw->block[l], t, &t->layer[l], &w->block[l], x, &w->d, r, tp);
        if (g)
            g->final(g->ctx, w->block[l].first, w->block[l].last);
    }
}
