#include "dist/tp.h"

#include <limits.h>
#include <stdlib.h>

#include "core/join.h"
#include "core/ops.h"
#include "dist/comm.h"
#include "dist/zero.h"

enum { LISTS = 5 };

/* Addends cross; the sums of pieces are here, or were from the start; pieces cross; there is no more to do. */
typedef enum { EXCHANGES, IS_ADDED, COLLECTS, IS_OVER } State;

typedef struct {
    float *x, *room;
    int   *piece, *at;                             /* of x, by rank */
    int   *to, *from, *from_at;                    /* piece but this rank's; of room */
    State  state;
    bool   collects;                               /* not so a scatter */
    CommOp op;                                     /* the exchange, then the collection */
} Sum;

/* What is under way is numbered; number i is sum[i % UNDER_WAY]. */
typedef struct TpSums {
    const Grid *g;
    int64_t waited, started;
    Sum sum[UNDER_WAY], now;                       /* now: of a sum that is waited for at once */
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
    const size_t r = (size_t)ranks, ints = LISTS * (UNDER_WAY + 1) * r;
    TpSums *s = calloc(1, sizeof *s + ints * sizeof(int) + r * (sizeof(float *) + sizeof(Addition)) + (TP_PIECE + r) * sizeof(float));
    CHECK(s, "no memory for sums over %d ranks", ranks);
    s->g = g;
    s->addend = (float **)(s + 1);
    s->add = (Addition *)(s->addend + ranks);
    s->room = (float *)(s->add + ranks);
    join_additions(s->add, ranks);
    int *lists = (int *)(s->room + TP_PIECE + ranks);
    for (int i = 0; i <= UNDER_WAY; i++) {
        int *list = lists + LISTS * i * ranks;
        *(i < UNDER_WAY ? &s->sum[i] : &s->now) =
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

void tp_scatter_cost(int64_t *calls, int64_t *bytes, int64_t n, int64_t each, int rank)
{
    const int64_t away = n - (min64(n, (rank + 1) * each) - min64(n, rank * each));
    *calls = away > 0;
    *bytes = (int64_t)sizeof(float) * away;
}

void tp_gather_cost(int64_t *calls, int64_t *bytes, int64_t n, int64_t each, int rank, int ranks)
{
    const int64_t back = (min64(n, (rank + 1) * each) - min64(n, rank * each)) * (ranks - 1);
    *calls = back > 0;
    *bytes = (int64_t)sizeof(float) * back;
}

/* Pieces of n floats, as equal as can be, or `each` (not 0) for every rank while there are such. */
static void cut(const TpSums *s, Sum *u, float *x, int64_t n, int64_t each)
{
    const int ranks = s->g->tp_size;
    CHECK(n <= INT_MAX, "%lld floats to sum over tp at once, more than %d", (long long)n, INT_MAX);
    u->x = x;
    for (int r = 0; r < ranks; r++) {
        u->at[r] = (int)(each ? min64(n, r * each) : border(n, r, ranks));
        u->piece[r] = (int)(each ? min64(n, (r + 1) * each) : border(n, r + 1, ranks)) - u->at[r];
    }
}

static void exchange(const TpSums *s, Sum *u, float *room, int64_t n)
{
    const int me = s->g->tp_rank, ranks = s->g->tp_size, mine = u->piece[me];
    u->room = room;
    for (int r = 0; r < ranks; r++) {
        u->to[r] = r == me ? 0 : u->piece[r];
        u->from[r] = r == me ? 0 : mine;
        u->from_at[r] = (r - (r > me)) * mine;
    }
    comm_exchange_start(s->g->tp, u->x, (CommPieces){ u->to, u->at }, room, (CommPieces){ u->from, u->from_at }, sizeof(float), n, &u->op);
}

/* Everybody's addends of this rank's piece are here. */
static void add_up(const TpSums *s, Sum *u)
{
    const int me = s->g->tp_rank, ranks = s->g->tp_size;
    float *mine = u->x + u->at[me];
    for (int r = 0; r < ranks; r++)
        s->addend[r] = r == me ? mine : u->room + u->from_at[r];
    op.sum_tree(mine, s->addend, s->add, ranks - 1, u->piece[me]);
}

static void collect(Sum *u, MPI_Comm comm) { comm_collect_start(comm, u->x, (CommPieces){ u->piece, u->at }, sizeof(float), &u->op); }

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
        cut(s, &s->now, x, some, 0);
        exchange(s, &s->now, s->room, some);
        comm_wait(&s->now.op);
        add_up(s, &s->now);
        collect(&s->now, s->g->tp);
        comm_wait(&s->now.op);
    }
}

/* ---- in two phases ---- */

static Sum *number(TpSums *s, int64_t i) { return &s->sum[i % UNDER_WAY]; }

static void added(TpSums *s, Sum *u)
{
    add_up(s, u);
    u->state = u->collects ? IS_ADDED : IS_OVER;
}

/* Exchanges end in their order.  Collections begin in theirs, which is not held up by a scatter. */
static void go_on(TpSums *s)
{
    bool exchanging = false, collected = true;
    for (int64_t i = s->waited; i < s->started; i++) {
        Sum *u = number(s, i);
        if (u->state == EXCHANGES && !exchanging) {
            exchanging = !comm_test(&u->op);
            if (!exchanging)
                added(s, u);
        }
        if (u->state == IS_ADDED && collected) {
            collect(u, s->g->tp_collect);
            u->state = COLLECTS;
        }
        collected &= !u->collects || u->state >= COLLECTS;
    }
}

static Sum *next(TpSums *s, float *x, int64_t n, int64_t each)
{
    CHECK(s->started < s->waited + UNDER_WAY, "more than %d sums over tp under way", UNDER_WAY);
    Sum *u = number(s, s->started++);
    cut(s, u, x, n, each);
    return u;
}

static void sum_start(Tp *tp, float *x, float *room, int64_t n)
{
    TpSums *s = grid(tp)->sums;
    go_on(s);
    if (!x)
        return;
    Sum *u = next(s, x, n, 0);
    u->state = EXCHANGES;
    u->collects = true;
    exchange(s, u, room, n);
}

static void scatter_start(Tp *tp, float *x, float *room, int64_t n, int64_t each)
{
    TpSums *s = grid(tp)->sums;
    go_on(s);
    Sum *u = next(s, x, n, each);
    u->state = EXCHANGES;
    u->collects = false;
    exchange(s, u, room, n);
}

static void gather_start(Tp *tp, float *x, int64_t n, int64_t each)
{
    TpSums *s = grid(tp)->sums;
    Sum *u = next(s, x, n, each);
    u->state = IS_ADDED;
    u->collects = true;
    go_on(s);
}

static void wait_first(Tp *tp)
{
    TpSums *s = grid(tp)->sums;
    CHECK(s->waited < s->started, "a sum over tp is waited for that was not started");
    Sum *u = number(s, s->waited);
    if (u->state == EXCHANGES) {
        comm_wait(&u->op);
        added(s, u);
    }
    go_on(s);
    if (u->state == COLLECTS)
        comm_wait(&u->op);
    s->waited++;
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
        return (Tp){ .size = 1, .leaves = leaves, .sum = TP_ALONE.sum, .max = TP_ALONE.max, .sum_start = TP_ALONE.sum_start,
                     .scatter_start = TP_ALONE.scatter_start, .gather_start = TP_ALONE.gather_start, .wait = TP_ALONE.wait, .need = need, .ctx = g };
    if (!g->sums)
        g->sums = sums_open(g);
    return (Tp){ .rank = g->tp_rank, .size = ranks, .leaves = leaves, .sum = sum, .max = max, .sum_start = sum_start,
                 .scatter_start = scatter_start, .gather_start = gather_start, .wait = wait_first, .need = need, .ctx = g };
}
