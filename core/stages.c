/* stages.c -- forward and backward of each stage (asvr.h) */
#include "core/asvr.h"
#include "core/ops.h"

static int rows_of(const Model *m, int I) { return I * m->w.vision.P; }

/* ---- contrast ---- */

static void contrast_forward(Model *m, const Batch *b, const Losses *global, Losses *sum)
{
    const int L = m->w.vision.enc.d.L, Cv = m->c.vision.C;
    CHECK(b->I == b->B, "the contrast stage wants one picture a sample, this micro-batch has %d for %d", b->I, b->B);
    vision_embed(&m->vision, &m->w.vision, b->pixels, b->I);
    const float *x = vision_forward(&m->vision, &m->w.vision, 0, L, b->I, m->tp);
    const float *v = pool_forward(&m->pool, &m->w.pool, x, &m->w.vision, b->I);
    const float *t = text_forward(&m->text, &m->w.text, b->tokens, b->token_start, b->B, m->tp);
    sum->contrast += contrast_loss(m->c.train ? &m->dw.contrast : NULL, &m->contrast, &m->w.contrast, v, t, b->B, Cv,
                                   (float)(1 / global->pairs));
    sum->pairs += b->B;
}

static void contrast_backward(Model *m, const Batch *b, const OnGrad *g)
{
    const int L = m->w.vision.enc.d.L;
    const float *x = L ? m->vision.enc.layer[L - 1].out : m->vision.enc.x;
    if (g)
        g->final(g->ctx, m->w.contrast.first, m->w.contrast.last);
    text_backward(&m->dw.text, &m->text, m->contrast.dt, &m->w.text, m->tp, g);
    pool_backward(m->dfeat, &m->dw.pool, &m->pool, m->contrast.dv, &m->w.pool, x, &m->w.vision, b->I);
    if (g)
        g->final(g->ctx, m->w.pool.first, m->w.pool.last);
    vision_backward(m->dfeat, &m->dw.vision, &m->vision, &m->w.vision, L, b->I, m->tp, g);
}

/* ---- tokenizer ---- */

static void tokenizer_forward(Model *m, const Batch *b, const CodesDraw *draw, Losses *sum)
{
    double energy[MAX_DEPTH + 1];
    if (b->I == 0)
        return;
    vision_embed(&m->vision, &m->w.vision, b->pixels, b->I);
    const float *x = vision_forward(&m->vision, &m->w.vision, 0, m->code_layers, b->I, m->tp);
    if (m->c.train)
        codes_gather(&m->dw.codes, &m->codes, energy, &m->w.codes, x, b->image_start, b->B, m->w.vision.P, draw);
    else
        codes_quantize(&m->codes, energy, &m->w.codes, x, rows_of(m, b->I));
    for (int k = 0; k <= m->c.codes_depth; k++)
        sum->energy[k] += energy[k];
}

/* ---- pretrain, instruct ---- */

/* Features of the pictures to m->feat and, where nobody gave them, codes to m->codes: one pass through the tower,
   with a stop at the layer of each. */
static void see(Model *m, const uint8_t *pixels, int I, bool want_codes)
{
    const int features = m->feature_layers, codes = want_codes ? m->code_layers : features;
    const int stop[2] = { codes < features ? codes : features, codes < features ? features : codes };
    const int64_t rows = rows_of(m, I);
    vision_embed(&m->vision, &m->w.vision, pixels, I);
    for (int at = 0, i = stop[0] == stop[1]; i < 2; at = stop[i++]) {
        const float *x = vision_forward(&m->vision, &m->w.vision, at, stop[i], I, m->tp);
        if (stop[i] == features)
            op.copy(m->feat, x, rows * m->c.vision.C);
        if (want_codes && stop[i] == codes)
            codes_quantize(&m->codes, NULL, &m->w.codes, x, rows);
    }
}

/* Codes of the visual targets, (Q, vis): from the batch (I P, Q) or from the quantizer (Q, I P). */
static void take_codes(Model *m, const Batch *b)
{
    const Splice *s = &m->splice;
    const int Q = m->c.codes_depth;
    const int64_t rows = rows_of(m, b->I);
    for (int k = 0; k < Q; k++)
        for (int64_t i = 0; i < s->vis; i++)
            m->code[k * s->vis + i] = m->c.codes_given ? b->codes[(int64_t)s->vis_src[i] * Q + k]
                                                       : m->codes.code[k * rows + s->vis_src[i]];
}

static void text_loss(Model *m, const Losses *global, Losses *sum)
{
    const Splice *s = &m->splice;
    const int C = m->c.decoder.C;
    const bool train = m->c.train;
    op.gather(m->rows, m->decoder.h, s->text_row, s->text, C);
    sum->text += xent_rows(train ? m->drows : NULL, m->dw.decoder.lm_head, NULL, m->rows, m->w.decoder.lm_head, NULL,
                           s->text_id, s->text, C, m->c.decoder.V, train ? (float)(1 / global->n_text) : 0, &m->xent,
                           m->tp);
    sum->n_text += (double)s->text;
    if (train)
        op.scatter_add(m->dh, m->drows, s->text_row, s->text, C);
}

static void lm_forward(Model *m, const Batch *b, const Losses *global, Losses *sum)
{
    Splice *s = &m->splice;
    const int C = m->c.decoder.C;
    splice_build(s, b, m->w.vision.P, m->c.max_len, m->c.visual_shift);
    sum->tokens += (double)s->N;
    llama_embed(m->decoder.x, &m->w.decoder, s->id, m->local, s->N, m->tp);
    if (s->images) {
        see(m, b->pixels, b->I, m->c.semantic && !m->c.codes_given);
        const float *image = projector_forward(&m->projector, &m->w.projector, m->feat, rows_of(m, b->I));
        op.gather(m->rows, image, s->image_src, s->images, C);
        op.scatter(m->decoder.x, m->rows, s->image_row, s->images, C);
    }
    llama_forward(&m->decoder, &m->w.decoder, s->N, s->B, s->start, s->pos, m->tp);
    if (m->c.train)
        op.zero(m->dh, s->N * C);
    if (s->text)
        text_loss(m, global, sum);
    m->visual_rows = m->c.semantic ? s->vis : 0;
    if (m->visual_rows) {
        const double scale = m->c.train ? m->c.visual_weight / (m->c.codes_depth * global->n_visual) : 0;
        take_codes(m, b);
        op.gather(m->g, m->decoder.h, s->vis_row, s->vis, C);
        rqhead_forward(sum->visual, m->c.train ? &m->dw.head : NULL, &m->head, &m->w.head, &m->w.codes, m->g, m->code,
                       s->vis, (float)scale, m->tp);
        sum->n_visual += (double)s->vis;
    }
}

static void lm_backward(Model *m, const Batch *b, const OnGrad *g)
{
    const Splice *s = &m->splice;
    const int C = m->c.decoder.C;
    const int64_t rows = rows_of(m, b->I);
    if (m->visual_rows) {
        rqhead_backward(m->dg, &m->dw.head, &m->head, &m->w.head, m->g, s->vis, m->tp, g);
        op.scatter_add(m->dh, m->dg, s->vis_row, s->vis, C);
    }
    float *dx = llama_backward(&m->dw.decoder, &m->decoder, m->dh, &m->w.decoder, s->N, s->B, s->start, s->pos, m->tp, g);
    llama_embed_backward(&m->dw.decoder, dx, &m->w.decoder, s->id, m->local, s->N, m->tp);
    if (g)
        g->final(g->ctx, m->w.decoder.p_embed, m->w.decoder.p_embed + 1);
    if (!s->images)
        return;
    op.gather(m->rows, dx, s->image_row, s->images, C);
    float *dimage = m->projector.pre[m->w.projector.layers - 1];       /* the projector's output has served */
    op.zero(dimage, rows * C);                                         /* rows that were cut off learn nothing */
    op.scatter(dimage, m->rows, s->image_src, s->images, C);
    projector_backward(m->dfeat, &m->dw.projector, &m->projector, dimage, &m->w.projector, m->feat, rows, g);
    if (m->dfeat)
        vision_backward(m->dfeat, &m->dw.vision, &m->vision, &m->w.vision, m->feature_layers, b->I, m->tp, g);
}

/* ---- the three calls ---- */

void model_count(Model *m, const Batch *b, Losses *targets)
{
    if (m->c.stage < STAGE_PRETRAIN) {
        targets->pairs += b->B;
        targets->tokens += (double)(b->M + rows_of(m, b->I) - b->I);
        return;
    }
    splice_build(&m->splice, b, m->w.vision.P, m->c.max_len, m->c.visual_shift);
    targets->n_text += (double)m->splice.text;
    targets->n_visual += m->c.semantic ? (double)m->splice.vis : 0;
}

void model_forward(Model *m, const Batch *b, const Losses *global, const CodesDraw *draw, Losses *sum)
{
    switch (m->c.stage) {
    case STAGE_CONTRAST:  contrast_forward(m, b, global, sum); break;
    case STAGE_TOKENIZER: tokenizer_forward(m, b, draw, sum); break;
    default:              lm_forward(m, b, global, sum);
    }
    if (m->c.stage < STAGE_PRETRAIN)
        sum->tokens += (double)(b->M + rows_of(m, b->I) - b->I);
}

void model_backward(Model *m, const Batch *b, const OnGrad *g)
{
    if (m->c.stage == STAGE_CONTRAST)
        contrast_backward(m, b, g);
    else if (m->c.stage >= STAGE_PRETRAIN)
        lm_backward(m, b, g);
}

const int32_t *model_codes(Model *m, const uint8_t *pixels, int I)
{
    vision_embed(&m->vision, &m->w.vision, pixels, I);
    const float *x = vision_forward(&m->vision, &m->w.vision, 0, m->code_layers, I, m->tp);
    codes_quantize(&m->codes, NULL, &m->w.codes, x, rows_of(m, I));
    return m->codes.code;
}

const float *model_image_rows(Model *m, const uint8_t *pixels, int I)
{
    see(m, pixels, I, false);
    return projector_forward(&m->projector, &m->w.projector, m->feat, rows_of(m, I));
}
