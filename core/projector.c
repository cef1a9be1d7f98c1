#include "core/projector.h"

#include "core/ops.h"

/* What of layer l is split: 0 its rows, 1 its columns, -1 nothing. */
static int split_of(const Projector *w, int l) { return l % 2 ? 1 : l + 1 < w->layers ? 0 : -1; }

void projector_params(Projector *w, Binder *b)
{
    w->first = b->next;
    for (int l = 0; l < w->layers; l++) {
        const int split = split_of(w, l);
        w->w[l] = param_linear(b, w->C, l ? w->C : w->Cv, split, INIT_FAN_IN | DECAY | MUON, "projector.%d.w", l);
        w->w[l].b = param(b, w->C, 1, split == 0 ? 0 : -1, INIT_ZERO, "projector.%d.b", l);
    }
    w->last = b->next;
}

void projector_tape(ProjectorTape *t, Arena *a, const Projector *w, int64_t N)
{
    for (int l = 0; l < w->layers; l++)
        t->pre[l] = TAKE(a, float, N * w->w[l].O);
    t->act  = TAKE(a, float, N * w->C);
    t->dact = TAKE(a, float, N * w->C);
}

float *projector_forward(ProjectorTape *t, const Projector *w, const float *x, int64_t N, Tp *tp)
{
    tp->need(tp, w->first, w->last);
    for (int l = 0; l < w->layers; l++) {
        const bool partial = split_of(w, l) == 1;         /* split by input: partial sums, the bias in one of them */
        const Linear k = linear_biased(&w->w[l], !partial || tp->rank == 0);
        if (l > 0)
            op.gelu_fwd(t->act, t->pre[l - 1], N * k.I, GELU_ERF);
        op.linear_fwd(t->pre[l], l ? t->act : x, &k, N);
        if (partial)
            tp->sum(tp, t->pre[l], N * k.O);
    }
    return t->pre[w->layers - 1];
}

void projector_backward(float *dx, Projector *dw, ProjectorTape *t, float *dout, const Projector *w, const float *x,
                        int64_t N, Tp *tp, const OnGrad *g)
{
    float *din = t->dact;
    for (int l = w->layers - 1; l > 0; l--) {
        const Linear *k = &w->w[l];
        op.linear_dx(din, TERMS({ dout, k }), N, false);
        if (split_of(w, l) == 0)
            tp->sum(tp, din, N * k->I);                   /* split by output: each rank knows a part of din */
        op.gelu_bwd(din, dw->w[l].w ? t->act : NULL, din, t->pre[l - 1], N * k->I, GELU_ERF);
        op.linear_dw(&dw->w[l], dout, t->act, N);
        float *free_now = dout;
        dout = din;
        din = free_now;
    }
    op.linear_dw(&dw->w[0], dout, x, N);
    if (dx) {
        op.linear_dx(dx, TERMS({ dout, &w->w[0] }), N, false);
        if (split_of(w, 0) == 0)
            tp->sum(tp, dx, N * w->Cv);
    }
    if (g)
        g->final(g->ctx, w->first, w->last);
}
