#include "core/siglip.h"

#include "core/resize.h"

/* (v / 255 - mean) / deviation, by colour; SigLIP's mean and deviation are 1/2. */
const Colours VISION_COLOURS[VISION_KINDS] = {
    [VISION_SIGLIP] = { { 127.5f, 127.5f, 127.5f }, { 1, 1, 1 } },
    [VISION_CLIP]   = { { 255 * 0.26862954f, 255 * 0.26130258f, 255 * 0.27577711f },
                        { 0.48145466f / 0.26862954f, 0.4578275f / 0.26130258f, 0.40821073f / 0.27577711f } },
};

EncoderDims vision_dims(int kind, int C, int F, int H, int L)
{
    const bool clip = kind == VISION_CLIP;
    return (EncoderDims){ .C = C, .F = F, .H = H, .L = L, .eps = clip ? 1e-5f : 1e-6f, .gelu = clip ? GELU_QUICK : GELU_TANH };
}

static bool has_class(const Vision *w) { return w->kind == VISION_CLIP; }

int vision_rows(const Vision *w) { return w->P + has_class(w); }

void vision_params(Vision *w, Binder *b)
{
    const int C = w->enc.d.C, side = w->image / w->patch;
    w->P = side * side;
    w->first = b->next;
    if (has_class(w))
        w->class = param(b, C, 1, -1, INIT_NORMAL, "%s.class", w->part);
    w->wp  = param_linear(b, C, 3 * w->patch * w->patch, -1, INIT_FAN_IN | DECAY, "%s.patch.w", w->part);
    if (!has_class(w))
        w->wp.b = param(b, C, 1, -1, INIT_ZERO, "%s.patch.b", w->part);
    w->pos = param(b, vision_rows(w), C, -1, INIT_NORMAL, "%s.pos", w->part);
    if (has_class(w)) {
        w->pre_w = param(b, C, 1, -1, INIT_ONE, "%s.pre.w", w->part);
        w->pre_b = param(b, C, 1, -1, INIT_ZERO, "%s.pre.b", w->part);
    }
    w->last = b->next;
    encoder_params(&w->enc, b, w->part);
}

void vision_tape(VisionTape *t, Arena *a, const Vision *w, int I, bool keep, int recompute, const Tp *tp)
{
    const int64_t C = w->enc.d.C, IP = (int64_t)I * w->P, N = (int64_t)I * vision_rows(w);
    t->patches = TAKE(a, float, IP * 3 * w->patch * w->patch);
    t->start   = LIST(a, int32_t, I + 1);
    t->pos     = LIST(a, int32_t, N);
    if (has_class(w)) {
        t->front = LIST(a, int32_t, N);      t->row  = LIST(a, int32_t, IP);
        t->embedded = TAKE(a, float, N * C); t->seen = TAKE(a, float, IP * C);
        t->mean = TAKE(a, float, N);         t->rstd = TAKE(a, float, N);
        t->flow = keep ? TAKE(a, float, N * C) : NULL;
    }
    encoder_tape(&t->enc, a, &w->enc.d, N, keep, recompute, tp);
}

/* Where the rows of I pictures begin, and what each is. */
static void lay_rows(VisionTape *t, const Vision *w, int I)
{
    const int R = vision_rows(w);
    for (int i = 0; i <= I; i++)
        t->start[i] = i * R;
    for (int64_t n = 0; n < (int64_t)I * R; n++)
        t->pos[n] = (int32_t)(n % R);
    for (int64_t n = 0; has_class(w) && n < (int64_t)I * R; n++) {
        t->front[n] = n % R ? -1 : 0;
        if (n % R)
            t->row[n / R * w->P + n % R - 1] = (int32_t)n;
    }
}

void vision_embed_tiles(VisionTape *t, const Vision *w, const uint8_t *pixels, int tile0, int tiles, int size, int scaled,
                        int kind, Tp *tp)
{
    const int C = w->enc.d.C;
    const int64_t IP = (int64_t)tiles * w->P, N = (int64_t)tiles * vision_rows(w);
    tp->need(tp, w->first, w->last);
    lay_rows(t, w, tiles);
    op.patches(t->patches, pixels, tile0, tiles, size, scaled, w->image, w->patch, kind, &VISION_COLOURS[w->kind]);
    float *x = has_class(w) ? t->embedded : t->enc.x;
    op.linear_fwd(has_class(w) ? t->seen : x, t->patches, &w->wp, IP);
    if (has_class(w)) {
        op.embed_fwd(x, w->class, t->front, N, C, 1);
        op.scatter(x, t->seen, t->row, IP, C);
    }
    op.add_rows_fwd(x, w->pos, t->pos, N, C);
    if (has_class(w))
        op.layernorm_fwd(t->enc.x, t->mean, t->rstd, x, w->pre_w, w->pre_b, N, C, w->enc.d.eps);
    t->at = -1;
}

void vision_embed(VisionTape *t, const Vision *w, const uint8_t *pixels, int I, Tp *tp)
{
    vision_embed_tiles(t, w, pixels, 0, I, w->image, w->image, RESIZE_BILINEAR, tp);
}

static Rows rows_of(const VisionTape *t, const Vision *w, int I)
{
    return (Rows){ .N = (int64_t)I * vision_rows(w), .B = I, .start = t->start, .pos = t->pos };
}

float *vision_forward(VisionTape *t, const Vision *w, int from, int to, int I, Tp *tp)
{
    const Rows r = rows_of(t, w, I);
    float *x = encoder_forward(&t->enc, &w->enc, from, to, &r, tp);
    if (!has_class(w))
        return x;
    op.gather(t->seen, x, t->row, (int64_t)I * w->P, w->enc.d.C);
    return t->seen;
}

void vision_backward_part(float *dx, Vision *dw, VisionTape *t, const Vision *w, int from, int to, int I, Tp *tp,
                          const OnGrad *g)
{
    const int C = w->enc.d.C;
    const int64_t IP = (int64_t)I * w->P;
    const Rows r = rows_of(t, w, I);
    float *flow = has_class(w) ? t->flow : dx;
    if (has_class(w)) {
        if (t->at != to)
            op.zero(flow, r.N * C);                        /* nobody sees the class rows that come out on top */
        op.scatter(flow, dx, t->row, IP, C);
    }
    encoder_backward(flow, &dw->enc, &t->enc, &w->enc, from, to, &r, tp, g);
    if (has_class(w))
        op.gather(dx, flow, t->row, IP, C);
    t->at = from;
}

void vision_backward(float *dx, Vision *dw, VisionTape *t, const Vision *w, int layers, int I, Tp *tp, const OnGrad *g)
{
    const int C = w->enc.d.C;
    const int64_t IP = (int64_t)I * w->P, N = (int64_t)I * vision_rows(w);
    vision_backward_part(dx, dw, t, w, 0, layers, I, tp, g);
    float *dembedded = dx;
    if (has_class(w)) {
        dembedded = t->enc.dnorm;                         /* the blocks are done with it */
        op.layernorm_bwd(dembedded, dw->pre_w, dw->pre_b, t->flow, t->embedded, t->mean, t->rstd, w->pre_w, N, C, 0, false);
        op.embed_bwd(dw->class, dembedded, t->front, N, C, 1);
        op.gather(dx, dembedded, t->row, IP, C);
    }
    if (dw->pos)
        op.add_rows_bwd(dw->pos, dembedded, t->pos, N, C);
    op.linear_dw(&dw->wp, dx, t->patches, IP);
    t->at = -1;
    if (g)
        g->final(g->ctx, w->first, w->last);
}

void pool_params(Pool *w, Binder *b, const Vision *v)
{
    const int C = v->enc.d.C, F = v->enc.d.F;
    const unsigned matrix = INIT_FAN_IN | DECAY;
    w->first = b->next;
    w->ln_w  = param(b, C, 1, -1, INIT_ONE, "pool.ln.w");
    w->ln_b  = param(b, C, 1, -1, INIT_ZERO, "pool.ln.b");
    w->probe = param(b, 1, C, -1, INIT_NORMAL, "pool.probe");
    w->wq = param_linear(b, C, C, -1, matrix, "pool.attn.wq");   w->wq.b = param(b, C, 1, -1, INIT_ZERO, "pool.attn.bq");
    w->wk = param_linear(b, C, C, -1, matrix, "pool.attn.wk");   w->wk.b = param(b, C, 1, -1, INIT_ZERO, "pool.attn.bk");
    w->wv = param_linear(b, C, C, -1, matrix, "pool.attn.wv");   w->wv.b = param(b, C, 1, -1, INIT_ZERO, "pool.attn.bv");
    w->wo = param_linear(b, C, C, -1, matrix, "pool.attn.wo");   w->wo.b = param(b, C, 1, -1, INIT_ZERO, "pool.attn.bo");
    w->ln2_w = param(b, C, 1, -1, INIT_ONE, "pool.ln2.w");
    w->ln2_b = param(b, C, 1, -1, INIT_ZERO, "pool.ln2.b");
    w->w1 = param_linear(b, F, C, -1, matrix, "pool.ffn.w1");   w->w1.b = param(b, F, 1, -1, INIT_ZERO, "pool.ffn.b1");
    w->w2 = param_linear(b, C, F, -1, matrix, "pool.ffn.w2");   w->w2.b = param(b, C, 1, -1, INIT_ZERO, "pool.ffn.b2");
    w->last = b->next;
}

void pool_tape(PoolTape *t, Arena *a, const Vision *v, int I)
{
    const int C = v->enc.d.C, F = v->enc.d.F, H = v->enc.d.H;
    const int64_t N = (int64_t)I * v->P, IC = (int64_t)I * C;
    t->norm = TAKE(a, float, N * C);  t->mean = TAKE(a, float, N);      t->rstd = TAKE(a, float, N);
    t->k    = TAKE(a, float, N * C);  t->v    = TAKE(a, float, N * C);
    t->dk   = TAKE(a, float, N * C);  t->dv   = TAKE(a, float, N * C);
    t->dnorm = TAKE(a, float, N * C);
    t->probes = TAKE(a, float, IC);   t->q    = TAKE(a, float, IC);     t->att = TAKE(a, float, IC);
    t->lse  = TAKE(a, float, (int64_t)I * H);
    t->y    = TAKE(a, float, IC);     t->norm2 = TAKE(a, float, IC);
    t->mean2 = TAKE(a, float, I);     t->rstd2 = TAKE(a, float, I);
    t->pre  = TAKE(a, float, (int64_t)I * F);  t->act = TAKE(a, float, (int64_t)I * F);
    t->out  = TAKE(a, float, IC);     t->dq   = TAKE(a, float, IC);     t->datt = TAKE(a, float, IC);
    t->dy   = TAKE(a, float, IC);     t->dprobe = TAKE(a, float, IC);
    t->one  = LIST(a, int32_t, I + 1);
    t->keys  = LIST(a, int32_t, I + 1);
    t->zeros = LIST(a, int32_t, I);
}

static void pool_starts(PoolTape *t, int I, int P)
{
    for (int i = 0; i <= I; i++) {
        t->one[i] = i;
        t->keys[i] = i * P;
    }
}

float *pool_forward(PoolTape *t, const Pool *w, const float *x, const Vision *v, int I, Tp *tp)
{
    const int C = v->enc.d.C, F = v->enc.d.F, H = v->enc.d.H;
    const int64_t N = (int64_t)I * v->P;
    pool_starts(t, I, v->P);
    tp->need(tp, w->first, w->last);
    op.layernorm_fwd(t->norm, t->mean, t->rstd, x, w->ln_w, w->ln_b, N, C, v->enc.d.eps);
    op.gather(t->probes, w->probe, t->zeros, I, C);
    op.linear_fwd(t->q, t->probes, &w->wq, I);
    op.linear_fwd(t->k, t->norm, &w->wk, N);
    op.linear_fwd(t->v, t->norm, &w->wv, N);
    op.attention_fwd(t->att, t->lse, t->q, t->k, t->v, I, t->one, t->keys, H, H, C / H, FULL);
    op.linear_fwd(t->y, t->att, &w->wo, I);
    op.layernorm_fwd(t->norm2, t->mean2, t->rstd2, t->y, w->ln2_w, w->ln2_b, I, C, v->enc.d.eps);
    op.linear_fwd(t->pre, t->norm2, &w->w1, I);
    op.gelu_fwd(t->act, t->pre, (int64_t)I * F, GELU_TANH);
    op.linear_fwd(t->out, t->act, &w->w2, I);
    op.add_fwd(t->out, t->out, t->y, (int64_t)I * C);
    return t->out;
}

void pool_backward(float *dx, Pool *dw, PoolTape *t, const float *dout, const Pool *w, const float *x, const Vision *v, int I)
{
    const int C = v->enc.d.C, F = v->enc.d.F, H = v->enc.d.H;
    const int64_t N = (int64_t)I * v->P;
    op.linear_dw(&dw->w2, dout, t->act, I);
    op.linear_dx(t->act, TERMS({ dout, &w->w2 }), I, false);
    op.gelu_bwd(t->act, NULL, t->act, t->pre, (int64_t)I * F, GELU_TANH);
    op.linear_dw(&dw->w1, t->act, t->norm2, I);
    op.linear_dx(t->datt, TERMS({ t->act, &w->w1 }), I, false);
    op.copy(t->dy, dout, (int64_t)I * C);
    op.layernorm_bwd(t->dy, dw->ln2_w, dw->ln2_b, t->datt, t->y, t->mean2, t->rstd2, w->ln2_w, I, C, 0, true);
    op.linear_dw(&dw->wo, t->dy, t->att, I);
    op.linear_dx(t->datt, TERMS({ t->dy, &w->wo }), I, false);
    op.attention_bwd(t->dq, t->dk, t->dv, t->datt, t->att, t->lse, t->q, t->k, t->v, I, t->one, t->keys, H, H, C / H, FULL, 0);
    op.linear_dw(&dw->wq, t->dq, t->probes, I);
    op.linear_dx(t->dprobe, TERMS({ t->dq, &w->wq }), I, false);
    if (dw->probe)
        op.add_rows_bwd(dw->probe, t->dprobe, t->zeros, I, C);
    op.linear_dw(&dw->wk, t->dk, t->norm, N);
    op.linear_dw(&dw->wv, t->dv, t->norm, N);
    op.linear_dx(t->dnorm, TERMS({ t->dk, &w->wk }, { t->dv, &w->wv }), N, false);
    op.layernorm_bwd(dx, dw->ln_w, dw->ln_b, t->dnorm, x, t->mean, t->rstd, w->ln_w, N, C, 0, false);
}
