#include "core/projector.h"

#include "core/ops.h"

void projector_params(Projector *w, Binder *b)
{
    w->first = b->next;
    for (int l = 0; l < w->layers; l++) {
        w->w[l] = param(b, w->C, l ? w->C : w->Cv, -1, INIT_FAN_IN | DECAY | MUON, "projector.%d.w", l);
        w->b[l] = param(b, w->C, 1, -1, INIT_ZERO, "projector.%d.b", l);
    }
    w->last = b->next;
}

void projector_tape(ProjectorTape *t, Arena *a, const Projector *w, int64_t N)
{
    for (int l = 0; l < w->layers; l++)
        t->pre[l] = TAKE(a, float, N * w->C);
    t->act  = TAKE(a, float, N * w->C);
    t->dact = TAKE(a, float, N * w->C);
}

float *projector_forward(ProjectorTape *t, const Projector *w, const float *x, int64_t N, Tp *tp)
{
    tp->need(tp, w->first, w->last);
    op.linear_fwd(t->pre[0], x, w->w[0], w->b[0], N, w->Cv, w->C);
    for (int l = 1; l < w->layers; l++) {
        op.gelu_fwd(t->act, t->pre[l - 1], N * w->C, GELU_ERF);
        op.linear_fwd(t->pre[l], t->act, w->w[l], w->b[l], N, w->C, w->C);
    }
    return t->pre[w->layers - 1];
}

void projector_backward(float *dx, Projector *dw, ProjectorTape *t, float *dout, const Projector *w, const float *x,
                        int64_t N, const OnGrad *g)
{
    for (int l = w->layers - 1; l > 0; l--) {
        op.gelu_fwd(t->act, t->pre[l - 1], N * w->C, GELU_ERF);
        op.linear_bwd(t->dact, dw->w[l], dw->b[l], dout, t->act, w->w[l], N, w->C, w->C);
        op.gelu_bwd(dout, t->dact, t->pre[l - 1], N * w->C, GELU_ERF);
    }
    op.linear_bwd(dx, dw->w[0], dw->b[0], dout, x, w->w[0], N, w->Cv, w->C);
    if (g)
        g->final(g->ctx, w->first, w->last);
}
