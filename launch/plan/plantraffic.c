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

static void place(List *t, const char *name, int axis)
{
    ASSERT(t->n < PLACES);
    t->out[t->n++] = (Place){ .name = name, .axis = axis };
}

/* ---- tp: what the model asks for, once a micro-batch ---- */

static void asked(List *t)
{
    for (int k = 0; k < DRY_PLACES; k++) {
        const DrySums *s = &t->r->dry.sums[k];
        const int leaves = t->r->buckets.leaves;
        place(t, DRY_PLACE_NAME[k], AXIS_TP);
        if (s->calls)
            t->out[t->n - 1] = (Place){ DRY_PLACE_NAME[k], AXIS_TP, leaves * s->calls, (double)s->floats / (double)s->calls, leaves * s->bytes };
    }
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
    const bool zero1 = r->optim.setup.zero1;
    const int64_t norm = EXACT_WORDS * (int64_t)sizeof(int64_t);
    MatricesBytes muon;
    List t = { r, out, 0 };
    optim_bytes(&r->optim, &muon);
    asked(&t);
    sent(&t, "Muon", AXIS_TP, 0, muon.tp);
    sent(&t, "norm", AXIS_TP, 1, zero1 ? 0 : comm_sum_bytes(norm, r->tp.size));
    sent(&t, "gradients", AXIS_DP, 0, buckets_bytes(&r->optim.zero, &r->buckets));
    sent(&t, "new weights", AXIS_DP, 0, zero_weights_bytes(&r->optim.zero));
    sent(&t, "Muon", AXIS_DP, 0, muon.dp);
    sent(&t, "Muon", AXIS_WORLD, 0, muon.world);
    sent(&t, "losses", AXIS_WORLD, 1, comm_sum_bytes(N_LOSSES * norm, ranks));
    sent(&t, "norm", AXIS_WORLD, 1, zero1 ? comm_sum_bytes(norm, ranks) : 0);
    sent(&t, "targets, requests", AXIS_WORLD, 1, comm_sum_bytes(sizeof(Tally), ranks));
    int n = 0;
    for (int i = 0; i < t.n; i++)
        if (out[i].bytes)
            out[n++] = out[i];
    return n;
}
