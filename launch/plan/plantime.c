/* plantime.c -- the time of a step from the rates of a machine (plan.h)
 *
 *     forward, backward   flops / (sgemm x the share of it that bench reached in that pass)
 *     sums, optimizer     bytes / the rate of AdamW; Muon's products as forward's
 *     tp                  each sum as long as one of its size took alone, times how much longer sums took in a step (shorter, where they hide)
 *     dp                  bytes / the rate of the reduction alone, less the share that backward hid, of one micro-batch at most
 *     rest                in proportion to all that, what bench's own step took beyond it: norms, softmax and other small
 *                         operations that do not follow from flops, and ranks that wait for the slowest
 *
 * What it cannot know: products of other shapes reach another share, and data, logging and checkpoints take their time, too.
 */
#include "launch/plan/plan.h"

#include <math.h>

#include "dist/comm.h"

/* What this rank updates of tensor i, in elements. */
static double updated(const PlanRank *r, int i) { return (double)optim_held(&r->optim, i); }

/* Zeroed once; each micro-batch but the last is put aside, cleared, and added to a later one; or each is added to one sum of 8 bytes, which
   only the first need not read, and cleared but for the last. */
double plan_bytes_sums(const PlanRank *r)
{
    const int more = r->buckets.leaves - 1;
    const double canonical = more * (8 + 4 + 12), exact = more ? 12 + more * (20 + 4) : 0;
    if (buckets_times(&r->buckets) > 1)                 /* each is zeroed, and added to 1 / replicas of it at its owner */
        return (double)r->model.table.grads * (more + 1) * (4 + (r->buckets.reduction == REDUCE_EXACT ? 24.0 : 12.0) / r->replicas);
    return (double)r->model.table.grads * (4 + (r->buckets.reduction == REDUCE_CANONICAL ? canonical : r->buckets.reduction == REDUCE_EXACT ? exact : 0));
}

/* The norm reads; AdamW reads w, m, v, g and writes w, m, v; Muon's blends read and write about ten times. */
static double bytes_update(const PlanRank *r)
{
    double bytes = 0;
    for (int i = 0; i < r->model.table.n; i++)
        bytes += updated(r, i) * (4 + (r->optim.muon[i] ? 40 : 28));
    return bytes;
}

/* One sum of so many bytes: between the sizes that were measured in a straight line, beyond them by the last one's rate. */
static double one_sum(const PlanRank *r, const Rates *m, double bytes)
{
    const double *size = m->tp_size, *t = m->tp_seconds;
    const double others = (1 - 1.0 / r->tp.size) / (1 - 1.0 / m->tp);       /* of other numbers of ranks */
    int i = 1;
    if (bytes <= size[0])
        return t[0];
    if (bytes >= size[TP_SIZES - 1])
        return others * t[TP_SIZES - 1] * bytes / size[TP_SIZES - 1];
    while (bytes > size[i])
        i++;
    return others * (t[i - 1] + (t[i] - t[i - 1]) * (bytes - size[i - 1]) / (size[i] - size[i - 1]));
}

double plan_time_sums(const PlanRank *r, const Rates *rates)
{
    Place place[PLACES];
    double t = 0;
    const int n = plan_places(r, place);
    for (int i = 0; i < n && rates->tp > 1; i++)
        if (place[i].axis == AXIS_TP)
            t += (double)place[i].calls * one_sum(r, rates, 4 * place[i].each);
    return t;
}

Seconds plan_time(const PlanRank *r, const Rates *rates)
{
    const Flops f = r->dry.sample;
    const double samples = (double)r->c->train.micro_batch * r->buckets.leaves;
    Seconds s = { .forward = samples * f.early / (rates->sgemm * rates->forward),
                  .backward = samples * (f.step - f.early) / (rates->sgemm * rates->backward),
                  .sums = plan_bytes_sums(r) / rates->memory,
                  .tp = plan_time_sums(r, rates) * rates->tp_wait };
    MatricesBytes muon;
    optim_bytes(&r->optim, &muon);
    s.optimizer = bytes_update(r) / rates->memory + muon.flops / (rates->sgemm * rates->forward);
    if (r->replicas > 1 && rates->dp_bytes > 0) {
        const double bytes = (double)(buckets_bytes(&r->optim.zero, &r->buckets) + zero_weights_bytes(&r->optim.zero) + muon.dp + muon.world);
        s.hidden = fmin(rates->dp_hidden * bytes / rates->dp_bytes, s.backward / r->buckets.leaves * buckets_times(&r->buckets));
        s.dp = bytes / rates->dp_bytes - s.hidden;
    }
    s.step = s.forward + s.backward + s.sums + s.optimizer + s.tp + s.dp;
    s.rest = (rates->rest - 1) * s.step;
    s.step += s.rest;
    return s;
}
