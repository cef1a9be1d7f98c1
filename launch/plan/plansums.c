/* plansums.c -- the sums of a step over tp that are started and waited for (dist/tp.h), on virtual time (plannodes.h)
 *
 * The dry run says what is computed between one call of the door and the next; all ranks of a replica are in step.
 */
#include <math.h>

#include "core/par.h"
#include "launch/plan/plannodes.h"

/* As in dist/tp.c. */
typedef enum { EXCHANGES, IS_ADDED, COLLECTS, IS_OVER } State;
typedef struct { Cost c; double ends; State state; bool collects; } Phase;

typedef struct {
    const PlanRank *r;
    const Lying *where;
    double  t, link, messages;
    int64_t waited, started;
    Phase   phase[UNDER_WAY];
} Line;

static Phase *number(Line *x, int64_t i) { return &x->phase[i % UNDER_WAY]; }

static void post(Line *x, Phase *p)
{
    x->t += p->c.post;
    x->link = fmax(x->t, x->link) + p->c.wire;
    p->ends = x->link + p->c.alpha;
    x->messages += p->c.messages;
}

static void wait_for(Line *x, const Phase *p) { x->t = fmax(x->t, p->ends) + p->c.land; }

static void added(Line *x, Phase *p)
{
    wait_for(x, p);
    p->state = p->collects ? IS_ADDED : IS_OVER;
}

static void go_on(Line *x)
{
    bool exchanging = false, collected = true;
    for (int64_t i = x->waited; i < x->started; i++) {
        Phase *p = number(x, i);
        if (p->state == EXCHANGES && !exchanging) {
            exchanging = p->ends > x->t;
            if (!exchanging)
                added(x, p);
        }
        if (p->state == IS_ADDED && collected) {
            post(x, p);
            p->state = COLLECTS;
        }
        collected &= !p->collects || p->state >= COLLECTS;
    }
}

static void starts(Line *x, const SumCall *s)
{
    const int tp = x->r->tp.size;
    Phase *p = number(x, x->started++);
    p->c = cluster_exchange(x->where->machine, x->where->ranks_node, tp, (int)min64(tp, x->where->ranks_node), 4 * (double)s->floats / tp);
    p->state = s->kind == SUM_GATHER ? IS_ADDED : EXCHANGES;
    p->collects = s->kind != SUM_SCATTER;
    if (p->state == EXCHANGES)
        post(x, p);
}

static void called(Line *x, const SumCall *s)
{
    go_on(x);
    if (s->kind != SUM_LOOK && s->kind != SUM_WAIT)
        starts(x, s);
    if (s->kind == SUM_GATHER)
        go_on(x);
    if (s->kind != SUM_WAIT)
        return;
    Phase *p = number(x, x->waited);
    if (p->state == EXCHANGES)
        added(x, p);
    go_on(x);
    if (p->state == COLLECTS)
        wait_for(x, p);
    x->waited++;
    go_on(x);
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
