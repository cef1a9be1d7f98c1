/* planranks.c -- the most ranks of a job that a configuration can use (plan.h) */
#include <stdio.h>

#include "launch/plan/plan.h"

int plan_replicas_most(const Config *c, int most)
{
    const int batches = c->train.global_batch / c->train.micro_batch;
    int n = c->train.global_batch % c->train.micro_batch ? 0 : (int)min64(batches, most);
    while (n > 0 && batches % n)
        n--;
    return n;
}

bool plan_ranks(const Config *c, const ModelConf *m, int most, Err *e)
{
    char why[512];
    const int tp = c->parallel.tp, replicas = plan_replicas_most(c, most / tp), ranks = replicas * tp;
    if (!model_divides(m, tp, why, sizeof why))
        return err_set(e, EXIT_CONFIG, "parallel.tp", "", "%s", why);
    if (c->train.global_batch % c->train.micro_batch)
        return err_set(e, EXIT_CONFIG, "train.micro_batch", "", "train.global_batch = %d is no multiple of train.micro_batch = %d",
                       c->train.global_batch, c->train.micro_batch);
    if (ranks == 0)
        return err_set(e, EXIT_CONFIG, "plan.ranks", "start more ranks, or --set parallel.tp=1",
                       "parallel.tp = %d wants at least %d ranks, not %d", tp, tp, most);
    printf("ranks %d: %d replica%s of %d, %d of %d left idle\n", ranks, replicas, replicas == 1 ? "" : "s", tp, most - ranks, most);
    return true;
}
