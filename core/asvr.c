#include "core/asvr.h"

#include <string.h>

#include "core/ops.h"

bool model_has(const Model *m, unsigned part) { return m->parts & part; }

static bool lm(const Model *m) { return m->c.stage >= STAGE_PRETRAIN; }

/* Codes that are needed: learned, looked at by the decoder, or the tokenizer stage's own. */
static bool needs_codes(const ModelConf *c, int branch)
{
    if (c->stage == STAGE_CONTRAST)
        return false;
    if (c->stage == STAGE_TOKENIZER)
        return branch == SEMANTIC || c->codes_layer[APPEARANCE];
    if (branch == APPEARANCE)
        return c->supervision == SUPERVISE_APPEARANCE || c->supervision == SUPERVISE_BOTH;
    return c->supervision == SUPERVISE_SEMANTIC || c->supervision == SUPERVISE_BOTH || c->discrete;
}

unsigned model_parts(const ModelConf *c)
{
    unsigned parts = PART_VISION;
    if (c->parts)
        return c->parts;
    if (c->stage == STAGE_CONTRAST)
        return parts | PART_POOL | PART_TEXT | PART_CONTRAST;
    for (int k = 0; k < BRANCHES; k++)
        parts |= needs_codes(c, k) ? (unsigned)(k ? PART_APP_CODES : PART_CODES) : 0;
    if (c->stage == STAGE_TOKENIZER)
        return parts | (c->own_tower ? PART_TOKENIZER | (c->distill_pool > 0 ? PART_POOL : 0) : 0);
    if (c->own_tower && (parts & (PART_CODES | PART_APP_CODES)) && (!c->codes_given || c->discrete))
        parts |= PART_TOKENIZER;
    if (c->supervision == SUPERVISE_SEMANTIC || c->supervision == SUPERVISE_BOTH)
        parts |= PART_HEAD;
    if (c->supervision == SUPERVISE_APPEARANCE || c->supervision == SUPERVISE_BOTH)
        parts |= PART_APP_HEAD;
    if (c->supervision == SUPERVISE_DENOISING)
        parts |= PART_DENOISER;
    return parts | PART_PROJECTOR | PART_DECODER;
}

int model_branches(const Model *m) { return !!model_has(m, PART_HEAD) + !!model_has(m, PART_APP_HEAD); }

/* The one list of what a model consists of, in table order: gradients become final from its end. */
static void bind_all(const Model *m, Modules *w, Binder *b)
{
    if (model_has(m, PART_VISION))
        vision_params(&w->vision, b);
    if (model_has(m, PART_POOL))
        pool_params(&w->pool, b, &w->vision);
    if (model_has(m, PART_TEXT))
        text_params(&w->text, b);
    if (model_has(m, PART_CONTRAST))
        contrast_params(&w->contrast, b);
    if (model_has(m, PART_TOKENIZER))
        vision_params(&w->tower, b);
    if (model_has(m, PART_CODES))
        codes_params(&w->codes[SEMANTIC], b);
    if (model_has(m, PART_APP_CODES))
        codes_params(&w->codes[APPEARANCE], b);
    if (model_has(m, PART_PROJECTOR))
        projector_params(&w->projector, b);
    if (model_has(m, PART_DECODER))
        llama_params(&w->decoder, b);
    if (model_has(m, PART_HEAD))
        rqhead_params(&w->head[SEMANTIC], b);
    if (model_has(m, PART_APP_HEAD))
        rqhead_params(&w->head[APPEARANCE], b);
    if (model_has(m, PART_DENOISER))
        denoise_params(&w->denoiser, b);
}

static int max_int(int a, int b) { return a > b ? a : b; }

/* The codes' own tower learns by what it pools to, too. */
static bool pools(const ModelConf *c) { return c->stage == STAGE_TOKENIZER && c->own_tower && c->distill_pool > 0; }

/* Blocks of the tower and of the codes' own tower that are ever run. */
static void set_depths(Model *m, int *vision, int *tower)
{
    const ModelConf *c = &m->c;
    const int all = c->vision.L;
    int codes = 0;
    m->feature_layers = all + 1 + c->select_layer;
    for (int k = 0; k < BRANCHES; k++) {
        const bool wanted = c->codes_layer[k] && (needs_codes(c, k) || (k == SEMANTIC && c->supervision == SUPERVISE_DENOISING));
        m->code_layers[k] = wanted ? all + 1 + c->codes_layer[k] : 0;
        codes = max_int(codes, m->code_layers[k]);
    }
    *vision = c->stage == STAGE_CONTRAST || c->parts || pools(c) ? all : max_int(m->feature_layers, codes);
    *tower = c->parts || pools(c) ? all : codes;
}

static void set_dims(Model *m, Modules *w)
{
    const ModelConf *c = &m->c;
    const int Cv = c->vision.C, side = c->image / c->patch;
    int vision, tower;
    set_depths(m, &vision, &tower);
    w->vision = (Vision){ .part = "vision", .kind = c->vision_kind, .image = c->image, .patch = c->patch, .P = side * side, .enc.d = c->vision };
    w->tower = w->vision;
    w->tower.part = "tokenizer";
    w->vision.enc.d.L = vision;
    w->tower.enc.d.L = tower;
    w->text = (TextTower){ .enc.d = c->text, .V = c->decoder.V, .max_len = c->text_max_len, .Cv = Cv };
    w->projector = (Projector){ .Cv = Cv * c->scales, .C = c->decoder.C, .layers = c->projector_layers };
    w->decoder = (Llama){ .d = c->decoder };
    for (int k = 0; k < BRANCHES; k++) {
        w->codes[k] = (Codes){ .part = k ? "app_codes" : "codes", .Q = c->codes_depth, .S = c->codes_size, .Cv = Cv,
                               .means = c->parts || (c->stage == STAGE_TOKENIZER && c->train), .shared = c->codes_shared };
        w->head[k] = (RqHead){ .part = k ? "app_head" : "head",
                               .d = { .C = c->decoder.C, .E = c->head_width, .H = c->head_heads, .L = c->head_layers,
                                      .Q = c->codes_depth, .S = c->codes_size, .Cv = Cv, .eps = 1e-6f,
                                      .tied = c->head_tied, .soft = c->soft_targets } };
    }
    w->denoiser = (Denoiser){ .d = { .C = c->decoder.C, .Cv = Cv, .E = c->head_width, .F = 4 * c->head_width,
                                     .H = c->head_heads, .L = c->head_layers, .draws = c->denoise_draws, .eps = 1e-6f } };
}

/* Rows with a visual target that a head takes at a time: its tape is Q times as many rows, and its weights are read anew for each. */
enum { HEAD_ROWS = 256 };

/* What rows with a visual target need from forward to backward. */
static void lay_targets(Model *m, Arena *a, int64_t IP)
{
    const ModelConf *c = &m->c;
    const int C = c->decoder.C;
    if (!(m->parts & (PART_HEAD | PART_APP_HEAD | PART_DENOISER)))
        return;
    m->g    = TAKE(a, float, IP * C);   m->dg = TAKE(a, float, IP * C);
    m->head_rows = min64(HEAD_ROWS, IP);
    m->code = TAKE(a, int32_t, m->head_rows * c->codes_depth);
    for (int k = 0; k < BRANCHES; k++)
        if (model_has(m, k ? PART_APP_HEAD : PART_HEAD))
            rqhead_soft(&m->head[k], a, &m->w.head[k].d, m->tp);
    if (model_has(m, PART_DENOISER)) {
        m->clean = TAKE(a, float, IP * c->vision.C);
        m->z     = TAKE(a, float, IP * c->vision.C);
    }
}

/* From the decoder's forward to its backward. */
static void lay_heads(Model *m, Arena *a, int64_t IP)
{
    const ModelConf *c = &m->c;
    xent_work(&m->xent, a, c->decoder.V, m->tp);
    const ArenaMark shared = arena_mark(a);                   /* one head learns after the other */
    for (int k = 0; k < BRANCHES; k++) {
        arena_release(a, shared);
        if (model_has(m, k ? PART_APP_HEAD : PART_HEAD))
            rqhead_tape(&m->head[k], a, &m->w.head[k].d, m->head_rows, m->tp);
    }
    if (model_has(m, PART_DENOISER))
        denoise_tape(&m->denoiser, a, &m->w.denoiser, IP, c->max_images, m->tp);
}

static void lay_towers(Model *m, Arena *a, bool vision_learns, bool tower_learns)
{
    const ModelConf *c = &m->c;
    vision_tape(&m->vision, a, &m->w.vision, c->max_images, vision_learns, c->recompute, m->tp);
    if (model_has(m, PART_TOKENIZER))
        vision_tape(&m->tower, a, &m->w.tower, c->max_images, tower_learns, c->recompute, m->tp);
}

/* One memory: frozen towers are done before the decoder begins, the heads before its backward does. */
static void lay_lm(Model *m, Arena *a, bool vision_learns)
{
    const ModelConf *c = &m->c;
    const int64_t N = (int64_t)c->micro_batch * c->max_len, IP = (int64_t)c->max_images * m->w.vision.P;
    const int C = c->decoder.C;
    splice_layout(&m->splice, a, c->micro_batch, c->max_len, c->max_images, m->w.vision.P);
    projector_tape(&m->projector, a, &m->w.projector, IP);
    llama_tape(&m->decoder, a, &c->decoder, N, c->recompute, m->tp);
    /* The same buffers carry rows of the decoder's width and, for a moment, of the features'. */
    const int64_t rows = max64(N * C, IP * c->vision.C);
    m->rows  = TAKE(a, float, rows);    m->drows = TAKE(a, float, N * C);
    m->dh    = TAKE(a, float, N * C);   m->local = TAKE(a, int32_t, N);
    lay_targets(m, a, IP);
    const ArenaMark shared = arena_mark(a);
    if (!vision_learns)
        lay_towers(m, a, false, false);
    if (c->scales > 1)
        scales_work(&m->scales, a, &m->w.vision, c->scales, c->max_images);
    arena_release(a, shared);
    lay_heads(m, a, IP);
    arena_release(a, shared);
    llama_tape_backward(&m->decoder, a, &c->decoder, N, m->tp);
}

static bool learns(const Model *m, const char *part)
{
    for (int i = 0; i < m->table.n; i++)
        if (param_in_part(&m->table.p[i], part) && m->table.p[i].grad >= 0)
            return true;
    return false;
}

static void lay_tape(Model *m, Arena *a)
{
    const ModelConf *c = &m->c;
    const int64_t IP = (int64_t)c->max_images * m->w.vision.P;
    const bool vision_learns = learns(m, "vision"), tower_learns = c->stage == STAGE_TOKENIZER && learns(m, "tokenizer");
    if (!lm(m) || vision_learns)
        lay_towers(m, a, vision_learns, tower_learns);
    m->feat = TAKE(a, float, IP * c->vision.C * c->scales);
    m->dfeat = vision_learns || tower_learns ? TAKE(a, float, IP * c->vision.C) : NULL;
    for (int k = 0; k < BRANCHES; k++)
        if (model_has(m, k ? PART_APP_CODES : PART_CODES))
            codes_tape(&m->codes[k], a, &m->w.codes[k], IP, tower_learns, m->tp);
    if (c->stage == STAGE_CONTRAST || pools(c))
        pool_tape(&m->pool, a, &m->w.vision, c->max_images);
    m->pooled = pools(c) ? TAKE(a, float, (int64_t)c->max_images * c->vision.C) : NULL;
    if (c->stage == STAGE_CONTRAST) {
        text_tape(&m->text, a, &m->w.text, c->micro_batch, c->recompute, m->tp);
        contrast_tape(&m->contrast, a, c->micro_batch, c->vision.C);
    }
    if (lm(m))
        lay_lm(m, a, vision_learns);
}

bool model_measure(Model *m, const ModelConf *c, Tp *tp)
{
    *m = (Model){ .c = *c, .tp = tp, .parts = model_parts(c),
                  .weight_arena.name = "weights", .grad_arena = { .name = "gradients", .fleeting = c->fleeting }, .tape_arena.name = "tape" };
    set_dims(m, &m->w);
    set_dims(m, &m->dw);
    Binder b = binder_declare(&m->table, tp);
    bind_all(m, &m->w, &b);
    if (!params_seal(&m->table, c->train && !c->bare ? c->trainable : ""))
        return false;
    TAKE(&m->weight_arena, float, m->table.weights);
    TAKE(&m->grad_arena, float, m->table.grads);
    if (!c->bare)
        lay_tape(m, &m->tape_arena);
    return true;
}

void model_init(Model *m)
{
    for (int i = 0; i < m->table.n; i++)
        params_init(&m->table, i, m->weights, m->c.seed);
}

/* With memory, or with addresses alone. */
static void lay_out(Model *m, void (*reserve)(Arena *a))
{
    reserve(&m->weight_arena);
    m->weights = TAKE(&m->weight_arena, float, m->table.weights);
    reserve(&m->grad_arena);
    m->grads = TAKE(&m->grad_arena, float, m->table.grads);
    Binder b = binder_weights(&m->table, m->weights);
    bind_all(m, &m->w, &b);
    b = binder_grads(&m->table, m->grads);
    bind_all(m, &m->dw, &b);
    reserve(&m->tape_arena);
    if (!m->c.bare)
        lay_tape(m, &m->tape_arena);
}

void model_nowhere(Model *m) { lay_out(m, arena_nowhere); }

bool model_open(Model *m, const ModelConf *c, Tp *tp)
{
    if (!model_measure(m, c, tp))
        return false;
    lay_out(m, arena_alloc);
    if (!c->empty)
        model_init(m);
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
    if (m->c.stage == STAGE_TOKENIZER)
        return s->n_distill > 0 ? s->distill / s->n_distill : 0;
    const int depth = model_has(m, PART_DENOISER) ? 1 : m->c.codes_depth;
    double sum = 0;
    for (int i = 0; i < BRANCHES; i++)
        for (int k = 0; k < depth; k++)
            sum += s->visual[i][k];
    return s->n_visual > 0 ? sum / depth / s->n_visual : 0;
}

int model_visual_depths(const Model *m, const Losses *s, double out[BRANCHES * MAX_DEPTH])
{
    const bool tokenizer = m->c.stage == STAGE_TOKENIZER, denoiser = model_has(m, PART_DENOISER);
    int n = 0;
    for (int i = 0; i < BRANCHES; i++) {
        const double *e = s->energy[i];
        const unsigned part = tokenizer ? (i ? PART_APP_CODES : PART_CODES) : i ? PART_APP_HEAD : PART_HEAD;
        if (!model_has(m, part) && !(denoiser && i == SEMANTIC))
            continue;
        for (int k = 0; k < (denoiser ? 1 : m->c.codes_depth); k++)
            out[n++] = tokenizer ? (e[0] > 0 ? e[k + 1] / e[0] : 0) : s->n_visual > 0 ? s->visual[i][k] / s->n_visual : 0;
    }
    return n;
}

double model_loss(const Model *m, const Losses *s)
{
    const double *e = s->energy[SEMANTIC];
    switch (m->c.stage) {
    case STAGE_CONTRAST:
        return s->pairs > 0 ? s->contrast / s->pairs : 0;
    case STAGE_TOKENIZER:
        if (m->c.own_tower)
            return s->n_distill > 0 ? (m->c.distill * s->distill + m->c.distill_pool * s->pooled + m->c.commit * s->commit)
                                    / s->n_distill : 0;
        return e[0] > 0 ? e[m->c.codes_depth] / e[0] : 0;
    default:
        return (s->n_text > 0 ? s->text / s->n_text : 0) + m->c.visual_weight * model_visual_loss(m, s);
    }
}
