#include "core/rqhead.h"

#include <math.h>

#include "core/ops.h"

void rqhead_params(RqHead *w, Binder *b)
{
    const int C = w->d.C, E = w->d.E, Q = w->d.Q;
    const unsigned matrix = INIT_FAN_IN | DECAY | MUON;
    CHECK(w->d.L <= 16 && Q <= MAX_DEPTH, "a visual head has at most 16 layers and %d depths", MAX_DEPTH);
    CHECK(w->d.H % b->table->tp_size == 0, "%d heads of a visual head do not divide among %d tensor-parallel ranks", w->d.H,
          b->table->tp_size);
    w->first = b->next;
    w->p0   = param(b, E, C,  0, matrix, "%s.p0.w", w->part);      w->b0   = param(b, E, 1,  0, INIT_ZERO, "%s.p0.b", w->part);
    w->p2   = param(b, E, E,  1, matrix, "%s.p2.w", w->part);      w->b2   = param(b, E, 1, -1, INIT_ZERO, "%s.p2.b", w->part);
    w->in   = param(b, E, w->d.Cv, -1, matrix, "%s.in.w", w->part); w->in_b = param(b, E, 1, -1, INIT_ZERO, "%s.in.b", w->part);
    w->front_last = b->next;
    for (int l = 0; l < w->d.L; l++) {
        RqHeadBlock *k = &w->block[l];
        k->first = b->next;
        k->norm1 = param(b, E, 1, -1, INIT_ONE,  "%s.%d.norm1", w->part, l);
        k->wq    = param(b, E, E,  0, matrix,    "%s.%d.attn.wq", w->part, l);
        k->bq    = param(b, E, 1,  0, INIT_ZERO, "%s.%d.attn.bq", w->part, l);
        k->wk    = param(b, E, E,  0, matrix,    "%s.%d.attn.wk", w->part, l);
        k->bk    = param(b, E, 1,  0, INIT_ZERO, "%s.%d.attn.bk", w->part, l);
        k->wv    = param(b, E, E,  0, matrix,    "%s.%d.attn.wv", w->part, l);
        k->bv    = param(b, E, 1,  0, INIT_ZERO, "%s.%d.attn.bv", w->part, l);
        k->wo    = param(b, E, E,  1, matrix,    "%s.%d.attn.wo", w->part, l);
        k->bo    = param(b, E, 1, -1, INIT_ZERO, "%s.%d.attn.bo", w->part, l);
        k->norm2 = param(b, E, 1, -1, INIT_ONE,  "%s.%d.norm2", w->part, l);
        for (int q = 0; q < Q; q++) {
            k->w1[q] = param(b, 2 * E, E, 0, matrix, "%s.%d.ffn.%d.w1", w->part, l, q);
            k->w2[q] = param(b, E, 2 * E, 1, matrix, "%s.%d.ffn.%d.w2", w->part, l, q);
        }
        k->last = b->next;
    }
    w->tail_first = b->next;
    w->norm = param(b, E, 1, -1, INIT_ONE, "%s.norm", w->part);
    if (w->d.tied) {
        w->tie   = param(b, w->d.Cv, E, -1, matrix, "%s.tie.w", w->part);
        w->tie_b = param(b, w->d.Cv, 1, -1, INIT_ZERO, "%s.tie.b", w->part);
    }
    for (int q = 0; q < Q; q++) {
        if (!w->d.tied)
            w->head[q] = param(b, w->d.S, E, 0, INIT_FAN_IN | DECAY, "%s.code.%d.w", w->part, q);
        w->head_b[q] = param(b, w->d.S, 1, 0, INIT_ZERO, "%s.code.%d.b", w->part, q);
    }
    w->last = b->next;
}

static int soft_codes(const RqHeadDims *d) { return (int)min64(SOFT_CODES, d->S); }

void rqhead_tape(RqHeadTape *t, Arena *a, const RqHeadDims *d, int64_t M, const Tp *tp)
{
    const int E = d->E, El = E / tp->size, Fl = 2 * E / tp->size, Hl = d->H / tp->size, Q = d->Q;
    const int64_t R = M * Q;
    t->pre = TAKE(a, float, M * El);            t->act = TAKE(a, float, M * El);
    t->emb = TAKE(a, float, (R - M) * d->Cv);   t->x   = TAKE(a, float, R * E);
    t->local = TAKE(a, int32_t, M);
    for (int l = 0; l < d->L; l++) {
        RqHeadLayerTape *s = &t->layer[l];
        s->rstd1 = TAKE(a, float, R);       s->rstd2 = TAKE(a, float, R);
        s->q     = TAKE(a, float, R * El);  s->k     = TAKE(a, float, R * El);
        s->v     = TAKE(a, float, R * El);  s->att   = TAKE(a, float, R * El);
        s->prob  = TAKE(a, float, R * Hl * Q);
        s->sum   = TAKE(a, float, R * E);   s->res   = TAKE(a, float, R * E);
        s->pre   = TAKE(a, float, R * Fl);  s->out   = TAKE(a, float, R * E);
    }
    t->rstd = TAKE(a, float, R);     t->normed = TAKE(a, float, R * E);  t->dnormed = TAKE(a, float, R * E);
    t->norm = TAKE(a, float, R * E); t->hid    = TAKE(a, float, R * Fl);
    t->dq   = TAKE(a, float, R * El); t->dk = TAKE(a, float, R * El); t->dv = TAKE(a, float, R * El);
    t->datt = TAKE(a, float, R * El); t->part = TAKE(a, float, R * E); t->dx = TAKE(a, float, R * E);
    t->y  = d->tied ? TAKE(a, float, M * d->Cv) : NULL;
    t->dy = d->tied ? TAKE(a, float, M * d->Cv) : NULL;
    for (int q = 0; q < Q && d->soft > 0; q++) {
        t->near[q]   = TAKE(a, int32_t, (int64_t)d->S * soft_codes(d));
        t->near_p[q] = TAKE(a, float, (int64_t)d->S * soft_codes(d));
    }
    t->whole = d->soft > 0 && tp->size > 1 ? TAKE(a, float, (int64_t)d->S * d->Cv) : NULL;
    t->soft_ready = false;
    xent_work(&t->xent, a, d->S, tp);
}

/* The codebook of depth k. */
static int book(const Codes *c, int k) { return c->shared ? 0 : k; }

/* x = (e0, u_0 .. u_(Q-2)) from the hidden rows and the codes above each depth */
static void inputs(RqHeadTape *t, const RqHead *w, const Codes *codes, const float *g, const int32_t *code, int64_t M, Tp *tp)
{
    const int C = w->d.C, E = w->d.E, El = E / tp->size, Cv = w->d.Cv;
    tp->need(tp, w->first, w->front_last);
    tp->need(tp, codes->first, codes->last);
    op.linear_fwd(t->pre, g, w->p0, w->b0, M, C, El);
    op.gelu_fwd(t->act, t->pre, M * El, GELU_ERF);
    op.linear_fwd(t->x, t->act, w->p2, tp->rank ? NULL : w->b2, M, El, E);
    tp->sum(tp, t->x, M * E);
    for (int k = 0; k + 1 < w->d.Q; k++)
        codes_embed(t->emb + k * M * Cv, codes, k, code + k * M, t->local, M, tp);
    tp->sum(tp, t->emb, M * (w->d.Q - 1) * Cv);
    for (int k = 1; k + 1 < w->d.Q; k++)
        op.add_fwd(t->emb + k * M * Cv, t->emb + k * M * Cv, t->emb + (k - 1) * M * Cv, M * Cv);
    op.linear_fwd(t->x + M * E, t->emb, w->in, w->in_b, M * (w->d.Q - 1), Cv, E);
}

static void block_forward(RqHeadLayerTape *s, RqHeadTape *t, const RqHeadBlock *k, const float *x, const RqHeadDims *d,
                          int64_t M, Tp *tp)
{
    const int E = d->E, El = E / tp->size, Fl = 2 * E / tp->size, Hl = d->H / tp->size, Q = d->Q;
    const int64_t R = M * Q;
    tp->need(tp, k->first, k->last);
    op.rmsnorm_fwd(t->norm, s->rstd1, x, k->norm1, R, E, d->eps);
    op.linear_fwd(s->q, t->norm, k->wq, k->bq, R, E, El);
    op.linear_fwd(s->k, t->norm, k->wk, k->bk, R, E, El);
    op.linear_fwd(s->v, t->norm, k->wv, k->bv, R, E, El);
    op.depth_attention_fwd(s->att, s->prob, s->q, s->k, s->v, Q, M, Hl, E / d->H);
    op.linear_fwd(s->sum, s->att, k->wo, tp->rank ? NULL : k->bo, R, El, E);
    tp->sum(tp, s->sum, R * E);
    op.add_fwd(s->sum, s->sum, x, R * E);
    op.rmsnorm_fwd(s->res, s->rstd2, s->sum, k->norm2, R, E, d->eps);
    for (int q = 0; q < Q; q++)
        op.linear_fwd(s->pre + q * M * Fl, s->res + q * M * E, k->w1[q], NULL, M, E, Fl);
    op.gelu_fwd(t->hid, s->pre, R * Fl, GELU_ERF);
    for (int q = 0; q < Q; q++)
        op.linear_fwd(s->out + q * M * E, t->hid + q * M * Fl, k->w2[q], NULL, M, Fl, E);
    tp->sum(tp, s->out, R * E);
    op.add_fwd(s->out, s->out, s->res, R * E);
}

/* A codebook with the other ranks' pieces. */
static const float *whole_book(RqHeadTape *t, const float *piece, const RqHeadDims *d, Tp *tp)
{
    const int64_t all = (int64_t)d->S * d->Cv, n = all / tp->size;
    if (!t->whole)
        return piece;
    op.zero(t->whole, all);
    op.copy(t->whole + tp->rank * n, piece, n);
    tp->sum(tp, t->whole, all);
    return t->whole;
}

static void soften(RqHeadTape *t, const RqHeadDims *d, const Codes *codes, Tp *tp)
{
    const int m = soft_codes(d);
    for (int k = 0; k < (codes->shared ? 1 : d->Q); k++) {
        op.nearest_m(t->near[k], t->near_p[k], whole_book(t, codes->table[k], d, tp), d->S, d->Cv, m);
        op.soft_targets(t->near_p[k], d->S, m, d->soft);
    }
    t->soft_ready = true;
}

/* The loss of depth q, and with dw the gradients of its normed rows and of what makes logits of them. */
static double depth_loss(RqHead *dw, RqHeadTape *t, const RqHead *w, const Codes *codes, const int32_t *code, int q,
                         int64_t M, float scale, Tp *tp)
{
    const int E = w->d.E, S = w->d.S, Cv = w->d.Cv;
    const int k = book(codes, q);
    const float *normed = t->normed + q * M * E;
    float *dnormed = dw ? t->dnormed + q * M * E : NULL, *db = dw ? dw->head_b[q] : NULL;
    const XentSoft near = { soft_codes(&w->d), t->near[k], t->near_p[k] };
    const XentSoft *soft = dw && w->d.soft > 0 ? &near : NULL;
    if (!w->d.tied)
        return xent_rows(dnormed, dw ? dw->head[q] : NULL, db, normed, w->head[q], w->head_b[q], code, soft, M, E, S, scale,
                         &t->xent, tp);
    const float root = (float)(1 / sqrt(Cv));
    op.linear_fwd(t->y, normed, w->tie, w->tie_b, M, E, Cv);
    op.scale(t->y, M * Cv, root);
    const double loss = xent_rows(dw ? t->dy : NULL, NULL, db, t->y, codes->table[k], w->head_b[q], code, soft, M, Cv, S, scale,
                                  &t->xent, tp);
    if (dw) {
        op.scale(t->dy, M * Cv, root);
        op.linear_bwd(dnormed, dw->tie, dw->tie_b, t->dy, normed, w->tie, M, E, Cv);
    }
    return loss;
}

void rqhead_forward(double *loss, RqHead *dw, RqHeadTape *t, const RqHead *w, const Codes *codes, const float *g,
                    const int32_t *code, int64_t M, float scale, Tp *tp)
{
    const int E = w->d.E, Q = w->d.Q;
    inputs(t, w, codes, g, code, M, tp);
    const float *x = t->x;
    for (int l = 0; l < w->d.L; l++) {
        block_forward(&t->layer[l], t, &w->block[l], x, &w->d, M, tp);
        x = t->layer[l].out;
    }
    tp->need(tp, w->tail_first, w->last);
    op.rmsnorm_fwd(t->normed, t->rstd, x, w->norm, M * Q, E, w->d.eps);
    if (dw && w->d.soft > 0 && !t->soft_ready)
        soften(t, &w->d, codes, tp);
    for (int q = 0; q < Q; q++)
        loss[q] += depth_loss(dw, t, w, codes, code + q * M, q, M, scale, tp);
}

static void block_backward(float *dx, RqHeadBlock *dk, RqHeadTape *t, const RqHeadLayerTape *s, const RqHeadBlock *k,
                           const float *x, const RqHeadDims *d, int64_t M, Tp *tp)
{
    const int E = d->E, El = E / tp->size, Fl = 2 * E / tp->size, Hl = d->H / tp->size, Q = d->Q;
    const int64_t R = M * Q;
    op.gelu_fwd(t->hid, s->pre, R * Fl, GELU_ERF);
    for (int q = 0; q < Q; q++) {
        float *hid = t->hid + q * M * Fl, *dout = dx + q * M * E;
        op.linear_bwd(NULL, dk->w2[q], NULL, dout, hid, k->w2[q], M, Fl, E);
        op.linear_bwd(hid, NULL, NULL, dout, NULL, k->w2[q], M, Fl, E);
    }
    op.gelu_bwd(t->hid, t->hid, s->pre, R * Fl, GELU_ERF);
    for (int q = 0; q < Q; q++)
        op.linear_bwd(t->part + q * M * E, dk->w1[q], NULL, t->hid + q * M * Fl, s->res + q * M * E, k->w1[q], M, E, Fl);
    tp->sum(tp, t->part, R * E);
    op.add_fwd(dx, dx, t->part, R * E);                          /* gradient of res: the FFN's and its residual's */
    op.rmsnorm_bwd(t->part, dk->norm2, dx, s->sum, s->rstd2, k->norm2, R, E);
    op.copy(dx, t->part, R * E);
    op.linear_bwd(t->datt, dk->wo, dk->bo, dx, s->att, k->wo, R, El, E);
    op.depth_attention_bwd(t->dq, t->dk, t->dv, t->datt, s->prob, s->q, s->k, s->v, Q, M, Hl, E / d->H);
    op.rmsnorm_fwd(t->norm, s->rstd1, x, k->norm1, R, E, d->eps);
    op.linear_bwd(t->part, dk->wq, dk->bq, t->dq, t->norm, k->wq, R, E, El);
    op.linear_bwd(NULL, dk->wk, dk->bk, t->dk, t->norm, k->wk, R, E, El);
    op.linear_bwd(NULL, dk->wv, dk->bv, t->dv, t->norm, k->wv, R, E, El);
    op.linear_bwd(t->norm, NULL, NULL, t->dk, NULL, k->wk, R, E, El);
    op.add_fwd(t->part, t->part, t->norm, R * E);
    op.linear_bwd(t->norm, NULL, NULL, t->dv, NULL, k->wv, R, E, El);
    op.add_fwd(t->part, t->part, t->norm, R * E);
    tp->sum(tp, t->part, R * E);
    op.rmsnorm_bwd(t->norm, dk->norm1, t->part, x, s->rstd1, k->norm1, R, E);
    op.add_fwd(dx, dx, t->norm, R * E);
}

void rqhead_backward(float *dg, RqHead *dw, RqHeadTape *t, const RqHead *w, const float *g, int64_t M, Tp *tp,
                     const OnGrad *door)
{
    const int C = w->d.C, E = w->d.E, El = E / tp->size, Cv = w->d.Cv, L = w->d.L, Q = w->d.Q;
    const float *x = L ? t->layer[L - 1].out : t->x;
    op.rmsnorm_bwd(t->dx, dw->norm, t->dnormed, x, t->rstd, w->norm, M * Q, E);
    if (door)
        door->final(door->ctx, w->tail_first, w->last);
    for (int l = L - 1; l >= 0; l--) {
        block_backward(t->dx, &dw->block[l], t, &t->layer[l], &w->block[l], l ? t->layer[l - 1].out : t->x, &w->d, M, tp);
        if (door)
            door->final(door->ctx, w->block[l].first, w->block[l].last);
    }
    op.linear_bwd(NULL, dw->in, dw->in_b, t->dx + M * E, t->emb, w->in, M * (Q - 1), Cv, E);
    op.linear_bwd(t->part, dw->p2, dw->b2, t->dx, t->act, w->p2, M, El, E);
    op.gelu_bwd(t->part, t->part, t->pre, M * El, GELU_ERF);
    op.linear_bwd(dg, dw->p0, dw->b0, t->part, g, w->p0, M, C, El);
    tp->sum(tp, dg, M * C);
    if (door)
        door->final(door->ctx, w->first, w->front_last);
}
