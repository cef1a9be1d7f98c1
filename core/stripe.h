/*
 * stripe.h -- rows in two halves, so that one's sum over tp crosses the network while the other is computed
 *
 *     product of A | start the sum of A | product of B | start the sum of B | wait for A | all that A's rows need | start ... | wait for B ...
 *
 * What works on rows by themselves (norms, products, activations) follows stripe by stripe; attention needs them all.  The shape alone
 * decides: one rank has one stripe, and so have few rows.  A product of half the rows may round an element otherwise than one of all.
 *
 * Dims    N rows   C floats a row of what is summed
 * Source  Wang et al., ASPLOS 2023 (decomposed collectives); Domino, arXiv:2409.15241 (halves of a batch)
 * Tests   tests/dist/test_stripes.c
 */
#pragma once
#include "core/linear.h"
#include "core/ops.h"
#include "core/par.h"

typedef struct { int64_t at, n; } Stripe;      /* rows [at, at + n) */

/* A multiple of what products cut rows by; and the least floats that are worth a message of their own. */
enum { STRIPE_STEP = 48, STRIPE_LEAST = 1 << 16 };

static inline int stripes(const Tp *tp, int64_t N, int C)
{
    return tp->size > 1 && N * C >= 2 * STRIPE_LEAST && N >= 2 * STRIPE_STEP ? 2 : 1;
}

static inline Stripe stripe(int i, int n, int64_t N)
{
    const int64_t first = n == 1 ? N : N / 2 / STRIPE_STEP * STRIPE_STEP;
    return i == 0 ? (Stripe){ 0, first } : (Stripe){ first, N - first };
}

/* Rows s of out = x w^T + b */
static inline void stripe_linear(float *out, const float *x, const Linear *w, Stripe s)
{
    op.linear_fwd(out + s.at * w->O, x + s.at * w->I, w, s.n);
}

/* Rows s of x (N,C) begin to be summed over tp; room (N,C), or NULL where there is one rank. */
static inline void stripe_sum_start(Tp *tp, float *x, float *room, Stripe s, int C)
{
    tp->sum_start(tp, x + s.at * C, room ? room + s.at * C : room, s.n * C);
}
