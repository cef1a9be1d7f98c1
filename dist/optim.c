#include "dist/optim.h"

#include <math.h>
#include <stdlib.h>

#include "core/exact.h"
#include "core/ops.h"
#include "dist/comm.h"

enum { LOT_BYTES = 4 << 20 };

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

static int row_length(const Params *t, int i)
{
    const Slice s = param_slice(t, i);
    return s.dims > 1 ? (int)slice_extent(&s, 1) : 1;
}

static Share whole(const Optim *o, int i)
{
    return (Share){ .rows = (int)(o->table->p[i].count / row_length(o->table, i)), .cols = row_length(o->table, i) };
}

/* What this rank updates of tensor i. */
static Share own(const Optim *o, int i)
{
    return o->zero.mine[i] ? zero_share(&o->zero, i, o->zero.rank) : whole(o, i);
}

static void layout(Optim *o)
{
    const Params *t = o->table;
    int64_t m = 0, v = 0, columns = 0;
    o->m_at = TAKE(&o->arena, int64_t, t->n);
    o->v_at = TAKE(&o->arena, int64_t, t->n);
    for (int i = 0; i < t->n; i++) {
        const bool learns = learned(&t->p[i]), second = learns && !o->muon[i];
        const int64_t n = learns ? share_count(own(o, i)) : 0;
        if (o->m_at) {
            o->m_at[i] = learns ? m : -1;
            o->v_at[i] = second ? v : -1;
        }
        m += n;
        v += second ? n : 0;
        columns = max64(columns, o->zero.cut[i] == CUT_COLS ? row_length(t, i) : 0);
    }
    o->m = TAKE(&o->arena, float, m);
    o->v = TAKE(&o->arena, float, v);
    o->columns = TAKE(&o->arena, double, columns);
}

void optim_measure(Optim *o, const Params *t, int dp_rank, int dp_size, const OptimSetup *s)
{
    *o = (Optim){ .table = t, .muon = muons(t, s->kind), .setup = *s,
                  .arena.name = "optimizer state" };
    zero_open(&o->zero, t, dp_rank, dp_size, &(ZeroConf){ s->zero1, o->muon, s->canonical });
    layout(o);
}

void optim_open(Optim *o, const Params *t, float *weights, Grid *g, const OptimSetup *s)
{
    optim_measure(o, t, g->dp_rank, g->dp_size, s);
    arena_alloc(&o->arena);
    layout(o);
    o->grid = g;
    o->matrices = s->kind == OPTIM_MUON ? matrices_open(&o->zero, o->muon, g, s->canonical) : NULL;
    o->coming = g->coming = zero_weights_open(&o->zero, weights, g, LOT_BYTES);
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
    *coming = zero_weights_memory(&o->zero, LOT_BYTES);
    *muon = o->setup.kind == OPTIM_MUON ? matrices_memory(&o->zero, o->muon, o->setup.canonical) : 0;
}

void optim_bytes(const Optim *o, MatricesBytes *muon)
{
    *muon = (MatricesBytes){ 0 };
    if (o->setup.kind == OPTIM_MUON)
        *muon = matrices_bytes(&o->zero, o->muon, o->setup.canonical);
}

/* ---- the norm ---- */

/* Rows or columns that no owner ever cuts, each summed in one order: which of them are here does not change a bit. */
static void add_squares(Exact *sum, const Optim *o, const float *piece, int i, Share s)
{
    const int ld = row_length(o->table, i);
    if (s.rows == 0 || s.cols == 0)
        return;
    if (o->zero.cut[i] == CUT_COLS) {
        op.sumsq_columns(o->columns, piece + (int64_t)s.row * ld + s.col, s.rows, s.cols, ld);
        for (int c = 0; c < s.cols; c++)
            exact_add(sum, o->columns[c]);
        return;
    }
    for (int r = s.row; r < s.row + s.rows; r++) {
        double row;
        op.sumsq(&row, piece + (int64_t)r * ld, ld);
        exact_add(sum, row);
    }
}

double optim_norm(const Optim *o, const float *grads)
{
    const Params *t = o->table;
    Exact sum = { 0 };
    for (int i = 0; i < t->n; i++)
        if (learned(&t->p[i]) && params_speak(t, i))
            add_squares(&sum, o, grads + t->p[i].grad, i, o->setup.zero1 ? own(o, i) : whole(o, i));
    comm_sum_i64(o->setup.zero1 ? o->grid->world : o->grid->tp, sum.word, EXACT_WORDS);
    return sqrt(exact_value(&sum));
}

/* ---- the update ---- */

static void adamw(Optim *o, int i, float *weights, const float *grads, const OptimConf *c, float gscale)
{
    const Param *p = &o->table->p[i];
    const Share s = own(o, i);
    const int ld = row_length(o->table, i);
    const bool together = s.cols == ld;             /* its rows lie one behind the other */
    const int64_t run = together ? share_count(s) : s.cols;
    float *m = o->m + o->m_at[i], *v = o->v + o->v_at[i];
    for (int r = 0; r < (together ? s.rows > 0 : s.rows); r++, m += run, v += run) {
        const int64_t at = (int64_t)(s.row + r) * ld + s.col;
        op.adamw(weights + p->offset + at, m, v, grads + p->grad + at, run, c->lr, c->beta1, c->beta2, c->eps,
                 p->flags & DECAY ? c->decay : 0, o->step, gscale);
    }
}

void optim_step(Optim *o, float *weights, float *grads, const OptimConf *c, double norm)
{
    ASSERT(isfinite(norm));
    const float gscale = c->clip > 0 ? (float)fmin(1, c->clip / (norm + 1e-6)) : 1;
    optim_settle(o);
    o->step++;
    for (int i = 0; i < o->table->n; i++)
        if (learned(&o->table->p[i]) && !o->muon[i])
            adamw(o, i, weights, grads, c, gscale);
    if (o->matrices)
        matrices_step(o->matrices, weights, grads, o->m, o->m_at, &(MatricesConf){ c->muon_lr, c->momentum, c->decay, gscale });
    zero_weights_start(o->coming);
}

void optim_settle(Optim *o) { zero_weights_wait(o->coming); }

bool optim_moment(const Optim *o, int i, int k, Moment *out)
{
    const Params *t = o->table;
    if (!learned(&t->p[i]) || (k && o->muon[i]))
        return false;
    float *data = k ? o->v + o->v_at[i] : o->m + o->m_at[i];
    const bool shared = o->zero.mine[i];
    *out = (Moment){ shared ? zero_slice(&o->zero, i, o->zero.rank) : param_slice(t, i), data,
                     params_speak(t, i) && (shared || o->zero.rank == 0) };
    return true;
}
