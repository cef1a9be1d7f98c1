#include "core/asvr.h"

#include <stdlib.h>
#include <string.h>

#include "core/ops.h"

bool model_has(const Model *m, unsigned part) { return m->parts & part; }

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

bool model_pools(const ModelConf *c) { return c->stage == STAGE_TOKENIZER && c->own_tower && c->distill_pool > 0; }

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
    *vision = c->stage == STAGE_CONTRAST || c->parts || model_pools(c) ? all : max_int(m->feature_layers, codes);
    *tower = c->parts || model_pools(c) ? all : codes;
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

/* Tables of the heads' soft targets, of frozen codebooks: of every micro-batch the same ones.  And rooms that all pairs share. */
static void lay_shared(Model *m, Arena *a)
{
    if (!m->c.bare && model_has(m, PART_DECODER))
        lora_rooms(&m->table.lora, a, (int64_t)m->c.micro_batch * m->c.max_len);
    for (int k = 0; k < BRANCHES && !m->c.bare; k++)
        if (model_has(m, k ? PART_APP_HEAD : PART_HEAD))
            rqhead_soft(&m->soft[k], a, &m->w.head[k].d, m->tp);
}

bool model_measure(Model *m, const ModelConf *c, Tp *tp)
{
    *m = (Model){ .c = *c, .tp = tp, .parts = model_parts(c),
                  .weight_arena.name = "weights", .grad_arena = { .name = "gradients", .fleeting = c->fleeting }, .soft_arena.name = "what tapes share" };
    set_dims(m, &m->w);
    set_dims(m, &m->dw);
    m->table.lora = (Lora){ .rank = c->lora_rank, .scale = c->lora_rank ? c->lora_alpha / (float)c->lora_rank : 0, .targets = c->lora_targets,
                             .based = c->lora_based, .tp = tp };
    Binder b = binder_declare(&m->table, tp);
    bind_all(m, &m->w, &b);
    if (!params_seal(&m->table, c->train && !c->bare ? c->trainable : ""))
        return false;
    TAKE(&m->weight_arena, float, m->table.weights);
    TAKE(&m->grad_arena, float, m->table.grads);
    lay_shared(m, &m->soft_arena);
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
    reserve(&m->soft_arena);
    lay_shared(m, &m->soft_arena);
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

void model_pack(Model *m)
{
    size_t longest = 0;
    ASSERT(!m->c.train);
    for (int i = 0; i < m->table.n; i++)
        longest = m->table.p[i].cols > (int)longest ? (size_t)m->table.p[i].cols : longest;
    float *room = malloc(LINEAR_PANEL * longest * sizeof *room);
    CHECK(room, "no memory to turn rows of %zu", longest);
    Binder b = binder_pack(&m->table, m->weights, room);
    bind_all(m, &m->w, &b);
    free(room);
}

void model_close(Model *m)
{
    arena_free(&m->soft_arena);
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
