#include "core/asvr.h"

#include <string.h>

#include "core/ops.h"

static bool lm(const Model *m) { return m->c.stage >= STAGE_PRETRAIN; }
static bool uses_codes(const Model *m) { return m->c.stage == STAGE_TOKENIZER || (lm(m) && m->c.semantic); }

/* The one list of what a stage's model consists of, in table order: gradients become final from its end. */
static void bind_all(const Model *m, Modules *w, Binder *b)
{
    vision_params(&w->vision, b);
    if (m->c.stage == STAGE_CONTRAST) {
        pool_params(&w->pool, b, &w->vision);
        text_params(&w->text, b);
        contrast_params(&w->contrast, b);
    }
    if (uses_codes(m))
        codes_params(&w->codes, b);
    if (lm(m)) {
        projector_params(&w->projector, b);
        llama_params(&w->decoder, b);
        if (m->c.semantic)
            rqhead_params(&w->head, b);
    }
}

static void set_dims(Model *m, Modules *w)
{
    const ModelConf *c = &m->c;
    const int Cv = c->vision.C;
    w->vision = (Vision){ .image = c->image, .patch = c->patch, .enc.d = c->vision };
    if (c->stage != STAGE_CONTRAST)
        w->vision.enc.d.L = (int)max64(m->feature_layers, m->code_layers);    /* later blocks would never be used */
    w->text = (TextTower){ .enc.d = c->text, .V = c->decoder.V, .max_len = c->text_max_len, .Cv = Cv };
    w->projector = (Projector){ .Cv = Cv, .C = c->decoder.C, .layers = c->projector_layers };
    w->decoder = (Llama){ .d = c->decoder };
    w->codes = (Codes){ .Q = c->codes_depth, .S = c->codes_size, .Cv = Cv, .shared = c->codes_shared };
    w->head = (RqHead){ .d = { .C = c->decoder.C, .E = c->head_width, .H = c->head_heads, .L = c->head_layers,
                               .Q = c->codes_depth, .S = c->codes_size, .Cv = Cv, .eps = 1e-6f } };
}

static void lay_lm(Model *m, Arena *a)
{
    const ModelConf *c = &m->c;
    const int64_t N = (int64_t)c->micro_batch * c->max_len, IP = (int64_t)c->max_images * m->w.vision.P;
    const int C = c->decoder.C;
    splice_layout(&m->splice, a, c->micro_batch, c->max_len, c->max_images, m->w.vision.P);
    projector_tape(&m->projector, a, &m->w.projector, IP);
    llama_tape(&m->decoder, a, &c->decoder, N, m->tp);
    m->rows  = TAKE(a, float, N * C);   m->drows = TAKE(a, float, N * C);
    m->dh    = TAKE(a, float, N * C);   m->local = TAKE(a, int32_t, N);
    xent_work(&m->xent, a, c->decoder.V, m->tp);
    if (!c->semantic)
        return;
    m->g    = TAKE(a, float, IP * C);   m->dg = TAKE(a, float, IP * C);
    m->code = TAKE(a, int32_t, IP * c->codes_depth);
    rqhead_tape(&m->head, a, &m->w.head.d, IP, m->tp);
}

static void lay_tape(Model *m, Arena *a)
{
    const ModelConf *c = &m->c;
    const int64_t IP = (int64_t)c->max_images * m->w.vision.P;
    const bool vision_learns = c->train && m->dw.vision.wp != NULL;
    vision_tape(&m->vision, a, &m->w.vision, c->max_images, vision_learns, m->tp);
    m->feat = TAKE(a, float, IP * c->vision.C);
    m->dfeat = vision_learns ? TAKE(a, float, IP * c->vision.C) : NULL;
    if (uses_codes(m))
        codes_tape(&m->codes, a, &m->w.codes, IP);
    if (c->stage == STAGE_CONTRAST) {
        pool_tape(&m->pool, a, &m->w.vision, c->max_images);
        text_tape(&m->text, a, &m->w.text, c->micro_batch, m->tp);
        contrast_tape(&m->contrast, a, c->micro_batch, c->vision.C);
    }
    if (lm(m))
        lay_lm(m, a);
}

bool model_open(Model *m, const ModelConf *c, Tp *tp)
{
    *m = (Model){ .c = *c, .tp = tp };
    m->feature_layers = c->vision.L + 1 + c->select_layer;
    m->code_layers = c->vision.L + 1 + c->codes_layer;
    if (!uses_codes(m))
        m->code_layers = 0;
    set_dims(m, &m->w);
    set_dims(m, &m->dw);
    Binder b = binder_declare(&m->table, tp);
    bind_all(m, &m->w, &b);
    if (!params_seal(&m->table, c->train ? c->trainable : ""))
        return false;

    m->weight_arena.name = "weights";
    TAKE(&m->weight_arena, float, m->table.weights);
    arena_alloc(&m->weight_arena);
    m->weights = TAKE(&m->weight_arena, float, m->table.weights);
    m->grad_arena.name = "gradients";
    TAKE(&m->grad_arena, float, m->table.grads);
    arena_alloc(&m->grad_arena);
    m->grads = TAKE(&m->grad_arena, float, m->table.grads);
    for (int i = 0; i < m->table.n; i++)
        params_init(&m->table, i, m->weights, c->seed);
    b = binder_weights(&m->table, m->weights);
    bind_all(m, &m->w, &b);
    b = binder_grads(&m->table, m->grads);
    bind_all(m, &m->dw, &b);

    m->tape_arena.name = "tape";
    lay_tape(m, &m->tape_arena);
    arena_alloc(&m->tape_arena);
    lay_tape(m, &m->tape_arena);
    return true;
}

void model_close(Model *m)
{
    arena_free(&m->tape_arena);
    arena_free(&m->grad_arena);
    arena_free(&m->weight_arena);
    params_free(&m->table);
}

double model_visual_loss(const Model *m, const Losses *s)
{
    double sum = 0;
    for (int k = 0; k < m->c.codes_depth; k++)
        sum += s->visual[k];
    return s->n_visual > 0 ? sum / m->c.codes_depth / s->n_visual : 0;
}

double model_loss(const Model *m, const Losses *s)
{
    switch (m->c.stage) {
    case STAGE_CONTRAST:  return s->pairs > 0 ? s->contrast / s->pairs : 0;
    case STAGE_TOKENIZER: return s->energy[0] > 0 ? s->energy[m->c.codes_depth] / s->energy[0] : 0;
    default:              return (s->n_text > 0 ? s->text / s->n_text : 0) + m->c.visual_weight * model_visual_loss(m, s);
    }
}
