/* plantraffic.c -- every place of a step where ranks send something, and how much (plan.h) */
#include "launch/plan/plan.h"

#include "core/exact.h"
#include "dist/comm.h"
#include "launch/step.h"

typedef struct {
    const PlanRank *r;
    Place *out;
    int    n, ranks;               /* places; ranks of the axis that is looked at */
} List;

static void place(List *t, const char *name, int axis)
{
    ASSERT(t->n < PLACES);
    t->out[t->n++] = (Place){ .name = name, .axis = axis };
}

/* `times` sums or maxima of n floats, once a micro-batch, at the newest place. */
static void sums(List *t, int64_t times, int64_t n)
{
    Place *p = &t->out[t->n - 1];
    times *= n > 0 ? t->r->buckets.leaves : 0;
    if (t->ranks == 1 || times == 0)
        return;
    p->each = (p->each * (double)p->calls + (double)times * (double)n) / (double)(p->calls + times);
    p->calls += times;
    p->bytes += times * comm_sum_bytes(n * (int64_t)sizeof(float), t->ranks);
}

/* ---- tp: what the model asks for ---- */

/* A loss over a split vocabulary: rows in chunks, of each a maximum, two sums and the gradient of its rows (xent.c). */
static void losses(List *t, int64_t rows, int I, int chunk)
{
    const int64_t whole = rows / chunk, rest = rows % chunk;
    sums(t, 3 * whole, chunk);
    sums(t, whole, (int64_t)chunk * I);
    sums(t, rest ? 3 : 0, rest);
    sums(t, rest ? 1 : 0, rest * I);
}

static void tower(List *t)
{
    const Model *m = &t->r->model;
    const ModelConf *c = &m->c;
    const int64_t I = c->max_images, P = m->w.vision.P, rows = I * P * c->vision.C, inside = I * vision_rows(&m->w.vision) * c->vision.C;
    const bool own = model_has(m, PART_TOKENIZER), codes = !c->codes_given;
    place(t, "vision tower", AXIS_TP);
    for (int s = 1; s <= c->scales && c->scales > 1 && !c->discrete; s++)       /* tiles, as many at a time as pictures */
        sums(t, 2 * m->feature_layers * s * s, inside);
    sums(t, 2 * plan_tower_layers(m, !c->discrete && c->scales == 1, codes && !own, model_has(m, PART_DENOISER)), inside);
    if (plan_vision_learns(m))
        sums(t, 2 * m->feature_layers, inside);
    place(t, "the codes' own tower", AXIS_TP);
    if (own && codes)
        sums(t, 2 * plan_tower_layers(m, false, true, false), inside);
    place(t, "codes", AXIS_TP);
    for (int k = 0; k < BRANCHES && codes; k++)
        if (model_has(m, k ? PART_APP_CODES : PART_CODES)) {
            sums(t, 2 * c->codes_depth, I * P);                                 /* who has the nearest */
            sums(t, c->codes_depth, rows);
        }
    if (c->discrete)
        sums(t, 1, rows);
}

static void projector(List *t)
{
    const Model *m = &t->r->model;
    const int64_t rows = (int64_t)m->c.max_images * m->w.vision.P, C = m->c.decoder.C;
    const int layers = m->w.projector.layers;
    place(t, "projector", AXIS_TP);
    sums(t, layers / 2, rows * C);
    for (int l = 0; l + 1 < layers; l += 2)
        if (l || plan_vision_learns(m))
            sums(t, 1, rows * (l ? C : m->w.projector.Cv));
}

static void decoder(List *t)
{
    const Model *m = &t->r->model;
    const LlamaDims *d = &m->c.decoder;
    const int64_t N = (int64_t)m->c.micro_batch * m->c.max_len, text = (int64_t)m->c.micro_batch * (m->c.max_len - m->w.vision.P);
    place(t, "decoder", AXIS_TP);
    sums(t, 1 + 4 * d->L, N * d->C);
    if (d->K < t->ranks)
        sums(t, d->L, 2 * d->K * N * llama_head(d));
    const int norm = params_find(&m->table, "decoder.0.attn.q_norm");
    if (norm >= 0 && m->table.p[norm].grad >= 0)
        sums(t, d->L, 2 * llama_head(d));
    place(t, "text loss", AXIS_TP);
    losses(t, text, d->C, m->xent.chunk);
}

static void heads(List *t)
{
    const Model *m = &t->r->model;
    const ModelConf *c = &m->c;
    const int64_t all = (int64_t)c->max_images * m->w.vision.P, M = (int64_t)((double)all * c->visual_share), E = c->head_width;
    const int Q = c->codes_depth, L = c->head_layers;
    place(t, "visual head", AXIS_TP);
    for (int k = 0; k < BRANCHES; k++) {
        if (!model_has(m, k ? PART_APP_HEAD : PART_HEAD))
            continue;
        sums(t, 1, M * E);
        sums(t, 1, M * (Q - 1) * c->vision.C);
        sums(t, 4 * L, M * Q * E);
        sums(t, 1, M * c->decoder.C);
    }
    place(t, "visual loss", AXIS_TP);
    for (int k = 0; k < BRANCHES; k++)
        for (int q = 0; q < Q && model_has(m, k ? PART_APP_HEAD : PART_HEAD); q++)
            losses(t, M, c->head_tied ? c->vision.C : (int)E, m->head[k].xent.chunk);
    place(t, "denoising head", AXIS_TP);
    if (model_has(m, PART_DENOISER))
        sums(t, 4 * L, M * c->denoise_draws * E);
}

/* ---- dp and world: what dist and the step send ---- */

static void sent(List *t, const char *name, int axis, int64_t calls, int64_t bytes)
{
    place(t, name, axis);
    if (bytes)
        t->out[t->n - 1] = (Place){ name, axis, calls, 0, bytes };
}

int plan_places(const PlanRank *r, Place out[PLACES])
{
    const int ranks = r->replicas * r->tp.size;
    const int64_t norm = EXACT_WORDS * (int64_t)sizeof(int64_t);
    MatricesBytes muon;
    List t = { r, out, 0, r->tp.size };
    optim_bytes(&r->optim, &muon);
    tower(&t);
    projector(&t);
    decoder(&t);
    heads(&t);
    sent(&t, "Muon", AXIS_TP, 0, muon.tp);
    sent(&t, "gradients", AXIS_DP, 0, buckets_bytes(&r->optim.zero, &r->buckets));
    sent(&t, "new weights", AXIS_DP, 0, zero_weights_bytes(&r->optim.zero));
    sent(&t, "Muon", AXIS_DP, 0, muon.dp);
    sent(&t, "Muon", AXIS_WORLD, 0, muon.world);
    sent(&t, "losses", AXIS_WORLD, 1, comm_sum_bytes(N_LOSSES * norm, ranks));
    sent(&t, "norm", AXIS_WORLD, 1, comm_sum_bytes(norm, ranks));
    sent(&t, "targets, requests", AXIS_WORLD, 1, comm_sum_bytes(sizeof(Tally), ranks));
    int n = 0;
    for (int i = 0; i < t.n; i++)
        if (out[i].bytes)
            out[n++] = out[i];
    return n;
}
