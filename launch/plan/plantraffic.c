/* plantraffic.c -- every place of a step where ranks send something, and how much (plan.h) */
#include "launch/plan/plan.h"

#include "core/exact.h"
#include "dist/comm.h"
#include "launch/step.h"

typedef struct {
    const PlanRank *r;
    Place *out;
    int    n;
} List;

static void sent(List *t, const char *name, int axis, int64_t calls, int64_t bytes)
{
    if (bytes == 0)
        return;
    ASSERT(t->n < PLACES);
    t->out[t->n++] = (Place){ name, axis, calls, 0, bytes, false };
}

static void asked_at(List *t, int place, const DrySums *s, bool begun)
{
    const int leaves = t->r->buckets.leaves;
    sent(t, DRY_PLACE_NAME[place], AXIS_TP, leaves * s->calls, leaves * s->bytes);
    if (s->bytes) {
        t->out[t->n - 1].each = (double)s->floats / (double)s->calls;
        t->out[t->n - 1].begun = begun;
    }
}

/* What the model asks for, once a micro-batch. */
static void asked(List *t)
{
    for (int k = 0; k < DRY_PLACES; k++) {
        asked_at(t, k, &t->r->dry.sums[k], false);
        asked_at(t, k, &t->r->dry.begun[k], true);
    }
}

int plan_places(const PlanRank *r, Place out[PLACES])
{
    const int ranks = r->replicas * r->tp.size;
    const int64_t norm = EXACT_WORDS * (int64_t)sizeof(int64_t);
    MatricesBytes muon;
    List t = { r, out, 0 };
    optim_bytes(&r->optim, &muon);
    asked(&t);
    sent(&t, "Muon", AXIS_TP, 0, muon.tp);
    sent(&t, "gradients", AXIS_DP, 0, buckets_bytes(&r->optim.zero, &r->buckets));
    sent(&t, "new weights", AXIS_DP, 0, zero_weights_bytes(&r->optim.zero));
    sent(&t, "Muon", AXIS_DP, 0, muon.dp);
    sent(&t, "Muon", AXIS_WORLD, 0, muon.world);
    sent(&t, "losses", AXIS_WORLD, 1, comm_sum_bytes(N_LOSSES * norm, ranks));
    sent(&t, "norm", AXIS_WORLD, 1, comm_sum_bytes(norm, ranks));
    sent(&t, "targets, requests", AXIS_WORLD, 1, comm_sum_bytes(sizeof(Tally), ranks));
    return t.n;
}
