/*
 * stripe.h -- rows in two halves, so that one's sum over tp crosses the network while the other is computed; rows in shares
 *
 *     product of A | start the sum of A | product of B | start the sum of B | wait for A | all that A's rows need | start ... | wait for B ...
 *
 * What works on rows by themselves (norms, products, activations) follows stripe by stripe; attention needs them all.  The shape alone
 * decides: one rank has one stripe, and so have few rows.  A product of half the rows may round an element otherwise than one of all.
 *
 * With tp->sequence (parallel.sequence) each rank keeps a share of each stripe's rows, of what is not split otherwise: residuals, norms and
 * their tape.  A block's sum is then a scatter, of which a rank gets its share's rows, and behind the norm a gather of all ranks' rows:
 *
 *     rows of a stripe    |  rank 0  |  rank 1  |  rank 2  |  rank 3  |       a rank's tape: |its share of A|its share of B|
 *
 * A norm's weights have a gradient that is a sum over rows.  It is one of leaves (linear.h), each of so many rows of a stripe, and a share is
 * a run of leaves: so its bits depend neither on tp nor on who keeps which rows.
 *
 * Dims    N rows   C floats a row of what is summed
 * Source  Wang et al., ASPLOS 2023 (decomposed collectives); Domino, arXiv:2409.15241 (halves of a batch);
 *         Korthikanti et al., arXiv:2205.05198, section 4.2.2 (sequence parallelism)
 * Tests   tests/dist/test_stripes.c, tests/dist/test_sequence.c
 */
#pragma once
#include "core/lora.h"
#include "core/ops.h"
#include "core/par.h"

typedef struct { int64_t at, n; } Stripe;      /* rows [at, at + n) */

/* A multiple of what products cut rows by; and the least floats that are worth a message of their own. */
enum { STRIPE_STEP = 48, STRIPE_LEAST = 1 << 16 };

/* How many the rows of any rank make, for sums of their own (norms' weights); and for those over tp. */
static inline int halves(int64_t N, int C) { return N * C >= 2 * STRIPE_LEAST && N >= 2 * STRIPE_STEP ? 2 : 1; }
static inline int stripes(const Tp *tp, int64_t N, int C) { return tp->size > 1 ? halves(N, C) : 1; }

static inline Stripe stripe(int i, int n, int64_t N)
{
    const int64_t first = n == 1 ? N : N / 2 / STRIPE_STEP * STRIPE_STEP;
    return i == 0 ? (Stripe){ 0, first } : (Stripe){ first, N - first };
}

/* ---- shares ---- */

/* Of a stripe's rows [at, at + n) this rank keeps, from row `here` on of what it keeps of all; without tp->sequence all of them. */
typedef struct { int64_t at, n, here; } Share;

/* Rows of a leaf, and of a share but the last ones, of n rows. */
static inline int64_t leaf_rows(const Tp *tp, int64_t n) { return tp->leaves ? ceil_div(n, (int64_t)tp->size * tp->leaves) : 0; }
static inline int64_t share_rows(const Tp *tp, int64_t n) { return tp->leaves ? leaf_rows(tp, n) * tp->leaves : ceil_div(n, tp->size); }

static inline Share share_of(const Tp *tp, Stripe s, int64_t here)
{
    const int64_t each = share_rows(tp, s.n), from = min64(s.n, tp->rank * each);
    return tp->sequence ? (Share){ s.at + from, min64(s.n, from + each) - from, here } : (Share){ s.at, s.n, s.at };
}

static inline Share share(const Tp *tp, int i, int n, int64_t N)
{
    return share_of(tp, stripe(i, n, N), i ? share_of(tp, stripe(0, n, N), 0).n : 0);
}

/* Rows that a rank keeps of N or fewer, in one stripe or two, at most; rows of room for their sums. */
static inline int64_t kept_rows(const Tp *tp, int64_t N) { return tp->sequence ? share_rows(tp, N) + max64(1, tp->leaves) : N; }
static inline int64_t room_rows(const Tp *tp, int64_t N) { return tp->sequence ? (tp->size - 1) * kept_rows(tp, N) : tp->size > 1 ? N : 0; }

/* ---- products and sums of a stripe ---- */

/* Rows s of out = x w^T + b */
static inline void stripe_linear(float *out, const float *x, const Linear *w, Stripe s)
{
    lora_fwd(out + s.at * w->O, x + s.at * w->I, w, s.n);
}

/* Rows s of x (N,C) begin to be summed over tp; room (N,C), or NULL where there is one rank. */
static inline void stripe_sum_start(Tp *tp, float *x, float *room, Stripe s, int C)
{
    tp->sum_start(tp, x + s.at * C, room ? room + s.at * C : room, s.n * C);
}

/* The same of stripe i of n, for those who keep its rows; room (room_rows,C). */
static inline void share_sum_start(Tp *tp, float *x, float *room, int i, int n, int64_t N, int C)
{
    const Stripe s = stripe(i, n, N);
    const int64_t before = i ? (tp->size - 1) * share_rows(tp, stripe(0, n, N).n) : 0;
    if (tp->sequence)
        tp->scatter_start(tp, x + s.at * C, room + before * C, s.n * C, share_rows(tp, s.n) * C);
    else
        stripe_sum_start(tp, x, room, s, C);
}

/* What each rank has of stripe i of x (N,C), the rows it keeps, begins to come to all, and is there after the wait. */
static inline void share_gather_start(Tp *tp, float *x, int i, int n, int64_t N, int C)
{
    const Stripe s = stripe(i, n, N);
    if (tp->sequence)
        tp->gather_start(tp, x + s.at * C, s.n * C, share_rows(tp, s.n) * C);
}

/* Turns of a loop over stripes that a gather has to cross before it is waited for. */
static inline int share_lag(const Tp *tp) { return tp->sequence; }

static inline void share_gather_wait(Tp *tp)
{
    if (tp->sequence)
        tp->wait(tp);
}
