/* contrast.c -- the text tower and the sigmoid contrastive loss (siglip.h) */
#include "core/siglip.h"

#include "core/ops.h"

void text_params(TextTower *w, Binder *b)
{
    const int C = w->enc.d.C;
    w->first = b->next;
    w->embed = param(b, w->V, C, 0, INIT_NORMAL, "text.embed");
    w->pos   = param(b, w->max_len, C, -1, INIT_NORMAL, "text.pos");
    w->last = b->next;
    encoder_params(&w->enc, b, "text");
    w->tail_first = b->next;
    w->ln_w   = param(b, C, 1, -1, INIT_ONE, "text.ln.w");
    w->ln_b   = param(b, C, 1, -1, INIT_ZERO, "text.ln.b");
    w->proj   = param_linear(b, w->Cv, C, -1, INIT_FAN_IN | DECAY, "text.proj.w");
    w->proj.b = param(b, w->Cv, 1, -1, INIT_ZERO, "text.proj.b");
    w->tail_last = b->next;
}

void text_tape(TextTape *t, Arena *a, const TextTower *w, int B, int recompute, const Tp *tp)
{
    const int C = w->enc.d.C;
    const int64_t N = (int64_t)B * w->max_len;
    t->id    = LIST(a, int32_t, N);      t->pos  = LIST(a, int32_t, N);
    t->local = TAKE(a, int32_t, N);
    t->start = LIST(a, int32_t, B + 1);  t->last = LIST(a, int32_t, B);
    encoder_tape(&t->enc, a, &w->enc.d, N, true, recompute, tp);
    t->pooled = TAKE(a, float, (int64_t)B * C);  t->norm = TAKE(a, float, (int64_t)B * C);
    t->mean   = TAKE(a, float, B);               t->rstd = TAKE(a, float, B);
    t->out    = TAKE(a, float, (int64_t)B * w->Cv);
    t->dpooled = TAKE(a, float, (int64_t)B * C);
    t->dx     = TAKE(a, float, N * C);
}

/* The text ids of each sequence with a picture, cut to max_len; one without text gets one token, so that it has a last row. */
static void take_text(TextTape *t, const TextTower *w, const Batch *batch)
{
    int32_t n = 0;
    t->B = 0;
    for (int b = 0; b < batch->B; b++) {
        if (batch->image_start[b] == batch->image_start[b + 1])
            continue;
        const int32_t from = n;
        for (int32_t j = batch->token_start[b]; j < batch->token_start[b + 1] && n - from < w->max_len; j++)
            if (batch->tokens[j] >= 0) {
                t->id[n] = batch->tokens[j];
                t->pos[n] = n - from;
                n++;
            }
        if (n == from) {
            t->id[n] = t->pos[n] = 0;
            n++;
        }
        t->start[t->B] = from;
        t->last[t->B++] = n - 1;
    }
    t->start[t->B] = n;
    t->N = n;
}

float *text_forward(TextTape *t, const TextTower *w, const Batch *batch, Tp *tp)
{
    const int C = w->enc.d.C, Vl = w->V / tp->size;
    take_text(t, w, batch);
    tp->need(tp, w->first, w->last);
    op.local_ids(t->local, t->id, t->N, tp->rank * Vl);
    op.embed_fwd(t->enc.x, w->embed, t->local, t->N, C, Vl);
    tp->sum(tp, t->enc.x, t->N * C);
    op.add_rows_fwd(t->enc.x, w->pos, t->pos, t->N, C);
    const float *x = encoder_forward(&t->enc, &w->enc, 0, w->enc.d.L, &(Rows){ t->N, t->B, t->start, t->pos }, tp);
    tp->need(tp, w->tail_first, w->tail_last);
    op.gather(t->pooled, x, t->last, t->B, C);
    op.layernorm_fwd(t->norm, t->mean, t->rstd, t->pooled, w->ln_w, w->ln_b, t->B, C, w->enc.d.eps);
    op.linear_fwd(t->out, t->norm, &w->proj, t->B);
    return t->out;
}

void text_backward(TextTower *dw, TextTape *t, const float *dout, const TextTower *w, Tp *tp, const OnGrad *g)
{
    const int C = w->enc.d.C;
    op.linear_dw(&dw->proj, dout, t->norm, t->B);
    op.linear_dx(t->dpooled, TERMS({ dout, &w->proj }), t->B, false);
    op.layernorm_bwd(t->norm, dw->ln_w, dw->ln_b, t->dpooled, t->pooled, t->mean, t->rstd, w->ln_w, t->B, C, 0, false);
    if (g)
        g->final(g->ctx, w->tail_first, w->tail_last);
    op.zero(t->dx, t->N * C);
    op.scatter(t->dx, t->norm, t->last, t->B, C);
    encoder_backward(t->dx, &dw->enc, &t->enc, &w->enc, 0, w->enc.d.L, &(Rows){ t->N, t->B, t->start, t->pos }, tp, g);
    if (dw->embed) {
        op.embed_bwd(dw->embed, t->dx, t->local, t->N, C, w->V / tp->size);
        op.add_rows_bwd(dw->pos, t->dx, t->pos, t->N, C);
    }
    if (g)
        g->final(g->ctx, w->first, w->last);
}

void contrast_params(Contrast *w, Binder *b)
{
    w->first = b->next;
    w->scale = param_constant(b, 2.302585f, "contrast.scale");     /* log 10 */
    w->bias  = param_constant(b, -10.0f, "contrast.bias");         /* most pairs are negative */
    w->last = b->next;
}

void contrast_tape(ContrastTape *t, Arena *a, int n, int Cv)
{
    const int64_t nc = (int64_t)n * Cv;
    t->v  = TAKE(a, float, nc);  t->t  = TAKE(a, float, nc);
    t->dv = TAKE(a, float, nc);  t->dt = TAKE(a, float, nc);
    t->vnorm = TAKE(a, float, n);  t->tnorm = TAKE(a, float, n);
    t->z  = TAKE(a, float, (int64_t)n * n);
}

double contrast_loss(Contrast *dw, ContrastTape *t, const Contrast *w, const float *v, const float *x, int n, int Cv,
                     float factor, Tp *tp)
{
    const float eps = 1e-6f;
    const Linear text = { .w = t->t, .I = Cv, .O = n };
    double loss;
    tp->need(tp, w->first, w->last);
    op.l2norm_fwd(t->v, t->vnorm, v, n, Cv, eps);
    op.l2norm_fwd(t->t, t->tnorm, x, n, Cv, eps);
    op.linear_fwd(t->z, t->v, &text, n);                             /* cosines */
    op.sigmoid_contrast(&loss, t->z, dw ? dw->scale : NULL, dw ? dw->bias : NULL, w->scale, w->bias, n, factor);
    if (dw) {
        op.zero(t->dt, (int64_t)n * Cv);
        op.linear_dw(&(Linear){ .w = t->dt, .I = Cv, .O = n }, t->z, t->v, n);
        op.linear_dx(t->dv, TERMS({ t->z, &text }), n, false);
        op.l2norm_bwd(t->dv, t->dv, t->v, t->vnorm, n, Cv, eps);
        op.l2norm_bwd(t->dt, t->dt, t->t, t->tnorm, n, Cv, eps);
    }
    return loss;
}
