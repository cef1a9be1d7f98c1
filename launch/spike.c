#include "launch/spike.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ops.h"
#include "dist/comm.h"

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const CkptNorms *n)
{
    double x[CKPT_NORMS];
    memcpy(x, n->norm, (size_t)n->n * sizeof *x);
    qsort(x, (size_t)n->n, sizeof *x, by_size);
    return n->n ? x[n->n / 2] : 0;
}

bool spike_is(CkptNorms *n, double norm, double factor)
{
    if (factor > 0 && n->n >= SPIKE_LEAST && norm > factor * median(n))
        return true;
    if (!(norm > 0))
        return false;
    if (n->n == SPIKE_WINDOW)
        memmove(n->norm, n->norm + 1, (size_t)--n->n * sizeof *n->norm);
    n->norm[n->n++] = norm;
    return false;
}

/* ---- who it was ---- */

/* What one replica finds in its second pass, and adds up over all replicas. */
typedef struct { double norms, broken; } Found;

typedef struct { Model *m; double sum; } Squares;

/* Of tensors that count; of a fleeting gradient (ZeRO-2) they go then, for there may be no room for all of it. */
static void add_squares(void *ctx, int first, int last)
{
    Squares *s = ctx;
    const Params *t = &s->m->table;
    double one;
    for (int k = first; k < last; k++) {
        if (t->p[k].grad < 0 || t->p[k].flags & STATE || !params_speak(t, k))
            continue;
        op.sumsq(&one, s->m->grads + t->p[k].grad, t->p[k].count);
        s->sum += one;
        if (s->m->grad_arena.fleeting)
            arena_forget(s->m->grads + t->p[k].grad, (size_t)t->p[k].count * sizeof(float));
    }
}

/* Norm of the gradient of micro-batch i alone; NaN where it or the loss is not finite, or not below the limit.  Equal on the ranks of a
   replica. */
static double alone(Run *r, const StepState *s, int i, double limit)
{
    Model *m = &r->model;
    const bool fleeting = m->grad_arena.fleeting;
    Squares q = { m, 0 };
    const OnGrad door = { add_squares, &q };
    Losses one = { 0 };
    if (fleeting)
        arena_forget(m->grads, (size_t)m->table.grads * sizeof(float));
    else
        op.zero(m->grads, m->table.grads);
    model_forward(m, &r->tape, &s->data->batch[i], &s->targets, &one);
    model_backward(m, &r->tape, &s->data->batch[i], fleeting ? &door : NULL);
    add_squares(&q, 0, m->table.n);                 /* what has been forgotten is zero */
    comm_sum_f64(r->grid.tp, &q.sum, 1);
    return isfinite(model_loss(m, &one)) && sqrt(q.sum) < limit ? sqrt(q.sum) : NAN;
}

/* The worst of this replica's micro-batches: the first that is not finite, else the one of the largest norm. */
static int worst(Run *r, const StepState *s, double limit, double *norm, Found *f)
{
    int at = 0;
    *norm = -1;
    for (int i = 0; i < s->data->n; i++) {
        const double x = alone(r, s, i, limit);
        if (isfinite(x))
            f->norms += x;
        else
            f->broken++;
        if (!isnan(*norm) && !(x <= *norm)) {
            *norm = x;
            at = i;
        }
    }
    return at;
}

/* The first replica of those with the largest x; all say so. */
static int first_of(const Grid *g, double x)
{
    double most = x, before;
    comm_max_f64(g->dp, &most, 1);
    before = x >= most ? -g->dp_rank : -g->dp_size;
    comm_max_f64(g->dp, &before, 1);
    return (int)-before;
}

static void name(const Run *r, const Batch *b, char *out, int cap)
{
    char host[128] = "";
    gethostname(host, sizeof host - 1);
    int at = snprintf(out, (size_t)cap, "of rank %d (%s), samples", r->grid.rank, host);
    for (int k = 0; k < b->B && at < cap - 32; k++)
        at += snprintf(out + at, (size_t)(cap - at), " %lld", (long long)b->sample[k]);
}

void spike_warn(Run *r, const StepState *s)
{
    const bool finite = isfinite(s->loss) && isfinite(s->norm);
    char who[320] = "", text[768];
    double norm;
    Found f = { 0, 0 };
    /* Of a step that is not finite, what may have an element that its sums could not take in is broken, too. */
    const BucketConf conf = run_buckets(r->c, &r->grid.levels);
    const int at = worst(r, s, finite ? INFINITY : buckets_limit(&conf, r->grid.dp_size), &norm, &f);
    comm_sum_f64(r->grid.dp, (double *)&f, sizeof f / sizeof(double));
    /* A gradient is no longer than its parts together: if they are short, what the step saw was not of its samples. */
    const bool again = finite ? 1.01 * f.norms > s->norm : f.broken > 0;
    const double mine = again ? (isnan(norm) ? INFINITY : norm) : s->odd ? 1 : 0;
    const int owner = first_of(&r->grid, mine);
    double any = mine;
    comm_max_f64(r->grid.dp, &any, 1);
    if (owner == r->grid.dp_rank)
        name(r, &s->data->batch[at], who, sizeof who);
    comm_bcast(r->grid.dp, who, sizeof who, owner);
    comm_bcast(r->grid.dp, &norm, sizeof norm, owner);
    if (r->grid.rank != 0)
        return;
    int n = snprintf(text, sizeof text, "step %lld is skipped: loss %g, gradient norm %g", (long long)r->step + 1, s->loss, s->norm);
    if (finite)
        n += snprintf(text + n, sizeof text - (size_t)n, ", %.0f times the median", s->norm / median(&r->norms));
    if (again && isnan(norm))
        snprintf(text + n, sizeof text - (size_t)n, "; not finite%s: that %s; %.0f of the step's micro-batches are such",
                 r->c->parallel.reduction == REDUCE_EXACT ? ", or beyond the range of exact sums" : "", who, f.broken);
    else if (again)
        snprintf(text + n, sizeof text - (size_t)n, "; the largest part, %g, is that %s", norm, who);
    else
        snprintf(text + n, sizeof text - (size_t)n, "; computed again it is not: a node's memory or arithmetic erred%s%s",
                 any > 0 ? ", perhaps that " : "", any > 0 ? who : "");
    log_warn(text);
}
