/*
 * op_parts.h -- operands that are parts of others, and bits that must be equal: for tests of what must not depend on which parts are here
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/op_case.h"

static inline float *some(int64_t n, uint64_t stream)
{
    float *x = buffer(n);
    fill(x, n, stream);
    return x;
}

static inline void equal(const char *what, const float *got, const float *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(got + i, want + i, sizeof *got))
            fail_msg("%s: element %lld is %a, not %a", what, (long long)i, (double)got[i], (double)want[i]);
}

/* out (N,n) <- columns [first, first + n) of x (N,all) */
static inline void part_of(float *out, const float *x, int64_t N, int all, int first, int n)
{
    for (int64_t r = 0; r < N; r++)
        memcpy(out + r * n, x + r * all + first, (size_t)n * sizeof *x);
}

static inline void free_all(float **x, int n)
{
    for (int i = 0; i < n; i++)
        free(x[i]);
}

/* ---- attention forward and backward ---- */

typedef struct { int H, K, D; float *q, *k, *v, *datt, *att, *lse, *dq, *dk, *dv; } Attention;

static inline Attention attention_room(int64_t rows, int H, int K, int D)
{
    const int64_t q = rows * H * D, k = rows * K * D;
    return (Attention){ H, K, D, some(q, 1), some(k, 2), some(k, 3), some(q, 4), buffer(q), buffer(rows * H), buffer(q), buffer(k), buffer(k) };
}

static inline void attention_free(Attention *a)
{
    free_all((float *[]){ a->q, a->k, a->v, a->datt, a->att, a->lse, a->dq, a->dk, a->dv }, 9);
}

static inline void attend(const Ops *o, Attention *a, int B, const int32_t *start, int mask, int leaves)
{
    o->attention_fwd(a->att, a->lse, a->q, a->k, a->v, B, start, start, a->H, a->K, a->D, mask);
    o->attention_bwd(a->dq, a->dk, a->dv, a->datt, a->att, a->lse, a->q, a->k, a->v, B, start, start, a->H, a->K, a->D, mask, leaves);
}
