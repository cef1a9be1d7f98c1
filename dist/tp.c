#include "dist/tp.h"

#include <limits.h>
#include <stdlib.h>

#include "core/join.h"
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
    Sum sum[SUMS_UNDER_WAY], now;                  /* now: of a sum that is waited for at once */
    float **addend;                                /* (ranks) */
    Addition *add;                                 /* (ranks - 1) */
    float *room;                                   /* of `now`: a piece, and what does not divide */
} TpSums;

static const Grid *grid(const Tp *tp) { return tp->ctx; }

static void max(Tp *tp, float *x, int64_t n) { comm_max_f32(grid(tp)->tp, x, n); }

/* One block of memory, which grid_close frees. */
static TpSums *sums_open(const Grid *g)
{
    const int ranks = g->tp_size;
    const size_t r = (size_t)ranks, ints = LISTS * (SUMS_UNDER_WAY + 1) * r;
    TpSums *s = calloc(1, sizeof *s + ints * sizeof(int) + r * (sizeof(float *) + sizeof(Addition)) + (TP_PIECE + r) * sizeof(float));
    CHECK(s, "no memory for sums over %d ranks", ranks);
    s->g = g;
    s->addend = (float **)(s + 1);
    s->add = (Addition *)(s->addend + ranks);
    s->room = (float *)(s->add + ranks);
    join_additions(s->add, ranks);
    int *lists = (int *)(s->room + TP_PIECE + ranks);
    for (int i = 0; i <= SUMS_UNDER_WAY; i++) {
        int *list = lists + LISTS * i * ranks;
        *(i < SUMS_UNDER_WAY ? &s->sum[i] : &s->now) =
            (Sum){ .piece = list, .at = list + ranks, .to = list + 2 * ranks, .from = list + 3 * ranks, .from_at = list + 4 * ranks };
    }
    return s;
}

/* ---- the parts of a sum ---- */

static int64_t border(int64_t n, int rank, int ranks) { return n * rank / ranks; }

void tp_sum_cost(int64_t *calls, int64_t *bytes, int64_t n, int rank, int ranks)
{
    const int64_t mine = border(n, rank + 1, ranks) - border(n, rank, ranks), away = n - mine, back = mine * (ranks - 1);
    *calls = (away > 0) + (back > 0);
    *bytes = (int64_t)sizeof(float) * (away + back);
}

static void exchange(const TpSums *s, Sum *u, float *x, float *room, int64_t n)
{
    const int me = s->g->tp_rank, ranks = s->g->tp_size, mine = (int)(border(n, me + 1, ranks) - border(n, me, ranks));
    u->x = x;
    u->room = room;
    for (int r = 0; r < ranks; r++) {
        u->at[r] = (int)border(n, r, ranks);
        u->piece[r] = (int)border(n, r + 1, ranks) - u->at[r];
        u->to[r] = r == me ? 0 : u->piece[r];
        u->from[r] = r == me ? 0 : mine;
        u->from_at[r] = (r - (r > me)) * mine;
    }
    comm_exchange_start(s->g->tp, x, (CommPieces){ u->to, u->at }, room, (CommPieces){ u->from, u->from_at }, sizeof *x, n, &u->op);
}

/* Everybody's addends of this rank's piece are here; the sum goes to everybody. */
static void add_up(const TpSums *s, Sum *u, MPI_Comm comm)
{
    const int me = s->g->tp_rank, ranks = s->g->tp_size;
    float *mine = u->x + u->at[me];
    for (int r = 0; r < ranks; r++)
        s->addend[r] = r == me ? mine : u->room + u->from_at[r];
    op.sum_tree(mine, s->addend, s->add, ranks - 1, u->piece[me]);
    comm_collect_start(comm, u->x, (CommPieces){ u->piece, u->at }, sizeof(float), &u->op);
}

/* ---- waited for at once ---- */

/* Everybody gets all addends. */
static void gather_and_add(const TpSums *s, Sum *u, float *x, int n)
{
    const int me = s->g->tp_rank, ranks = s->g->tp_size;
    for (int r = 0; r < ranks; r++) {
        u->piece[r] = n;
        u->at[r] = r * n;
        s->addend[r] = s->room + r * n;
    }
    op.copy(s->addend[me], x, n);
    comm_collect_start(s->g->tp, s->room, (CommPieces){ u->piece, u->at }, sizeof *x, &u->op);
    comm_wait(&u->op);
    op.sum_tree(x, s->addend, s->add, ranks - 1, n);
}

/* All of it on the communicator where exchanges start: there the order is the model's. */
static void sum(Tp *tp, float *x, int64_t n)
{
    TpSums *s = grid(tp)->sums;
    for (int64_t some; n > 0; n -= some, x += some) {
        some = min64(n, TP_PIECE);
        if (tp_sum_short(some, tp->size)) {
            gather_and_add(s, &s->now, x, (int)some);
            continue;
        }
        exchange(s, &s->now, x, s->room, some);
        comm_wait(&s->now.op);
        add_up(s, &s->now, s->g->tp);
        comm_wait(&s->now.op);
    }
}

/* ---- in two phases ---- */

static Sum *number(TpSums *s, int64_t i) { return &s->sum[i % SUMS_UNDER_WAY]; }

static void add_next(TpSums *s) { add_up(s, number(s, s->added++), s->g->tp_collect); }

static void go_on(TpSums *s)
{
    while (s->added < s->started && comm_test(&number(s, s->added)->op))
        add_next(s);
}

static void sum_start(Tp *tp, float *x, float *room, int64_t n)
{
    TpSums *s = grid(tp)->sums;
    go_on(s);
    if (!x)
        return;
    CHECK(s->started < s->waited + SUMS_UNDER_WAY, "more than %d sums over tp under way", SUMS_UNDER_WAY);
    CHECK(n <= INT_MAX, "a sum of %lld floats over tp, more than %d", (long long)n, INT_MAX);
    exchange(s, number(s, s->started++), x, room, n);
}

static void sum_wait(Tp *tp)
{
    TpSums *s = grid(tp)->sums;
    CHECK(s->waited < s->started, "a sum over tp is waited for that was not started");
    if (s->added == s->waited) {
        comm_wait(&number(s, s->added)->op);
        add_next(s);
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

Tp tp_door(Grid *g, int blocks)
{
    const int ranks = g->tp_size, leaves = blocks / ranks;
    CHECK(blocks >= 0 && blocks <= MAX_LEAVES && (blocks & (blocks - 1)) == 0, "sums over tp of %d blocks: no power of two up to %d", blocks,
          MAX_LEAVES);
    CHECK(leaves * ranks == blocks, "sums over tp of %d blocks do not divide among %d tensor-parallel ranks", blocks, ranks);
    if (ranks == 1)
        return (Tp){ 0, 1, leaves, TP_ALONE.sum, TP_ALONE.max, TP_ALONE.sum_start, TP_ALONE.sum_wait, need, g };
    if (!g->sums)
        g->sums = sums_open(g);
    return (Tp){ g->tp_rank, ranks, leaves, sum, max, sum_start, sum_wait, need, g };
}
