/* stages.c -- forward and backward of each stage (asvr.h) */
#include "core/asvr.h"
#include "core/distill.h"
#include "core/ops.h"

static int rows_of(const Model *m, int I) { return I * m->w.vision.P; }

/* ---- contrast ---- */

static void contrast_forward(Model *m, Tape *t, const Batch *b, const Losses *global, Losses *sum)
{
    const int L = m->w.vision.enc.d.L, Cv = m->c.vision.C;
    if (b->I == 0)
        return;
    vision_embed(&t->vision, &m->w.vision, b->pixels, b->I, m->tp);
    const float *x = vision_forward(&t->vision, &m->w.vision, 0, L, b->I, m->tp);
    const float *v = pool_forward(&t->pool, &m->w.pool, x, &m->w.vision, b->I, m->tp);
    const float *text = text_forward(&t->text, &m->w.text, b, m->tp);
    CHECK(b->I == t->text.B, "the contrast stage wants one picture a sample, this micro-batch has %d for %d", b->I, t->text.B);
    sum->contrast += contrast_loss(m->c.train ? &m->dw.contrast : NULL, &t->contrast, &m->w.contrast, v, text, b->I, Cv,
                                   (float)(1 / global->pairs), m->tp);
    sum->pairs += b->I;
}

static void contrast_backward(Model *m, Tape *t, const Batch *b, const OnGrad *g)
{
    const int L = m->w.vision.enc.d.L;
    const float *x = t->vision.enc.out;
    if (b->I == 0)
        return;
    if (g)
        g->final(g->ctx, m->w.contrast.first, m->w.contrast.last);
    text_backward(&m->dw.text, &t->text, t->contrast.dt, &m->w.text, m->tp, g);
    pool_backward(t->dfeat, &m->dw.pool, &t->pool, t->contrast.dv, &m->w.pool, x, &m->w.vision, b->I);
    if (g)
        g->final(g->ctx, m->w.pool.first, m->w.pool.last);
    vision_backward(t->dfeat, &m->dw.vision, &t->vision, &m->w.vision, L, b->I, m->tp, g);
}

/* ---- what pictures give: features, codes ---- */

enum { SEE_SEMANTIC = 1 << SEMANTIC, SEE_APPEARANCE = 1 << APPEARANCE, SEE_FEATURES = 1 << BRANCHES, SEE_CLEAN = 2 << BRANCHES };

static int layer_of(const Model *m, unsigned what)
{
    switch (what) {
    case SEE_FEATURES:   return m->feature_layers;
    case SEE_APPEARANCE: return m->code_layers[APPEARANCE];
    default:             return m->code_layers[SEMANTIC];
    }
}

/* Features are wanted as they are, or for their codes: then they are the first residual (see). */
static void take(Model *m, Tape *t, unsigned what, const float *x, int64_t rows)
{
    float *to = what == SEE_FEATURES ? t->feat : what == SEE_CLEAN ? t->clean : t->codes[what == SEE_APPEARANCE].r;
    op.copy(to, x, rows * m->c.vision.C);
}

/* One pass through a tower, with a stop at the layer of each thing that is wanted. */
static void look(Model *m, Tape *t, VisionTape *v, const Vision *w, int I, unsigned want)
{
    int at = 0;
    while (want) {
        int next = MAX_LAYERS;
        for (unsigned what = 1; what <= want; what <<= 1)
            if ((want & what) && layer_of(m, what) < next)
                next = layer_of(m, what);
        const float *x = vision_forward(v, w, at, next, I, m->tp);
        for (unsigned what = 1; what <= want; what <<= 1)
            if ((want & what) && layer_of(m, what) == next) {
                take(m, t, what, x, rows_of(m, I));
                want &= ~what;
            }
        at = next;
    }
}

/* Features are the tower's; codes, of the picture in the tower's own resolution, are the tower's or its copy's.  Weights are
   asked for in the order of the table: tower, copy, codes. */
static void see(Model *m, Tape *t, const uint8_t *pixels, int I, unsigned want)
{
    const unsigned codes = want & (SEE_SEMANTIC | SEE_APPEARANCE), copys = model_has(m, PART_TOKENIZER) ? codes : 0;
    if (m->c.scales > 1 && (want & SEE_FEATURES)) {
        scales_features(t->feat, &t->vision, &m->w.vision, pixels, I, m->c.scales, m->feature_layers, &t->scales, m->tp);
        want &= ~(unsigned)SEE_FEATURES;
    }
    if (want & ~copys) {
        vision_embed_down(&t->vision, &m->w.vision, pixels, I, m->c.scales, m->tp);
        look(m, t, &t->vision, &m->w.vision, I, want & ~copys);
    }
    if (copys) {
        vision_embed_down(&t->tower, &m->w.tower, pixels, I, m->c.scales, m->tp);
        look(m, t, &t->tower, &m->w.tower, I, copys);
    }
    for (int k = 0; k < BRANCHES; k++)
        if (codes & (k ? SEE_APPEARANCE : SEE_SEMANTIC))
            codes_quantize(&t->codes[k], NULL, &m->w.codes[k], t->codes[k].r, rows_of(m, I), m->tp);
}

/* ---- pretrain, instruct ---- */

/* Codes of n visual targets from `at` on, (Q, n): from the batch (I P, all) or from the quantizer (Q, I P). */
static void take_codes(Model *m, Tape *t, const Batch *b, int branch, int64_t at, int64_t n)
{
    const int32_t *src = t->splice.vis_src + at;
    const int Q = m->c.codes_depth, all = m->c.codes_given;
    if (all)
        op.given_codes(t->code, b->codes + branch * Q, src, n, Q, all);
    else
        op.take_codes(t->code, t->codes[branch].code, src, n, Q, rows_of(m, b->I));
}

/* Losses of a head, and its gradients with those of its rows: some rows at a time, which share its tape. */
static void head_loss(Model *m, Tape *t, const Batch *b, int branch, float scale, Losses *sum)
{
    const Splice *s = &t->splice;
    const RqHead *w = &m->w.head[branch];
    RqHead *dw = m->c.train ? &m->dw.head[branch] : NULL;
    RqHeadTape *h = &t->head[branch];
    const int C = m->c.decoder.C;
    const int64_t each = ceil_div(s->vis, ceil_div(s->vis, t->head_rows));         /* no small rest */
    for (int64_t at = 0, n; at < s->vis; at += n) {
        n = min64(each, s->vis - at);
        take_codes(m, t, b, branch, at, n);
        rqhead_forward(sum->visual[branch], dw, h, &m->soft[branch], w, &m->w.codes[branch], t->g + at * C, t->code, n, scale, m->tp);
        if (dw)
            rqhead_backward(t->dg + at * C, dw, h, w, t->g + at * C, n, m->tp);
    }
    if (dw)
        op.scatter_add(t->dh, t->dg, s->vis_row, s->vis, C);
}

/* t->feat = sum of the code vectors of all pictures, from t->codes[SEMANTIC].code: first of those that are here.  With leaves each
   depth's is made whole first, since the order of depths must not depend on where their vectors are. */
static void discrete_features(Model *m, Tape *t, int64_t rows)
{
    const Codes *w = &m->w.codes[SEMANTIC];
    CodesTape *c = &t->codes[SEMANTIC];
    Tp *tp = m->tp;
    tp->need(tp, w->first, w->last);
    for (int k = 0; k < w->Q; k++) {
        float *e = k ? t->rows : t->feat;
        codes_embed(e, w, k, c->code + k * rows, c->local, rows, tp);
        if (tp->leaves)
            tp->sum(tp, e, rows * w->Cv);
        if (k)
            op.add_fwd(t->feat, t->feat, e, rows * w->Cv);
    }
    if (!tp->leaves)
        tp->sum(tp, t->feat, rows * w->Cv);
}

/* Everything that the pictures of a batch are needed for. */
static void see_batch(Model *m, Tape *t, const Batch *b)
{
    const int64_t rows = rows_of(m, b->I);
    const int given = m->c.codes_given;
    unsigned want = m->c.discrete ? 0 : SEE_FEATURES;
    if (!given)
        want |= (model_has(m, PART_CODES) ? SEE_SEMANTIC : 0) | (model_has(m, PART_APP_CODES) ? SEE_APPEARANCE : 0);
    if (model_has(m, PART_DENOISER))
        want |= SEE_CLEAN;
    see(m, t, b->pixels, b->I, want);
    if (!m->c.discrete)
        return;
    if (given)
        op.given_codes(t->codes[SEMANTIC].code, b->codes, NULL, rows, m->c.codes_depth, given);
    discrete_features(m, t, rows);
}

static void text_loss(Model *m, Tape *t, const Losses *global, Losses *sum)
{
    const Splice *s = &t->splice;
    const int C = m->c.decoder.C;
    const bool train = m->c.train;
    m->tp->need(m->tp, m->w.decoder.p_lm_head, m->w.decoder.p_lm_head + 1);
    op.gather(t->rows, t->decoder.h, s->text_row, s->text, C);
    sum->text += xent_rows(train ? t->drows : NULL, &m->dw.decoder.lm_head, t->rows, &m->w.decoder.lm_head, s->text_id, NULL,
                           s->text, train ? (float)(1 / global->n_text) : 0, &t->xent, m->tp);
    sum->n_text += (double)s->text;
    if (train)
        op.scatter_add(t->dh, t->drows, s->text_row, s->text, C);
}

static void build_splice(Model *m, Tape *t, const Batch *b)
{
    splice_build(&t->splice, b, m->w.vision.P, m->c.max_len, m->c.visual_shift);
    if (!(m->parts & (PART_HEAD | PART_APP_HEAD | PART_DENOISER)))
        t->splice.vis = t->splice.vis_images = 0;
    else if (m->c.train && m->c.visual_share < 1)
        splice_share(&t->splice, m->c.visual_share, m->c.seed, b->step);
}

static void visual_loss(Model *m, Tape *t, const Batch *b, const Losses *global, Losses *sum)
{
    const Splice *s = &t->splice;
    const bool train = m->c.train;
    const double weight = train ? m->c.visual_weight / global->n_visual : 0;
    const float scale = (float)(weight / m->c.codes_depth);
    op.gather(t->g, t->decoder.h, s->vis_row, s->vis, m->c.decoder.C);
    sum->n_visual += (double)s->vis;
    if (model_has(m, PART_DENOISER)) {
        const NoiseDraw draw = { m->c.seed, b->step };
        op.gather(t->z, t->clean, s->vis_src, s->vis, m->c.vision.C);
        sum->visual[SEMANTIC][0] += denoise_forward(train ? &m->dw.denoiser : NULL, &t->denoiser, &m->w.denoiser, t->g, t->z,
                                                    s->vis, s->vis_images, s->vis_start, s->vis_key, &draw, (float)weight, m->tp);
    }
    for (int k = 0; k < BRANCHES; k++)
        if (model_has(m, k ? PART_APP_HEAD : PART_HEAD))
            head_loss(m, t, b, k, scale, sum);
}

static void visual_backward(Model *m, Tape *t, const OnGrad *g)
{
    const Splice *s = &t->splice;
    const int C = m->c.decoder.C;
    if (model_has(m, PART_DENOISER)) {
        denoise_backward(t->dg, &m->dw.denoiser, &t->denoiser, &m->w.denoiser, t->g, s->vis, s->vis_images, m->tp, g);
        op.scatter_add(t->dh, t->dg, s->vis_row, s->vis, C);
    }
}

/* Heads are complete since the loss.  They are the table's last: where a batch has no picture, too, all before them waits for them. */
static void visual_final(const Model *m, const Tape *t, const OnGrad *g)
{
    if (model_has(m, PART_DENOISER) && !t->visual_rows)
        g->final(g->ctx, m->w.denoiser.first, m->w.denoiser.last);
    for (int k = BRANCHES - 1; k >= 0; k--)
        if (model_has(m, k ? PART_APP_HEAD : PART_HEAD))
            g->final(g->ctx, m->w.head[k].first, m->w.head[k].last);
}

static Rows decoder_rows(const Splice *s) { return (Rows){ s->N, s->B, s->start, s->pos }; }

static void lm_forward(Model *m, Tape *t, const Batch *b, const Losses *global, Losses *sum)
{
    Splice *s = &t->splice;
    const int C = m->c.decoder.C;
    const float *image = NULL;
    build_splice(m, t, b);
    sum->tokens += (double)s->N;
    if (s->images) {                                      /* before the embedding: weights come in the order of the table */
        see_batch(m, t, b);
        image = projector_forward(&t->projector, &m->w.projector, t->feat, rows_of(m, b->I), m->tp);
    }
    llama_embed(t->decoder.x, &m->w.decoder, s->id, t->local, s->N, m->tp);
    if (image) {
        op.gather(t->rows, image, s->image_src, s->images, C);
        op.scatter(t->decoder.x, t->rows, s->image_row, s->images, C);
    }
    const Rows r = decoder_rows(s);
    llama_forward(&t->decoder, &m->w.decoder, &r, m->tp);
    if (m->c.train)
        op.zero(t->dh, s->N * C);
    if (s->text)
        text_loss(m, t, global, sum);
    t->visual_rows = s->vis;
    if (t->visual_rows)
        visual_loss(m, t, b, global, sum);
}

static void lm_backward(Model *m, Tape *t, const Batch *b, const OnGrad *g)
{
    const Splice *s = &t->splice;
    const int C = m->c.decoder.C;
    const int64_t rows = rows_of(m, b->I);
    if (t->visual_rows)
        visual_backward(m, t, g);
    if (g)
        visual_final(m, t, g);
    const Rows r = decoder_rows(s);
    float *dx = llama_backward(&m->dw.decoder, &t->decoder, t->dh, &m->w.decoder, &r, m->tp, g);
    llama_embed_backward(&m->dw.decoder, dx, &m->w.decoder, s->id, t->local, s->N, m->tp);
    if (g)
        g->final(g->ctx, m->w.decoder.p_embed, m->w.decoder.p_embed + 1);
    if (!s->images)
        return;
    op.gather(t->rows, dx, s->image_row, s->images, C);
    float *dimage = t->projector.pre[m->w.projector.layers - 1];       /* the projector's output has served */
    op.zero(dimage, rows * C);                                         /* rows that were cut off learn nothing */
    op.scatter(dimage, t->rows, s->image_src, s->images, C);
    projector_backward(t->dfeat, &m->dw.projector, &t->projector, dimage, &m->w.projector, t->feat, rows, m->tp, g);
    if (t->dfeat)
        vision_backward(t->dfeat, &m->dw.vision, &t->vision, &m->w.vision, m->feature_layers, b->I, m->tp, g);
}

/* ---- the three calls ---- */

void model_count(Model *m, Tape *t, const Batch *b, Losses *targets)
{
    if (m->c.stage < STAGE_PRETRAIN) {
        targets->pairs += b->I;
        targets->n_distill += b->I;
        targets->tokens += (double)(b->M + rows_of(m, b->I) - b->I);
        return;
    }
    build_splice(m, t, b);
    targets->n_text += (double)t->splice.text;
    targets->n_visual += (double)t->splice.vis;
}

void model_forward(Model *m, Tape *t, const Batch *b, const Losses *global, Losses *sum)
{
    switch (m->c.stage) {
    case STAGE_CONTRAST:  contrast_forward(m, t, b, global, sum); break;
    case STAGE_TOKENIZER: tokenizer_forward(m, t, b, global, sum); break;
    default:              lm_forward(m, t, b, global, sum);
    }
    if (m->c.stage < STAGE_PRETRAIN)
        sum->tokens += (double)(b->M + rows_of(m, b->I) - b->I);
}

void model_backward(Model *m, Tape *t, const Batch *b, const OnGrad *g)
{
    if (m->c.stage == STAGE_CONTRAST)
        contrast_backward(m, t, b, g);
    else if (m->c.stage == STAGE_TOKENIZER)
        tokenizer_backward(m, t, b, g);
    else
        lm_backward(m, t, b, g);
}

void model_codes(Model *m, Tape *t, const uint8_t *pixels, int I)
{
    see(m, t, pixels, I, SEE_SEMANTIC | (model_has(m, PART_APP_CODES) ? SEE_APPEARANCE : 0));
}

const float *model_image_rows(Model *m, Tape *t, const uint8_t *pixels, int I)
{
    see(m, t, pixels, I, m->c.discrete ? SEE_SEMANTIC : SEE_FEATURES);
    if (m->c.discrete)
        discrete_features(m, t, rows_of(m, I));
    return projector_forward(&t->projector, &m->w.projector, t->feat, rows_of(m, I), m->tp);
}
