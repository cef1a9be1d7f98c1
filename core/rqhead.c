#include "core/rqhead.h"

#include <math.h>

#include "core/stripe.h"

void rqhead_params(RqHead *w, Binder *b)
{
    const int C = w->d.C, E = w->d.E, Q = w->d.Q;
    const unsigned matrix = INIT_FAN_IN | DECAY | MUON;
    CHECK(w->d.L <= 16 && Q <= MAX_DEPTH, "a visual head has at most 16 layers and %d depths", MAX_DEPTH);
    _Static_assert((int)MAX_DEPTH <= (int)UNDER_WAY, "a sum of each depth is under way");
    CHECK(w->d.H % b->table->tp_size == 0, "%d heads of a visual head do not divide among %d tensor-parallel ranks", w->d.H,
          b->table->tp_size);
    w->first = b->next;
    w->p0   = param_linear(b, E, C,  0, matrix, "%s.p0.w", w->part);
    w->p0.b = param(b, E, 1,  0, INIT_ZERO, "%s.p0.b", w->part);
    w->p2   = param_linear(b, E, E,  1, matrix, "%s.p2.w", w->part);
    w->p2.b = param(b, E, 1, -1, INIT_ZERO, "%s.p2.b", w->part);
    w->in   = param_linear(b, E, w->d.Cv, -1, matrix, "%s.in.w", w->part);
    w->in.b = param(b, E, 1, -1, INIT_ZERO, "%s.in.b", w->part);
    w->front_last = b->next;
    for (int l = 0; l < w->d.L; l++) {
        RqHeadBlock *k = &w->block[l];
        k->first = b->next;
        k->norm1 = param(b, E, 1, -1, INIT_ONE,  "%s.%d.norm1", w->part, l);
        k->wq   = param_linear(b, E, E,  0, matrix,    "%s.%d.attn.wq", w->part, l);
        k->wq.b = param(b, E, 1,  0, INIT_ZERO, "%s.%d.attn.bq", w->part, l);
        k->wk   = param_linear(b, E, E,  0, matrix,    "%s.%d.attn.wk", w->part, l);
        k->wk.b = param(b, E, 1,  0, INIT_ZERO, "%s.%d.attn.bk", w->part, l);
        k->wv   = param_linear(b, E, E,  0, matrix,    "%s.%d.attn.wv", w->part, l);
        k->wv.b = param(b, E, 1,  0, INIT_ZERO, "%s.%d.attn.bv", w->part, l);
        k->wo   = param_linear(b, E, E,  1, matrix,    "%s.%d.attn.wo", w->part, l);
        k->wo.b = param(b, E, 1, -1, INIT_ZERO, "%s.%d.attn.bo", w->part, l);
        k->norm2 = param(b, E, 1, -1, INIT_ONE,  "%s.%d.norm2", w->part, l);
        for (int q = 0; q < Q; q++) {
            k->w1[q] = param_linear(b, 2 * E, E, 0, matrix, "%s.%d.ffn.%d.w1", w->part, l, q);
            k->w2[q] = param_linear(b, E, 2 * E, 1, matrix, "%s.%d.ffn.%d.w2", w->part, l, q);
        }
        k->last = b->next;
    }
    w->tail_first = b->next;
    w->norm = param(b, E, 1, -1, INIT_ONE, "%s.norm", w->part);
    if (w->d.tied) {
        w->tie   = param_linear(b, w->d.Cv, E, -1, matrix, "%s.tie.w", w->part);
        w->tie.b = param(b, w->d.Cv, 1, -1, INIT_ZERO, "%s.tie.b", w->part);
    }
    for (int q = 0; q < Q; q++) {
        w->head[q] = w->d.tied ? (Linear){ .I = w->d.Cv, .O = w->d.S / b->table->tp_size, .leaves = b->table->leaves }
                               : param_linear(b, w->d.S, E, 0, INIT_FAN_IN | DECAY, "%s.code.%d.w", w->part, q);
        w->head[q].b = param(b, w->d.S, 1, 0, INIT_ZERO, "%s.code.%d.b", w->part, q);
    }
    w->last = b->next;
}

static int soft_codes(const RqHeadDims *d) { return (int)min64(SOFT_CODES, d->S); }

void rqhead_soft(RqHeadSoft *s, Arena *a, const RqHeadDims *d, const Tp *tp)
{
    s->ready = false;
    if (d->soft == 0)
        return;
    for (int q = 0; q < d->Q; q++) {
        s->near[q] = TAKE(a, int32_t, (int64_t)d->S * soft_codes(d));
        s->p[q]    = TAKE(a, float, (int64_t)d->S * soft_codes(d));
    }
    s->whole = tp->size > 1 ? TAKE(a, float, (int64_t)d->S * d->Cv) : NULL;
}

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
    t->datt = TAKE(a, float, R * El); t->dnorm = TAKE(a, float, R * E); t->dx = TAKE(a, float, R * E);
    t->room = tp->size > 1 ? TAKE(a, float, R * E) : NULL;
    t->y  = d->tied ? TAKE(a, float, M * d->Cv) : NULL;
    t->dy = d->tied ? TAKE(a, float, M * d->Cv) : NULL;
    xent_work(&t->xent, a, d->S, tp);
}

/* The codebook of depth k. */
static int book(const Codes *c, int k) { return c->shared ? 0 : k; }

/* x = (e0, u_0 .. u_(Q-2)) from the hidden rows and the codes above each depth */
static void inputs(RqHeadTape *t, const RqHead *w, const Codes *codes, const float *g, const int32_t *code, int64_t M, Tp *tp)
{
    const int E = w->d.E, Cv = w->d.Cv;
    const Linear p2 = linear_biased(&w->p2, tp->rank == 0);
    tp->need(tp, w->first, w->front_last);
    tp->need(tp, codes->first, codes->last);
    op.linear_fwd(t->pre, g, &w->p0, M);
    op.gelu_fwd(t->act, t->pre, M * p2.I, GELU_ERF);
    op.linear_fwd(t->x, t->act, &p2, M);
    tp->sum(tp, t->x, M * E);
    for (int k = 0; k + 1 < w->d.Q; k++)
        codes_embed(t->emb + k * M * Cv, codes, k, code + k * M, t->local, M, tp);
    tp->sum(tp, t->emb, M * (w->d.Q - 1) * Cv);
    for (int k = 1; k + 1 < w->d.Q; k++)
        op.add_fwd(t->emb + k * M * Cv, t->emb + k * M * Cv, t->emb + (k - 1) * M * Cv, M * Cv);
    op.linear_fwd(t->x + M * E, t->emb, &w->in, M * (w->d.Q - 1));
}

/* norm = RMSNorm(x), of x += add first where there is something to add. */
static void norm_of_sum(float *norm, float *rstd, float *x, const float *add, const float *w, int64_t R, const RqHeadDims *d)
{
    if (add)
        op.add_rmsnorm_fwd(x, norm, rstd, x, add, w, R, d->E, d->eps);
    else
        op.rmsnorm_fwd(norm, rstd, x, w, R, d->E, d->eps);
}

/* x: what the block before left, without its residual `add`, which comes to it here.  s->out lacks its own, s->res, in turn. */
static void block_forward(RqHeadLayerTape *s, RqHeadTape *t, const RqHeadBlock *k, float *x, const float *add, const RqHeadDims *d,
                          int64_t M, Tp *tp)
{
    const int E = d->E, Fl = 2 * E / tp->size, Hl = d->H / tp->size, Q = d->Q;
    const int64_t R = M * Q;
    const Linear wo = linear_biased(&k->wo, tp->rank == 0);
    tp->need(tp, k->first, k->last);
    norm_of_sum(t->norm, s->rstd1, x, add, k->norm1, R, d);
    op.linear_fwd(s->q, t->norm, &k->wq, R);
    op.linear_fwd(s->k, t->norm, &k->wk, R);
    op.linear_fwd(s->v, t->norm, &k->wv, R);
    op.depth_attention_fwd(s->att, s->prob, s->q, s->k, s->v, Q, M, Hl, E / d->H);
    op.linear_fwd(s->sum, s->att, &wo, R);
    tp->sum(tp, s->sum, R * E);
    norm_of_sum(s->res, s->rstd2, s->sum, x, k->norm2, R, d);
    for (int q = 0; q < Q; q++)
        op.linear_fwd(s->pre + q * M * Fl, s->res + q * M * E, &k->w1[q], M);
    op.gelu_fwd(t->hid, s->pre, R * Fl, GELU_ERF);
    for (int q = 0; q < Q; q++) {
        const Stripe depth = { q * M, M };
        stripe_linear(s->out, t->hid, &k->w2[q], depth);
        stripe_sum_start(tp, s->out, t->room, depth, E);
    }
    for (int q = 0; q < Q; q++)
        tp->wait(tp);
}

/* A codebook with the other ranks' pieces. */
static const float *whole_book(RqHeadSoft *s, const float *piece, const RqHeadDims *d, Tp *tp)
{
    const int64_t all = (int64_t)d->S * d->Cv, n = all / tp->size;
    if (!s->whole)
        return piece;
    op.zero(s->whole, all);
    op.copy(s->whole + tp->rank * n, piece, n);
    tp->sum(tp, s->whole, all);
    return s->whole;
}

static void soften(RqHeadSoft *s, const RqHeadDims *d, const Codes *codes, Tp *tp)
{
    const int m = soft_codes(d);
    for (int k = 0; k < (codes->shared ? 1 : d->Q); k++) {
        op.nearest_m(s->near[k], s->p[k], whole_book(s, codes->table[k], d, tp), d->S, d->Cv, m);
        op.soft_targets(s->p[k], d->S, m, d->soft);
    }
    s->ready = true;
}

/* The loss of depth q, and with dw the gradients of its normed rows and of what makes logits of them. */
static double depth_loss(RqHead *dw, RqHeadTape *t, const RqHeadSoft *s, const RqHead *w, const Codes *codes, const int32_t *code,
                         int q, int64_t M, float scale, Tp *tp)
{
    const int E = w->d.E, Cv = w->d.Cv, k = book(codes, q);
    const float *normed = t->normed + q * M * E;
    float *dnormed = dw ? t->dnormed + q * M * E : NULL;
    Linear head = w->head[q], *dhead = dw ? &dw->head[q] : NULL;
    const XentSoft near = { soft_codes(&w->d), s->near[k], s->p[k] };
    const XentSoft *soft = dw && w->d.soft > 0 ? &near : NULL;
    if (!w->d.tied)
        return xent_rows(dnormed, dhead, normed, &head, code, soft, M, scale, &t->xent, tp);
    const float root = (float)(1 / sqrt(Cv));
    head.w = codes->table[k];
    op.linear_fwd(t->y, normed, &w->tie, M);
    op.scale(t->y, M * Cv, root);
    const double loss = xent_rows(dw ? t->dy : NULL, dhead, t->y, &head, code, soft, M, scale, &t->xent, tp);
    if (dw) {
        op.scale(t->dy, M * Cv, root);
        op.linear_dw(&dw->tie, t->dy, normed, M);
        op.linear_dx(dnormed, TERMS({ t->dy, &w->tie }), M, false);
    }
    return loss;
}

void rqhead_forward(double *loss, RqHead *dw, RqHeadTape *t, RqHeadSoft *soft, const RqHead *w, const Codes *codes,
                    const float *g, const int32_t *code, int64_t M, float scale, Tp *tp)
{
    const int Q = w->d.Q;
    inputs(t, w, codes, g, code, M, tp);
    float *x = t->x;
    const float *add = NULL;
    for (int l = 0; l < w->d.L; l++) {
        block_forward(&t->layer[l], t, &w->block[l], x, add, &w->d, M, tp);
        x = t->layer[l].out;
        add = t->layer[l].res;
    }
    tp->need(tp, w->tail_first, w->last);
    norm_of_sum(t->normed, t->rstd, x, add, w->norm, M * Q, &w->d);
    if (dw && w->d.soft > 0 && !soft->ready)
        soften(soft, &w->d, codes, tp);
    for (int q = 0; q < Q; q++)
        loss[q] += depth_loss(dw, t, soft, w, codes, code + q * M, q, M, scale, tp);
}

/* s->pre becomes its own gradient. */
static void block_backward(float *dx, RqHeadBlock *dk, RqHeadTape *t, const RqHeadLayerTape *s, const RqHeadBlock *k,
                           const float *x, const RqHeadDims *d, int64_t M, Tp *tp)
{
    const int E = d->E, Fl = 2 * E / tp->size, Hl = d->H / tp->size, Q = d->Q;
    const int64_t R = M * Q;
    for (int q = 0; q < Q; q++)
        op.linear_dx(t->hid + q * M * Fl, TERMS({ dx + q * M * E, &k->w2[q] }), M, false);
    op.gelu_bwd(s->pre, t->hid, t->hid, s->pre, R * Fl, GELU_ERF);
    for (int q = 0; q < Q; q++) {
        op.linear_dw(&dk->w2[q], dx + q * M * E, t->hid + q * M * Fl, M);
        op.linear_dw(&dk->w1[q], s->pre + q * M * Fl, s->res + q * M * E, M);
        /* of res: the FFN's, in parts, and its residual's, which one of the parts brings */
        op.linear_dx(dx + q * M * E, TERMS({ s->pre + q * M * Fl, &k->w1[q] }), M, tp->rank == 0);
        stripe_sum_start(tp, dx, t->room, (Stripe){ q * M, M }, E);
    }
    for (int q = 0; q < Q; q++)
        tp->wait(tp);
    op.rmsnorm_bwd(dx, dk->norm2, dx, s->sum, s->rstd2, k->norm2, R, E, 0, false);
    op.linear_dw(&dk->wo, dx, s->att, R);
    op.linear_dx(t->datt, TERMS({ dx, &k->wo }), R, false);
    op.depth_attention_bwd(t->dq, t->dk, t->dv, t->datt, s->prob, s->q, s->k, s->v, Q, M, Hl, E / d->H);
    op.rmsnorm_fwd(t->norm, s->rstd1, x, k->norm1, R, E, d->eps);
    op.linear_dx(t->dnorm, TERMS({ t->dq, &k->wq }, { t->dk, &k->wk }, { t->dv, &k->wv }), R, false);
    tp->sum_start(tp, t->dnorm, t->room, R * E);
    op.linear_dw(&dk->wq, t->dq, t->norm, R);
    op.linear_dw(&dk->wk, t->dk, t->norm, R);
    op.linear_dw(&dk->wv, t->dv, t->norm, R);
    tp->wait(tp);
    op.rmsnorm_bwd(dx, dk->norm1, t->dnorm, x, s->rstd1, k->norm1, R, E, 0, true);
}

void rqhead_backward(float *dg, RqHead *dw, RqHeadTape *t, const RqHead *w, const float *g, int64_t M, Tp *tp)
{
    const int C = w->d.C, E = w->d.E, L = w->d.L, Q = w->d.Q;
    const float *x = L ? t->layer[L - 1].out : t->x;
    op.rmsnorm_bwd(t->dx, dw->norm, t->dnormed, x, t->rstd, w->norm, M * Q, E, 0, false);
    for (int l = L - 1; l >= 0; l--)
        block_backward(t->dx, &dw->block[l], t, &t->layer[l], &w->block[l], l ? t->layer[l - 1].out : t->x, &w->d, M, tp);
    op.linear_dw(&dw->in, t->dx + M * E, t->emb, M * (Q - 1));
    op.linear_dw(&dw->p2, t->dx, t->act, M);
    op.linear_dx(t->act, TERMS({ t->dx, &w->p2 }), M, false);
    op.gelu_bwd(t->act, NULL, t->act, t->pre, M * w->p2.I, GELU_ERF);
    op.linear_dw(&dw->p0, t->act, g, M);
    op.linear_dx(dg, TERMS({ t->act, &w->p0 }), M, false);
    tp->sum(tp, dg, M * C);
}
