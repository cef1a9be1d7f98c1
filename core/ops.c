#include "core/ops.h"

#include "core/blas.h"
#include "core/meanwhile.h"

Ops op;

static void nothing(void) {}

void (*meanwhile)(void) = nothing;

/* No member of Ops may be missing in the list. */
#define ONE(f) + 1
_Static_assert(sizeof(Ops) == sizeof(char *) + (0 OPS_LIST(ONE)) * sizeof(void (*)(void)), "OPS_LIST is not all of Ops");
#undef ONE

void ops_overlay(const Ops *some)
{
    if (some->name)
        op.name = some->name;
#define TAKE_OVER(f)  \
    if (some->f)      \
        op.f = some->f;
    OPS_LIST(TAKE_OVER)
#undef TAKE_OVER
}

void ops_use(const Ops *fast, int threads)
{
    op = OPS_REF;
    if (fast)
        ops_overlay(fast);
    ops_threads(threads);
}

void ops_threads(int threads)
{
    blas_threads(1);                        /* its bits depend on how many it has: threads are ours to deal (cpu_product.c) */
    omp_set_num_threads(threads);
}
