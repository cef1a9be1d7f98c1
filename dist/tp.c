#include "dist/tp.h"

#include <limits.h>
#include <stdlib.h>

#include "core/ops.h"
#include "dist/comm.h"
#include "dist/zero.h"

enum { LISTS = 5 };

typedef struct {
    float *x, *room;
    int   *piece, *at;                             /* of x, by rank */
    int   *to, *from, *from_at;                    /* piece but this rank's; of room */
    CommOp op;                                     /* the exchange, then the collection */
} Sum;

/* Sums are numbered; number i is sum[i % SUMS_UNDER_WAY].  Those before `added` are on their way back. */
typedef struct TpSums {
    const Grid *g;
    int64_t waited, added, started;
    Sum sum[SUMS_UNDER_WAY];
    int list[];
} TpSums;

static const Grid *grid(const Tp *tp) { return tp->ctx; }

static void sum(Tp *tp, float *x, int64_t n) { comm_sum_f32(grid(tp)->tp, x, n); }
static void max(Tp *tp, float *x, int64_t n) { comm_max_f32(grid(tp)->tp, x, n); }

/* ---- in two phases ---- */

static TpSums *sums_open(const Grid *g)
{
    const int ranks = g->tp_size;
    TpSums *s = calloc(1, sizeof *s + sizeof(int) * LISTS * SUMS_UNDER_WAY * (size_t)ranks);
    CHECK(s, "no memory for sums over %d ranks", ranks);
    s->g = g;
    for (int i = 0; i < SUMS_UNDER_WAY; i++) {
        int *list = s->list + LISTS * i * ranks;
        s->sum[i] = (Sum){ .piece = list, .at = list + ranks, .to = list + 2 * ranks, .from = list + 3 * ranks, .from_at = list + 4 * ranks };
    }
    return s;
}

static int64_t border(int64_t n, int rank, int ranks) { return n * rank / ranks; }

void tp_sum_cost(int64_t *calls, int64_t *bytes, int64_t n, int rank, int ranks)
{
    const int64_t mine = border(n, rank + 1, ranks) - border(n, rank, ranks), away = n - mine, back = mine * (ranks - 1);
    *calls = (away > 0) + (back > 0);
    *bytes = (int64_t)sizeof(float) * (away + back);
}

static Sum *number(TpSums *s, int64_t i) { return &s->sum[i % SUMS_UNDER_WAY]; }

/* Everybody's addends of this rank's piece are here. */
static void add_up(TpSums *s)
{
    Sum *u = number(s, s->added++);
    const int me = s->g->tp_rank, n = u->piece[me], last = s->g->tp_size - 1;
    float *mine = u->x + u->at[me], *so_far = me == 0 ? mine : u->room + u->from_at[0];
    for (int r = 1; r <= last; r++) {
        float *to = r == last ? mine : so_far;
        op.add_fwd(to, so_far, r == me ? mine : u->room + u->from_at[r], n);
    }
    comm_collect_start(s->g->tp_collect, u->x, (CommPieces){ u->piece, u->at }, sizeof(float), &u->op);
}

static void go_on(TpSums *s)
{
    while (s->added < s->started && comm_test(&number(s, s->added)->op))
        add_up(s);
}

static void sum_start(Tp *tp, float *x, float *room, int64_t n)
{
    TpSums *s = grid(tp)->sums;
    const int me = tp->rank, ranks = tp->size;
    go_on(s);
    if (!x)
        return;
    CHECK(s->started < s->waited + SUMS_UNDER_WAY, "more than %d sums over tp under way", SUMS_UNDER_WAY);
    CHECK(n <= INT_MAX, "a sum of %lld floats over tp, more than %d", (long long)n, INT_MAX);
    Sum *u = number(s, s->started++);
    u->x = x;
    u->room = room;
    const int mine = (int)(border(n, me + 1, ranks) - border(n, me, ranks));
    for (int r = 0; r < ranks; r++) {
        u->at[r] = (int)border(n, r, ranks);
        u->piece[r] = (int)border(n, r + 1, ranks) - u->at[r];
        u->to[r] = r == me ? 0 : u->piece[r];
        u->from[r] = r == me ? 0 : mine;
        u->from_at[r] = (r - (r > me)) * mine;
    }
    comm_exchange_start(s->g->tp, x, (CommPieces){ u->to, u->at }, room, (CommPieces){ u->from, u->from_at }, sizeof *x, n, &u->op);
}

static void sum_wait(Tp *tp)
{
    TpSums *s = grid(tp)->sums;
    CHECK(s->waited < s->started, "a sum over tp is waited for that was not started");
    if (s->added == s->waited) {
        comm_wait(&number(s, s->added)->op);
        add_up(s);
    }
    go_on(s);
    comm_wait(&number(s, s->waited++)->op);
    go_on(s);
}

/* ---- the door ---- */

static void need(Tp *tp, int first, int last)
{
    if (tp->size > 1)
        go_on(grid(tp)->sums);
    zero_weights_need(grid(tp)->coming, first, last);
}

Tp tp_door(Grid *g)
{
    if (g->tp_size == 1)
        return (Tp){ 0, 1, 0, TP_ALONE.sum, TP_ALONE.max, TP_ALONE.sum_start, TP_ALONE.sum_wait, need, g };
    if (!g->sums)
        g->sums = sums_open(g);
    return (Tp){ g->tp_rank, g->tp_size, 0, sum, max, sum_start, sum_wait, need, g };
}
