#include "core/projector.h"

#include "core/ops.h"

/* What of layer l is split: 0 its rows, 1 its columns, -1 nothing. */
static int split_of(const Projector *w, int l) { return l % 2 ? 1 : l + 1 < w->layers ? 0 : -1; }

/* Widths of a layer here. */
static int width_in(const Projector *w, int l, const Tp *tp)
{
    const int whole = l ? w->C : w->Cv;
    return split_of(w, l) == 1 ? whole / tp->size : whole;
}
static int width_out(const Projector *w, int l, const Tp *tp) { return split_of(w, l) == 0 ? w->C / tp->size : w->C; }

void projector_params(Projector *w, Binder *b)
{
    w->first = b->next;
    for (int l = 0; l < w->layers; l++) {
        const int split = split_of(w, l);
        w->w[l] = param(b, w->C, l ? w->C : w->Cv, split, INIT_FAN_IN | DECAY | MUON, "projector.%d.w", l);
        w->b[l] = param(b, w->C, 1, split == 0 ? 0 : -1, INIT_ZERO, "projector.%d.b", l);
    }
    w->last = b->next;
}

void projector_tape(ProjectorTape *t, Arena *a, const Projector *w, int64_t N, const Tp *tp)
{
    for (int l = 0; l < w->layers; l++)
        t->pre[l] = TAKE(a, float, N * width_out(w, l, tp));
    t->act  = TAKE(a, float, N * w->C);
    t->dact = TAKE(a, float, N * w->C);
}

float *projector_forward(ProjectorTape *t, const Projector *w, const float *x, int64_t N, Tp *tp)
{
    tp->need(tp, w->first, w->last);
    for (int l = 0; l < w->layers; l++) {
        const int I = width_in(w, l, tp), O = width_out(w, l, tp);
        const bool partial = split_of(w, l) == 1;
        if (l > 0)
            op.gelu_fwd(t->act, t->pre[l - 1], N * I, GELU_ERF);
        op.linear_fwd(t->pre[l], l ? t->act : x, w->w[l], partial && tp->rank ? NULL : w->b[l], N, I, O);
        if (partial)
            tp->sum(tp, t->pre[l], N * O);                /* split by input: partial sums, the bias in one of them */
    }
    return t->pre[w->layers - 1];
}

void projector_backward(float *dx, Projector *dw, ProjectorTape *t, float *dout, const Projector *w, const float *x,
                        int64_t N, Tp *tp, const OnGrad *g)
{
    for (int l = w->layers - 1; l >= 0; l--) {
        const int I = width_in(w, l, tp), O = width_out(w, l, tp);
        float *din = l ? t->dact : dx;
        if (l > 0)
            op.gelu_fwd(t->act, t->pre[l - 1], N * I, GELU_ERF);
        op.linear_bwd(din, dw->w[l], dw->b[l], dout, l ? t->act : x, w->w[l], N, I, O);
        if (din && split_of(w, l) == 0)
            tp->sum(tp, din, N * I);                      /* split by output: each rank knows a part of din */
        if (l > 0)
            op.gelu_bwd(dout, din, t->pre[l - 1], N * I, GELU_ERF);
    }
    if (g)
        g->final(g->ctx, w->first, w->last);
}
