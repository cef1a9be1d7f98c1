#include "core/distill.h"

#include <stdio.h>
#include <string.h>

#include "core/ops.h"

static int64_t rows_of(const Model *m, int I) { return (int64_t)I * m->w.vision.P; }
static bool learns(const Model *m) { return m->c.train && m->dw.tower.wp.w; }

/* Codes of features x, their energies and their commitment; in training what the codebooks learn from. */
static void quantize(Model *m, Tape *t, const Batch *b, int k, const float *x, Losses *sum)
{
    const CodesDraw draw = { m->c.seed, b->step, b->global_batch, b->first };
    const int Q = m->c.codes_depth;
    double energy[MAX_DEPTH + 1];
    if (m->c.train && m->dw.codes[k].table[0])
        codes_gather(&m->dw.codes[k], &t->codes[k], energy, &m->w.codes[k], x, b->image_start, b->B, m->w.vision.P, &draw,
                     m->tp);
    else
        codes_quantize(&t->codes[k], energy, &m->w.codes[k], x, rows_of(m, b->I), m->tp);
    for (int q = 0; q <= Q; q++) {
        sum->energy[k][q] += energy[q];
        sum->commit += q ? energy[q] / ((double)Q * m->w.vision.P * m->c.vision.C) : 0;
    }
}

/* The frozen tower's features -> t->feat, what they pool to -> t->pooled. */
static void teach(Model *m, Tape *t, const Batch *b)
{
    const Vision *w = &m->w.vision;
    const int layer = m->code_layers[SEMANTIC];
    vision_embed_down(&t->vision, w, b->pixels, b->I, m->c.scales, m->tp);
    const float *x = vision_forward(&t->vision, w, 0, layer, b->I, m->tp);
    op.copy(t->feat, x, rows_of(m, b->I) * m->c.vision.C);
    if (!t->pooled)
        return;
    x = vision_forward(&t->vision, w, layer, w->enc.d.L, b->I, m->tp);
    op.copy(t->pooled, pool_forward(&t->pool, &m->w.pool, x, w, b->I, m->tp), (int64_t)b->I * m->c.vision.C);
}

/* z (the codes' block's place on the tape) becomes zq = z - what the last depth left, and goes through the other blocks. */
static void pool_codes(Model *m, Tape *t, const Batch *b, float *z, float slope, Losses *sum)
{
    const Vision *w = &m->w.tower;
    const int64_t n = rows_of(m, b->I) * m->c.vision.C;
    op.scale(t->codes[SEMANTIC].r, n, -1);
    op.add_fwd(z, z, t->codes[SEMANTIC].r, n);
    const float *x = vision_forward(&t->tower, w, m->code_layers[SEMANTIC], w->enc.d.L, b->I, m->tp);
    float *p = pool_forward(&t->pool, &m->w.pool, x, w, b->I, m->tp);
    double pooled;
    op.mse(&pooled, learns(m) ? p : NULL, p, t->pooled, b->I, m->c.vision.C, slope);
    sum->pooled += pooled;
}

/* Leaves on the way: the gradients of distill in t->feat, of commit in codes[.].left, of pooled in the pool's output. */
static void learn(Model *m, Tape *t, const Batch *b, const Losses *global, Losses *sum)
{
    const ModelConf *c = &m->c;
    const int P = m->w.vision.P, Cv = c->vision.C;
    const int64_t rows = rows_of(m, b->I);
    const double each = learns(m) ? 1 / global->n_distill : 0;
    double distill;
    float *x = NULL;
    sum->n_distill += b->I;
    teach(m, t, b);
    vision_embed_down(&t->tower, &m->w.tower, b->pixels, b->I, c->scales, m->tp);
    for (int k = BRANCHES - 1, at = 0; k >= 0; k--) {           /* the early layer first */
        if (!m->code_layers[k])
            continue;
        x = vision_forward(&t->tower, &m->w.tower, at, m->code_layers[k], b->I, m->tp);
        at = m->code_layers[k];
        quantize(m, t, b, k, x, sum);
        if (learns(m))
            op.scale(t->codes[k].left, rows * Cv, (float)(2 * c->commit * each / ((double)c->codes_depth * P * Cv)));
    }
    /* Seen from z0 the distance is the same and its gradient the negative one: so it can take z0's place. */
    op.mse(&distill, learns(m) ? t->feat : NULL, t->feat, x, rows, Cv, (float)(-c->distill * each / P));
    sum->distill += distill / P;
    if (t->pooled)
        pool_codes(m, t, b, x, (float)(c->distill_pool * each), sum);
}

void tokenizer_forward(Model *m, Tape *t, const Batch *b, const Losses *global, Losses *sum)
{
    if (b->I == 0)
        return;
    if (m->c.own_tower) {
        learn(m, t, b, global, sum);
        return;
    }
    vision_embed_down(&t->vision, &m->w.vision, b->pixels, b->I, m->c.scales, m->tp);
    for (int k = BRANCHES - 1, at = 0; k >= 0; k--) {
        if (!m->code_layers[k])
            continue;
        const float *x = vision_forward(&t->vision, &m->w.vision, at, m->code_layers[k], b->I, m->tp);
        at = m->code_layers[k];
        quantize(m, t, b, k, x, sum);
    }
}

static void announce(const OnGrad *g, int first, int last)
{
    if (g)
        g->final(g->ctx, first, last);
}

void tokenizer_backward(Model *m, Tape *t, const Batch *b, const OnGrad *g)
{
    const Vision *w = &m->w.tower;
    const int64_t n = rows_of(m, b->I) * m->c.vision.C;
    const int early = m->code_layers[APPEARANCE], late = m->code_layers[SEMANTIC], L = w->enc.d.L;
    float *dx = t->dfeat;
    for (int k = BRANCHES - 1; k >= 0; k--)
        if (model_has(m, k ? PART_APP_CODES : PART_CODES))      /* gathered, not derived: final since the forward pass */
            announce(g, m->w.codes[k].first, m->w.codes[k].last);
    if (!model_has(m, PART_TOKENIZER) || !learns(m))
        return;
    if (b->I == 0) {
        announce(g, w->first, m->w.codes[SEMANTIC].first);      /* the tower's tensors lie in front of the codes' */
        return;
    }
    op.add_fwd(t->feat, t->feat, t->codes[SEMANTIC].left, n);
    if (t->pooled) {
        const float *x = t->tower.enc.out;
        pool_backward(dx, &m->dw.pool, &t->pool, t->pool.out, &m->w.pool, x, w, b->I);
        vision_backward_part(dx, &m->dw.tower, &t->tower, w, late, L, b->I, m->tp, g);
        op.add_fwd(dx, dx, t->feat, n);                         /* straight through the quantizer */
    } else
        op.copy(dx, t->feat, n);
    if (early) {
        vision_backward_part(dx, &m->dw.tower, &t->tower, w, early, late, b->I, m->tp, g);
        op.add_fwd(dx, dx, t->codes[APPEARANCE].left, n);
    }
    vision_backward(dx, &m->dw.tower, &t->tower, w, early ? early : late, b->I, m->tp, g);
}

void distill_start(Model *m)
{
    const Params *t = &m->table;
    for (int i = 0; i < t->n; i++) {
        char name[PARAM_NAME];
        if (!param_in_part(&t->p[i], m->w.tower.part))
            continue;
        snprintf(name, sizeof name, "%s%s", m->w.vision.part, strchr(t->p[i].name, '.'));
        const int from = params_find(t, name);
        CHECK(from >= 0 && t->p[from].count == t->p[i].count, "the vision tower has no tensor like %s", t->p[i].name);
        op.copy(m->weights + t->p[i].offset, m->weights + t->p[from].offset, t->p[i].count);
    }
}
