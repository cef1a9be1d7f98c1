/* plansums.c -- the sums of a step over tp that are started and waited for (dist/tp.h), on virtual time (plannodes.h)
 *
 * The dry run says what is computed between one call of the door and the next; all ranks of a replica are in step.
 */
#include <math.h>

#include "core/par.h"
#include "launch/plan/plannodes.h"

typedef struct { Cost c; double ends; } Phase;

typedef struct {
    const PlanRank *r;
    const Lying *where;
    double  t, link, messages;
    int64_t waited, added, started;                         /* as in dist/tp.c */
    Phase   phase[SUMS_UNDER_WAY];
} Line;

static Phase *number(Line *x, int64_t i) { return &x->phase[i % SUMS_UNDER_WAY]; }

static void post(Line *x, Phase *p)
{
    x->t += p->c.post;
    x->link = fmax(x->t, x->link) + p->c.wire;
    p->ends = x->link + p->c.alpha;
    x->messages += p->c.messages;
}

static void wait_for(Line *x, const Phase *p) { x->t = fmax(x->t, p->ends) + p->c.land; }

static void add_up(Line *x) { post(x, number(x, x->added++)); }

static void go_on(Line *x)
{
    while (x->added < x->started && number(x, x->added)->ends <= x->t) {
        wait_for(x, number(x, x->added));
        add_up(x);
    }
}

static void called(Line *x, const SumCall *s)
{
    const int tp = x->r->tp.size;
    go_on(x);
    if (s->kind == SUM_START) {
        Phase *p = number(x, x->started++);
        p->c = cluster_exchange(x->where->machine, x->where->ranks_node, tp, (int)min64(tp, x->where->ranks_node), 4 * (double)s->floats / tp);
        post(x, p);
    } else if (s->kind == SUM_WAIT) {
        if (x->added == x->waited) {
            wait_for(x, number(x, x->added));
            add_up(x);
        }
        go_on(x);
        wait_for(x, number(x, x->waited++));
        go_on(x);
    }
}

Replayed replay_sums(const PlanRank *r, const Lying *where)
{
    const Dry *d = &r->dry;
    Line x = { .r = r, .where = where };
    double computed = 0;
    for (int i = 0; i < d->calls; i++) {
        const Beats *pass = i < d->turn ? &d->forward : &d->backward;
        const double seconds = i < d->turn ? where->forward : where->backward;
        const double some = pass->flops > 0 ? seconds * fmin(1, d->sum[i].flops / pass->flops) : 0;
        x.t += some;
        computed += some;
        called(&x, &d->sum[i]);
    }
    return (Replayed){ x.t - computed, x.messages };
}
