#include "core/asvr.h"

static bool lm(const Model *m) { return m->c.stage >= STAGE_PRETRAIN; }

/* Rows with a visual target that a head takes at a time: its tape is Q times as many rows, and its weights are read anew for each. */
enum { HEAD_ROWS = 256 };

/* What rows with a visual target need from forward to backward. */
static void lay_targets(Tape *t, const Model *m, Arena *a, int64_t IP)
{
    const ModelConf *c = &m->c;
    const int C = c->decoder.C;
    if (!(m->parts & (PART_HEAD | PART_APP_HEAD | PART_DENOISER)))
        return;
    t->g    = TAKE(a, float, IP * C);   t->dg = TAKE(a, float, IP * C);
    t->head_rows = min64(HEAD_ROWS, IP);
    t->code = TAKE(a, int32_t, t->head_rows * c->codes_depth);
    if (model_has(m, PART_DENOISER)) {
        t->clean = TAKE(a, float, IP * c->vision.C);
        t->z     = TAKE(a, float, IP * c->vision.C);
    }
}

/* From the decoder's forward to its backward. */
static void lay_heads(Tape *t, const Model *m, Arena *a, int64_t IP)
{
    const ModelConf *c = &m->c;
    xent_work(&t->xent, a, c->decoder.V, m->tp);
    const ArenaMark shared = arena_mark(a);                   /* one head learns after the other */
    for (int k = 0; k < BRANCHES; k++) {
        arena_release(a, shared);
        if (model_has(m, k ? PART_APP_HEAD : PART_HEAD))
            rqhead_tape(&t->head[k], a, &m->w.head[k].d, t->head_rows, m->tp);
    }
    if (model_has(m, PART_DENOISER))
        denoise_tape(&t->denoiser, a, &m->w.denoiser, IP, c->max_images, m->tp);
}

static void lay_towers(Tape *t, const Model *m, Arena *a, bool vision_learns, bool tower_learns)
{
    const ModelConf *c = &m->c;
    vision_tape(&t->vision, a, &m->w.vision, c->max_images, vision_learns, c->recompute, m->tp);
    if (model_has(m, PART_TOKENIZER))
        vision_tape(&t->tower, a, &m->w.tower, c->max_images, tower_learns, c->recompute, m->tp);
}

/* One memory: frozen towers are done before the decoder begins, the heads before its backward does. */
static void lay_lm(Tape *t, const Model *m, Arena *a, bool vision_learns)
{
    const ModelConf *c = &m->c;
    const int64_t N = (int64_t)c->micro_batch * c->max_len, IP = (int64_t)c->max_images * m->w.vision.P;
    const int C = c->decoder.C;
    splice_layout(&t->splice, a, c->micro_batch, c->max_len, c->max_images, m->w.vision.P);
    projector_tape(&t->projector, a, &m->w.projector, IP);
    llama_tape(&t->decoder, a, &c->decoder, N, c->recompute, m->tp);
    /* The same buffers carry rows of the decoder's width and, for a moment, of the features'. */
    const int64_t rows = max64(N * C, IP * c->vision.C);
    t->rows  = TAKE(a, float, rows);    t->drows = TAKE(a, float, N * C);
    t->dh    = TAKE(a, float, N * C);   t->local = TAKE(a, int32_t, N);
    lay_targets(t, m, a, IP);
    const ArenaMark shared = arena_mark(a);
    if (!vision_learns)
        lay_towers(t, m, a, false, false);
    if (c->scales > 1)
        scales_work(&t->scales, a, &m->w.vision, c->scales, c->max_images);
    arena_release(a, shared);
    lay_heads(t, m, a, IP);
    arena_release(a, shared);
    llama_tape_backward(&t->decoder, a, &c->decoder, N, m->tp);
}

static bool learns(const Model *m, const char *part)
{
    for (int i = 0; i < m->table.n; i++)
        if (param_in_part(&m->table.p[i], part) && m->table.p[i].grad >= 0)
            return true;
    return false;
}

static void lay_tape(Tape *t, const Model *m, Arena *a)
{
    const ModelConf *c = &m->c;
    if (c->bare)
        return;
    const int64_t IP = (int64_t)c->max_images * m->w.vision.P;
    const bool vision_learns = learns(m, "vision"), tower_learns = c->stage == STAGE_TOKENIZER && learns(m, "tokenizer");
    if (!lm(m) || vision_learns)
        lay_towers(t, m, a, vision_learns, tower_learns);
    t->feat = TAKE(a, float, IP * c->vision.C * c->scales);
    t->dfeat = vision_learns || tower_learns ? TAKE(a, float, IP * c->vision.C) : NULL;
    for (int k = 0; k < BRANCHES; k++)
        if (model_has(m, k ? PART_APP_CODES : PART_CODES))
            codes_tape(&t->codes[k], a, &m->w.codes[k], IP, tower_learns, m->tp);
    if (c->stage == STAGE_CONTRAST || model_pools(c))
        pool_tape(&t->pool, a, &m->w.vision, c->max_images);
    t->pooled = model_pools(c) ? TAKE(a, float, (int64_t)c->max_images * c->vision.C) : NULL;
    if (c->stage == STAGE_CONTRAST) {
        text_tape(&t->text, a, &m->w.text, c->micro_batch, c->recompute, m->tp);
        contrast_tape(&t->contrast, a, c->micro_batch, c->vision.C);
    }
    if (lm(m))
        lay_lm(t, m, a, vision_learns);
}

void tape_measure(Tape *t, const Model *m)
{
    *t = (Tape){ .arena.name = "tape" };
    lay_tape(t, m, &t->arena);
}

void tape_nowhere(Tape *t, const Model *m)
{
    arena_nowhere(&t->arena);
    lay_tape(t, m, &t->arena);
}

void tape_open(Tape *t, const Model *m)
{
    tape_measure(t, m);
    arena_alloc(&t->arena);
    lay_tape(t, m, &t->arena);
}

void tape_close(Tape *t) { arena_free(&t->arena); }

size_t tape_bytes(const Tape *t, const Model *m) { return t->arena.size + m->soft_arena.size; }
