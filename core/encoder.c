#include "core/encoder.h"

#include "core/ops.h"

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
        k->wq    = param(b, C, C,  0, INIT_FAN_IN | DECAY | MUON,  "%s.%d.attn.wq", part, l);
        k->bq    = param(b, C, 1,  0, INIT_ZERO,                   "%s.%d.attn.bq", part, l);
        k->wk    = param(b, C, C,  0, INIT_FAN_IN | DECAY | MUON,  "%s.%d.attn.wk", part, l);
        k->bk    = param(b, C, 1,  0, INIT_ZERO,                   "%s.%d.attn.bk", part, l);
        k->wv    = param(b, C, C,  0, INIT_FAN_IN | DECAY | MUON,  "%s.%d.attn.wv", part, l);
        k->bv    = param(b, C, 1,  0, INIT_ZERO,                   "%s.%d.attn.bv", part, l);
        k->wo    = param(b, C, C,  1, INIT_FAN_IN | DECAY | MUON,  "%s.%d.attn.wo", part, l);
        k->bo    = param(b, C, 1, -1, INIT_ZERO,                   "%s.%d.attn.bo", part, l);
        k->ln2_w = param(b, C, 1, -1, INIT_ONE,                    "%s.%d.ln2.w", part, l);
        k->ln2_b = param(b, C, 1, -1, INIT_ZERO,                   "%s.%d.ln2.b", part, l);
        k->w1    = param(b, F, C,  0, INIT_FAN_IN | DECAY | MUON,  "%s.%d.ffn.w1", part, l);
        k->b1    = param(b, F, 1,  0, INIT_ZERO,                   "%s.%d.ffn.b1", part, l);
        k->w2    = param(b, C, F,  1, INIT_FAN_IN | DECAY | MUON,  "%s.%d.ffn.w2", part, l);
        k->b2    = param(b, C, 1, -1, INIT_ZERO,                   "%s.%d.ffn.b2", part, l);
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
    if (keep) {
        t->dq = TAKE(a, float, N * Cl);  t->dk   = TAKE(a, float, N * Cl);
        t->dv = TAKE(a, float, N * Cl);  t->datt = TAKE(a, float, N * Cl);
        t->part = TAKE(a, float, N * C);
    }
}

float *encoder_forward(EncoderTape *t, const Encoder *w, int from, int to, int64_t N, int B, const int32_t *start, Tp *tp)
{
    const int C = w->d.C, Cl = C / tp->size, Fl = w->d.F / tp->size, Hl = w->d.H / tp->size, D = C / w->d.H;
    float *x = from ? t->layer[from - 1].out : t->x;
    for (int l = from; l < to; l++) {
        EncoderLayerTape *s = &t->layer[l];
        const EncoderBlock *k = &w->block[l];
        tp->need(tp, k->first, k->last);
        op.layernorm_fwd(t->norm, s->mean1, s->rstd1, x, k->ln1_w, k->ln1_b, N, C, w->d.eps);
        op.linear_fwd(s->q, t->norm, k->wq, k->bq, N, C, Cl);
        op.linear_fwd(s->k, t->norm, k->wk, k->bk, N, C, Cl);
        op.linear_fwd(s->v, t->norm, k->wv, k->bv, N, C, Cl);
        op.attention_fwd(s->att, s->lse, s->q, s->k, s->v, B, start, start, Hl, Hl, D, FULL);
        op.linear_fwd(s->mid, s->att, k->wo, tp->rank ? NULL : k->bo, N, Cl, C);
        tp->sum(tp, s->mid, N * C);                       /* wo is split by input: partial sums, the bias in one of them */
        op.add_fwd(s->mid, s->mid, x, N * C);

        op.layernorm_fwd(t->norm, s->mean2, s->rstd2, s->mid, k->ln2_w, k->ln2_b, N, C, w->d.eps);
        op.linear_fwd(s->pre, t->norm, k->w1, k->b1, N, C, Fl);
        op.gelu_fwd(t->act, s->pre, N * Fl, w->d.gelu);
        op.linear_fwd(s->out, t->act, k->w2, tp->rank ? NULL : k->b2, N, Fl, C);
        tp->sum(tp, s->out, N * C);
        op.add_fwd(s->out, s->out, s->mid, N * C);
        x = s->out;
    }
    return x;
}

/* dx += gradient through LN2 and the FFN */
static void ffn_backward(float *dx, EncoderBlock *dk, EncoderTape *t, const EncoderLayerTape *s, const EncoderBlock *k,
                         const EncoderDims *d, int64_t N, Tp *tp)
{
    const int C = d->C, Fl = d->F / tp->size;
    float *dact = t->act, *dnorm = t->part;
    op.gelu_fwd(t->act, s->pre, N * Fl, d->gelu);
    op.linear_bwd(NULL, dk->w2, dk->b2, dx, t->act, k->w2, N, Fl, C);
    op.linear_bwd(dact, NULL, NULL, dx, t->act, k->w2, N, Fl, C);
    op.gelu_bwd(dact, dact, s->pre, N * Fl, d->gelu);
    op.layernorm_fwd(t->norm, s->mean2, s->rstd2, s->mid, k->ln2_w, k->ln2_b, N, C, d->eps);
    op.linear_bwd(dnorm, dk->w1, dk->b1, dact, t->norm, k->w1, N, C, Fl);
    tp->sum(tp, dnorm, N * C);                            /* w1 is split by output: each rank knows a part of dnorm */
    op.layernorm_bwd(t->norm, dk->ln2_w, dk->ln2_b, dnorm, s->mid, s->mean2, s->rstd2, k->ln2_w, N, C);
    op.add_fwd(dx, dx, t->norm, N * C);
}

static void attention_backward(float *dx, EncoderBlock *dk, EncoderTape *t, const EncoderLayerTape *s,
                               const EncoderBlock *k, const float *x, const EncoderDims *d, int64_t N, int B,
                               const int32_t *start, Tp *tp)
{
    const int C = d->C, Cl = C / tp->size, Hl = d->H / tp->size, D = C / d->H;
    float *dnorm = t->part;
    op.linear_bwd(t->datt, dk->wo, dk->bo, dx, s->att, k->wo, N, Cl, C);
    op.attention_bwd(t->dq, t->dk, t->dv, t->datt, s->att, s->lse, s->q, s->k, s->v, B, start, start, Hl, Hl, D, FULL);
    op.layernorm_fwd(t->norm, s->mean1, s->rstd1, x, k->ln1_w, k->ln1_b, N, C, d->eps);
    op.linear_bwd(NULL, dk->wq, dk->bq, t->dq, t->norm, k->wq, N, C, Cl);
    op.linear_bwd(NULL, dk->wk, dk->bk, t->dk, t->norm, k->wk, N, C, Cl);
    op.linear_bwd(NULL, dk->wv, dk->bv, t->dv, t->norm, k->wv, N, C, Cl);
    op.linear_bwd(dnorm, NULL, NULL, t->dq, NULL, k->wq, N, C, Cl);
    op.linear_bwd(t->norm, NULL, NULL, t->dk, NULL, k->wk, N, C, Cl);
    op.add_fwd(dnorm, dnorm, t->norm, N * C);
    op.linear_bwd(t->norm, NULL, NULL, t->dv, NULL, k->wv, N, C, Cl);
    op.add_fwd(dnorm, dnorm, t->norm, N * C);
    tp->sum(tp, dnorm, N * C);
    op.layernorm_bwd(t->norm, dk->ln1_w, dk->ln1_b, dnorm, x, s->mean1, s->rstd1, k->ln1_w, N, C);
    op.add_fwd(dx, dx, t->norm, N * C);
}

void encoder_backward_part(float *dx, Encoder *dw, EncoderTape *t, const Encoder *w, int from, int to, int64_t N, int B,
                           const int32_t *start, Tp *tp, const OnGrad *g)
{
    for (int l = to - 1; l >= from; l--) {
        const float *x = l ? t->layer[l - 1].out : t->x;
        ffn_backward(dx, &dw->block[l], t, &t->layer[l], &w->block[l], &w->d, N, tp);
        if (g)
            g->final(g->ctx, 0, 0);
        attention_backward(dx, &dw->block[l], t, &t->layer[l], &w->block[l], x, &w->d, N, B, start, tp);
        if (g)
            g->final(g->ctx, w->block[l].first, w->block[l].last);
    }
}

void encoder_backward(float *dx, Encoder *dw, EncoderTape *t, const Encoder *w, int layers, int64_t N, int B,
                      const int32_t *start, Tp *tp, const OnGrad *g)
{
    encoder_backward_part(dx, dw, t, w, 0, layers, N, B, start, tp, g);
}
