/* ref_table.c -- the table itself */
#include "core/ref/ref.h"

#include <stdlib.h>

#define MEMBER(f) .f = ref_##f,
const Ops OPS_REF = { .name = "ref", OPS_LIST(MEMBER) };

double *ref_buffer(int64_t n)
{
    double *p = malloc((size_t)max64(n, 1) * sizeof *p);
    CHECK(p, "no memory for %lld doubles of the reference ops", (long long)n);
    return p;
}
