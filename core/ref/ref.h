/*
 * ref.h -- the reference backend, op by op: naive loops, sums in double, one thread
 *
 * ref_f implements the member f of Ops; its prototype and its contract are those of core/ops.h.
 * Sums over rows that an index array chooses (embed_bwd, scatter_add, ...) run in float, in row order.
 * Tests: tests/core/test_ops*.c (finite differences, invariants)
 */
#pragma once
#include "core/ops.h"

#define REF_PROTOTYPE(f) __typeof__(*((Ops *)0)->f) ref_##f;
OPS_LIST(REF_PROTOTYPE)
#undef REF_PROTOTYPE

/* Three members to lay over these: products with a weight whose operands are rounded to bf16 (core/dnnl/bf16.h). */
extern const Ops OPS_REF_BF16;

static inline double ref_dot(const float *a, const float *b, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += (double)a[i] * b[i];
    return s;
}

/* n doubles, to be freed; the reference is the one backend that allocates. */
double *ref_buffer(int64_t n);
