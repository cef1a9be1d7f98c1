/* zeroweights.c -- new weights come back from their owners while the next forward pass runs (zero.h) */
#include <stdlib.h>

#include "dist/zero.h"

enum { RING = 4 };          /* lots under way */

typedef struct { float *x; int *count, *at; CommOp op; } Slot;

struct ZeroWeights {
    const Zero *z;
    float   *weights;
    MPI_Comm comm;                  /* its own: the gradients' collectives have another order */
    Lot     *lot;
    int      lots, started, ended;  /* ended <= started <= lots; all ended: nothing is under way */
    Slot     slot[RING];
    double   waited;
    Arena    arena;
};

static bool mine(const Zero *z, int i) { return z->mine[i]; }

static int64_t lot_total(const Zero *z, const Lot *l)
{
    int64_t n = 0;
    for (int r = 0; r < z->ranks; r++)
        n += zero_lot_count(z, mine, l, r);
    return n;
}

static void layout(ZeroWeights *w, int64_t most)
{
    w->lot = TAKE(&w->arena, Lot, w->lots);
    for (int k = 0; k < RING; k++) {
        w->slot[k].x = TAKE(&w->arena, float, most);
        w->slot[k].count = TAKE(&w->arena, int, w->z->ranks);
        w->slot[k].at = TAKE(&w->arena, int, w->z->ranks);
    }
}

/* Elements of a lot: no more than there are in all. */
static int64_t span_of(const Zero *z, int64_t lot_bytes)
{
    return min64(lot_bytes / (int64_t)sizeof(float), max64(1, z->table->weights));
}

static void measure(ZeroWeights *w, const Zero *z, int64_t span)
{
    *w = (ZeroWeights){ .z = z, .lots = zero_lots(z, mine, span, NULL), .arena.name = "weights on their way" };
    layout(w, span + z->ranks);                    /* equal parts of shares round up */
}

ZeroWeights *zero_weights_open(const Zero *z, float *weights, const Grid *g, int64_t lot_bytes)
{
    if (!z->any)
        return NULL;
    const int64_t span = span_of(z, lot_bytes);
    ZeroWeights *w = malloc(sizeof *w);
    CHECK(w, "no memory for gathering weights");
    measure(w, z, span);
    arena_alloc(&w->arena);
    layout(w, span + z->ranks);
    w->weights = weights;
    w->comm = comm_split(g->dp, 0, g->dp_rank);
    comm_axis(w->comm, AXIS_DP);
    w->started = w->ended = zero_lots(z, mine, span, w->lot);
    for (int k = 0; k < w->lots; k++)
        CHECK(lot_total(z, &w->lot[k]) <= span + z->ranks, "a lot of weights is larger than its room");
    return w;
}

size_t zero_weights_memory(const Zero *z, int64_t lot_bytes)
{
    ZeroWeights w;
    if (!z->any)
        return 0;
    measure(&w, z, span_of(z, lot_bytes));
    return w.arena.size;
}

void zero_weights_close(ZeroWeights *w)
{
    if (!w)
        return;
    zero_weights_wait(w);
    comm_free(&w->comm);
    arena_free(&w->arena);
    free(w);
}

/* As many as the ring has room for. */
static void start(ZeroWeights *w)
{
    const Zero *z = w->z;
    for (; w->started < w->lots && w->started < w->ended + RING; w->started++) {
        Slot *s = &w->slot[w->started % RING];
        const Lot *l = &w->lot[w->started];
        int at = 0;
        for (int r = 0; r < z->ranks; at += s->count[r++]) {
            s->count[r] = (int)zero_lot_count(z, mine, l, r);
            s->at[r] = at;
        }
        zero_lot_pack(s->x + s->at[z->rank], z, mine, l, z->rank, w->weights, OF_WEIGHTS);
        comm_collect_start(w->comm, s->x, (CommPieces){ s->count, s->at }, sizeof(float), &s->op);
    }
}

/* The oldest lot has come. */
static void end(ZeroWeights *w)
{
    const Slot *s = &w->slot[w->ended % RING];
    for (int r = 0; r < w->z->ranks; r++)
        if (r != w->z->rank)
            zero_lot_unpack(w->weights, w->z, mine, &w->lot[w->ended], r, s->x + s->at[r], OF_WEIGHTS);
    w->ended++;
}

void zero_weights_start(ZeroWeights *w)
{
    if (!w)
        return;
    ASSERT(w->ended == w->lots);
    w->started = w->ended = 0;
    start(w);
}

void zero_weights_need(ZeroWeights *w, int first, int last)
{
    if (!w || w->ended == w->lots || first == last)
        return;
    while (w->ended < w->lots && w->ended < w->started) {
        CommOp *op = &w->slot[w->ended % RING].op;
        if (w->lot[w->ended].first < last) {
            const double since = now();
            comm_wait(op);
            w->waited += now() - since;
        } else if (!comm_test(op)) {
            break;
        }
        end(w);
        start(w);
    }
}

void zero_weights_wait(ZeroWeights *w)
{
    if (w)
        zero_weights_need(w, 0, w->z->table->n);
}

double zero_weights_waited(ZeroWeights *w)
{
    const double t = w ? w->waited : 0;
    if (w)
        w->waited = 0;
    return t;
}

int64_t zero_weights_bytes(const Zero *z)
{
    int64_t n = 0;
    for (int i = 0; i < z->table->n && z->any; i++)
        if (z->mine[i])
            n += share_count(zero_share(z, i, z->rank));
    return n * (z->ranks - 1) * (int64_t)sizeof(float);
}
