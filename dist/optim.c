#include "dist/optim.h"

#include <math.h>

#include "core/ops.h"
#include "dist/comm.h"

static void layout(Optim *o)
{
    o->m = TAKE(&o->arena, float, o->table->grads);
    o->v = TAKE(&o->arena, float, o->table->grads);
}

void optim_open(Optim *o, const Params *t)
{
    *o = (Optim){ .table = t, .arena = { .name = "optimizer state" } };
    layout(o);
    arena_alloc(&o->arena);
    layout(o);
}

void optim_close(Optim *o)
{
    arena_free(&o->arena);
    *o = (Optim){0};
}

/* What carries STATE has a range in grads, but its averages move it, not we (rqtok.h). */
static bool learned(const Param *p) { return p->grad >= 0 && !(p->flags & STATE); }

double optim_norm(const Optim *o, const float *grads, const Grid *g)
{
    const Params *t = o->table;
    double sum = 0;
    for (int i = 0; i < t->n; i++)
        if (learned(&t->p[i]) && params_speak(t, i))
            sum += op.sumsq(grads + t->p[i].grad, t->p[i].count);
    comm_sum_f64(g->tp, &sum, 1);
    return sqrt(sum);
}

void optim_step(Optim *o, float *weights, const float *grads, const OptimConf *c, double norm)
{
    ASSERT(isfinite(norm));
    const Params *t = o->table;
    float gscale = c->clip > 0 ? (float)fmin(1, c->clip / (norm + 1e-6)) : 1;
    o->step++;
    for (const Param *p = t->p; p < t->p + t->n; p++)
        if (learned(p))
            op.adamw(weights + p->offset, o->m + p->grad, o->v + p->grad, grads + p->grad, p->count, c->lr, c->beta1,
                     c->beta2, c->eps, p->flags & DECAY ? c->decay : 0, o->step, gscale);
}
