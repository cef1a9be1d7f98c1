#include "dist/optim.h"

#include <math.h>
#include <stdlib.h>

#include "core/exact.h"
#include "core/ops.h"
#include "dist/comm.h"

enum { BLOCKS = 1 << 14 };             /* of the norm that are summed at once: 16 MiB of gradient */

/* What carries STATE has a range in grads, but its averages move it, not we (rqtok.h). */
static bool learned(const Param *p) { return p->grad >= 0 && !(p->flags & STATE); }

static bool *muons(const Params *t, int kind)
{
    bool *muon = calloc((size_t)t->n + 1, sizeof *muon);
    CHECK(muon, "no memory for a table of %d parameters", t->n);
    for (int i = 0; i < t->n; i++)
        muon[i] = kind == OPTIM_MUON && learned(&t->p[i]) && (t->p[i].flags & MUON) && t->p[i].rows > 1 && t->p[i].cols > 1;
    return muon;
}

/* What this rank keeps of section k: none of what has only averages. */
static Range held(const Optim *o, int k)
{
    const Section *s = &o->zero.section[k];
    return s->state ? (Range){ s->at, 0 } : zero_held(&o->zero, s);
}

static void layout(Optim *o)
{
    const int n = o->zero.sections;
    int64_t m = 0, v = 0, most = 0;
    o->m_at = TAKE(&o->arena, int64_t, n);
    o->v_at = TAKE(&o->arena, int64_t, n);
    for (int k = 0; k < n; k++) {
        const Section *s = &o->zero.section[k];
        const int64_t here = held(o, k).n;
        if (o->m_at) {
            o->m_at[k] = s->state ? -1 : m;
            o->v_at[k] = s->state || s->muon ? -1 : v;
        }
        m += here;
        v += s->muon ? 0 : here;
        most = max64(most, ceil_div(s->each, GRAIN));
    }
    o->m = TAKE(&o->arena, float, m);
    o->v = TAKE(&o->arena, float, v);
    o->blocks = min64(BLOCKS, most);
    o->squares = TAKE(&o->arena, double, (o->table->leaves ? 3 : 1) * o->blocks);
}

void optim_measure(Optim *o, const Params *t, int dp_rank, int dp_size, const OptimSetup *s)
{
    *o = (Optim){ .table = t, .muon = muons(t, s->kind), .setup = *s,
                  .arena.name = "optimizer state" };
    zero_open(&o->zero, t, dp_rank, dp_size, &(ZeroConf){ s->zero1, o->muon, s->bytes, s->levels });
    layout(o);
}

void optim_open(Optim *o, const Params *t, float *weights, Grid *g, const OptimSetup *s)
{
    optim_measure(o, t, g->dp_rank, g->dp_size, s);
    arena_alloc(&o->arena);
    layout(o);
    o->grid = g;
    o->matrices = s->kind == OPTIM_MUON ? matrices_open(&o->zero, o->muon, g, s->canonical) : NULL;
    o->coming = g->coming = zero_weights_open(&o->zero, weights, g, s->bytes);
}

void optim_close(Optim *o)
{
    zero_weights_close(o->coming);
    if (o->grid)
        o->grid->coming = NULL;
    matrices_close(o->matrices);
    zero_close(&o->zero);
    free(o->muon);
    arena_free(&o->arena);
    *o = (Optim){ 0 };
}

void optim_memory(const Optim *o, size_t *coming, size_t *muon)
{
    *coming = zero_weights_memory(&o->zero, o->setup.bytes);
    *muon = o->setup.kind == OPTIM_MUON ? matrices_memory(&o->zero, o->muon, o->setup.canonical) : 0;
}

int64_t optim_landed(const Optim *o)
{
    return o->setup.kind == OPTIM_MUON ? matrices_landed(&o->zero, o->muon, o->setup.canonical) : 0;
}

void optim_bytes(const Optim *o, MatricesBytes *muon)
{
    *muon = (MatricesBytes){ 0 };
    if (o->setup.kind == OPTIM_MUON)
        *muon = matrices_bytes(&o->zero, o->muon, o->setup.canonical);
}

/* ---- the norm ---- */

/* A range of blocks that no owner ever cuts, each summed in one order: which of them are here does not change a bit.  With leaves they are
   split: which elements make a block depends on tp. */
static void add_squares(Exact *sum, const Optim *o, const float *grads, Range r)
{
    const bool split = o->table->leaves > 0;
    for (int64_t end = r.at + r.n, next; r.at < end; r.at = next) {
        next = min64(end, (r.at / GRAIN + o->blocks) * GRAIN);
        op.sumsq_blocks(o->squares, grads + r.at, next - r.at, GRAIN, (int)(GRAIN - r.at % GRAIN), split);
        exact_add_all(sum, o->squares, (split ? 3 : 1) * (ceil_div(next, GRAIN) - r.at / GRAIN));
    }
}

double optim_norm(const Optim *o, const float *grads)
{
    const Params *t = o->table;
    Exact sum = { 0 };
    for (int i = 0; i < t->n; i++)
        if (learned(&t->p[i]) && params_speak(t, i))
            add_squares(&sum, o, grads, zero_part(&o->zero, i, o->zero.rank));
    comm_sum_i64(o->grid->world, sum.word, EXACT_WORDS);
    return sqrt(exact_value(&sum));
}

/* ---- the update ---- */

/* What is held of a section, in runs of tensors that decay alike. */
static void adamw(Optim *o, int k, float *weights, const float *grads, const OptimConf *c, float gscale)
{
    const Params *t = o->table;
    const Section *s = &o->zero.section[k];
    const Range here = held(o, k);
    for (int i = s->first, next; i < s->last; i = next) {
        const bool decays = t->p[i].flags & DECAY;
        for (next = i + 1; next < s->last && !(t->p[next].flags & DECAY) == !decays;)
            next++;
        const int64_t end = next < s->last ? t->p[next].grad : s->at + s->n;
        const Range r = range_meet(here, (Range){ t->p[i].grad, end - t->p[i].grad });
        const int64_t from = r.at - here.at;
        if (r.n > 0)
            op.adamw(weights + s->weights + (r.at - s->at), o->m + o->m_at[k] + from, o->v + o->v_at[k] + from, grads + r.at, r.n, c->lr,
                     c->beta1, c->beta2, c->eps, decays ? c->decay : 0, o->step, gscale);
    }
}

void optim_step(Optim *o, float *weights, float *grads, const OptimConf *c, double norm)
{
    ASSERT(isfinite(norm));
    const float gscale = c->clip > 0 ? (float)fmin(1, c->clip / (norm + 1e-6)) : 1;
    optim_settle(o);
    o->step++;
    for (int k = 0; k < o->zero.sections; k++)
        if (o->v_at[k] >= 0)
            adamw(o, k, weights, grads, c, gscale);
    if (o->matrices)
        matrices_step(o->matrices, weights, grads, o->m, o->m_at, &(MatricesConf){ c->muon_lr, c->momentum, c->decay, gscale });
    zero_weights_start(o->coming);
}

void optim_settle(Optim *o) { zero_weights_wait(o->coming); }

/* What of tensor i this rank holds. */
static Range held_of(const Optim *o, int i)
{
    const Param *p = &o->table->p[i];
    return range_meet(held(o, o->zero.of[i]), (Range){ p->grad, p->count });
}

int64_t optim_held(const Optim *o, int i) { return learned(&o->table->p[i]) ? held_of(o, i).n : 0; }

bool optim_moment(const Optim *o, int i, int k, Moment *out)
{
    const Params *t = o->table;
    if (!learned(&t->p[i]) || (k && o->muon[i]))
        return false;
    const int section = o->zero.of[i];
    const Range r = held_of(o, i);
    const int64_t from = (k ? o->v_at : o->m_at)[section] + r.at - held(o, section).at;
    zero_slices(&o->zero, i, r, out->slice);
    out->data = (k ? o->v : o->m) + from;
    out->write = params_speak(t, i) && (o->zero.section[section].owned || o->zero.rank == 0);
    return true;
}
