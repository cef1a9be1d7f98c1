#include "core/ops.h"

#include "core/blas.h"

#include <omp.h>
#include <string.h>

Ops op;

/* Ops is a name and function pointers only, so the overlay can walk it as an array of pointers. */
void ops_overlay(const Ops *some)
{
    char *to = (char *)&op;
    const char *from = (const char *)some;
    for (size_t at = 0; at < sizeof op; at += sizeof(void *)) {
        void *member;
        memcpy(&member, from + at, sizeof member);
        if (member)
            memcpy(to + at, &member, sizeof member);
    }
}

void ops_use(const Ops *fast, int threads)
{
    op = OPS_REF;
    if (fast)
        ops_overlay(fast);
    blas_threads(1);                        /* its bits depend on how many it has: threads are ours to deal (cpu_product.c) */
    omp_set_num_threads(threads);
}
