#include "launch/scaling/predict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "launch/bench/synthetic.h"

/* A measured point that sets rates, for so many threads, on a grid with or without replicas and tp; it may have more axes than are needed. */
static const Point *source(const Series *s, int threads, bool dp, bool tp, Rates *out)
{
    const Point *best = NULL;
    int wrong = 9;
    for (int i = 0; i < s->first; i++) {
        const Point *p = &s->p[i];
        const int odd = ((p->ranks > p->tp) != dp) + ((p->tp > 1) != tp);
        if (p->state == POINT_DONE && p->threads == threads && odd < wrong && (!tp || p->tp > 1) && (tp || !dp || p->ranks > p->tp)) {
            best = p;
            wrong = odd;
        }
    }
    char dir[PATH_ROOM];
    Err none = { 0 };
    return best && point_path(s, best, "", dir, &none) && rates_read(out, dir, &none) ? best : NULL;
}

static void stretch(Seconds *t, double factor)
{
    double *x[] = { &t->forward, &t->backward, &t->sums, &t->optimizer, &t->tp, &t->dp, &t->hidden, &t->rest, &t->step };
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        *x[i] *= factor;
}

void predict(const Series *s, Point *p)
{
    static PlanRank rank;                                   /* a large structure */
    static Config c;
    char trainable[CONFIG_STRING];
    Rates rates, of_dp;
    const int replicas = p->ranks / p->tp;
    const Point *from = source(s, p->threads, replicas > 1, p->tp > 1, &rates), *other = from;
    if (!from)
        return;
    if (replicas > 1 && rates.dp == 1) {
        other = source(s, p->threads, true, false, &of_dp);
        if (!other)
            return;
        rates.dp_bytes = of_dp.dp_bytes;
        rates.dp_hidden = of_dp.dp_hidden;
    }
    point_config(s, p, &c);
    const RunShape shape = synthetic_shape(&c);
    const ModelConf conf = run_conf(&c, &shape, trainable);
    if (plan_rank(&rank, &c, &conf, replicas, replicas, p->tp)) {
        p->want = plan_time(&rank, &rates);
        stretch(&p->want, fmax(1, p->shared) / fmax(1, from->shared));
        if (other == from)
            snprintf(p->rates, sizeof p->rates, "%s", from->name);
        else
            snprintf(p->rates, sizeof p->rates, "%.46s+%.46s", from->name, other->name);
    }
    plan_rank_close(&rank);
}
