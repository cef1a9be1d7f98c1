/* stepshares.c -- what replicas share, as the first lines of a run say it (step.h) */
#include "launch/step.h"

const char *step_shared(const Run *r)
{
    static const char *const SHARED[] = { "", "; moments shared among replicas", "; gradients and moments shared among replicas" };
    return SHARED[r->grid.dp_size > 1 ? r->c->parallel.zero : 0];
}

void step_say_waiting(const Run *r)
{
    BucketConf b = run_buckets(r->c, &r->grid.levels);
    const double mib = 1 << 20, waits = (double)buckets_waiting(&r->optim.zero, &b) / mib;
    const bool whole = b.reduction == REDUCE_CANONICAL;
    b.reduction = REDUCE_EXACT;
    if (!b.drop || b.leaves == 1)
        return;
    log_line(r->log, "%d micro-batches of a replica a step: their sums %s and take %.0f MiB", b.leaves, whole ? "wait whole" : "are of its share", waits);
    if (whole)
        log_line(r->log, "with parallel.reduction = \"exact\" they would be of its share and take %.0f MiB",
                 (double)buckets_waiting(&r->optim.zero, &b) / mib);
}
