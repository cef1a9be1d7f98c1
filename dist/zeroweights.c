/* zeroweights.c -- new weights come back from their owners while the next forward pass runs (zero.h) */
#include <stdlib.h>

#include "dist/zero.h"

enum { RING = 16 };         /* rounds under way */

typedef struct { int *count, *at; CommOp op; } Slot;

struct ZeroWeights {
    const Zero *z;
    float   *weights;
    MPI_Comm comm;                  /* its own: the gradients' collectives have another order */
    Round   *round;
    int      rounds, started, ended;        /* ended <= started <= rounds; all ended: nothing is under way */
    Slot     slot[RING];
    double   waited;
    Arena    arena;
};

static int list_rounds(const Zero *z, int64_t bytes, Round *out)
{
    int n = 0;
    for (int s = 0; s < z->sections; s++) {
        int64_t each;
        const int rounds = z->section[s].owned ? zero_rounds(&z->section[s], z->ranks, bytes, &each) : 0;
        for (int k = 0; k < rounds; k++, n++)
            if (out)
                out[n] = (Round){ s, k * each, each };
    }
    return n;
}

static void layout(ZeroWeights *w)
{
    w->round = TAKE(&w->arena, Round, w->rounds);
    for (int k = 0; k < RING; k++) {
        w->slot[k].count = TAKE(&w->arena, int, w->z->ranks);
        w->slot[k].at = TAKE(&w->arena, int, w->z->ranks);
    }
}

static void measure(ZeroWeights *w, const Zero *z, int64_t bytes)
{
    *w = (ZeroWeights){ .z = z, .rounds = list_rounds(z, bytes, NULL), .arena.name = "weights on their way" };
    layout(w);
}

ZeroWeights *zero_weights_open(const Zero *z, float *weights, const Grid *g, int64_t bytes)
{
    if (!z->any)
        return NULL;
    ZeroWeights *w = malloc(sizeof *w);
    CHECK(w, "no memory for gathering weights");
    measure(w, z, bytes);
    arena_alloc(&w->arena);
    layout(w);
    list_rounds(z, bytes, w->round);
    w->weights = weights;
    w->comm = comm_split(g->dp, 0, g->dp_rank);
    comm_axis(w->comm, AXIS_DP);
    w->started = w->ended = w->rounds;
    return w;
}

size_t zero_weights_memory(const Zero *z, int64_t bytes)
{
    ZeroWeights w;
    if (!z->any)
        return 0;
    measure(&w, z, bytes);
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
    for (; w->started < w->rounds && w->started < w->ended + RING; w->started++) {
        Slot *s = &w->slot[w->started % RING];
        const Round r = w->round[w->started];
        const Section *section = &w->z->section[r.section];
        zero_round_pieces(section, w->z->ranks, r, s->count, s->at);
        comm_collect_start(w->comm, w->weights + section->weights, (CommPieces){ s->count, s->at }, sizeof(float), &s->op);
    }
}

void zero_weights_start(ZeroWeights *w)
{
    if (!w)
        return;
    ASSERT(w->ended == w->rounds);
    w->started = w->ended = 0;
    start(w);
}

void zero_weights_need(ZeroWeights *w, int first, int last)
{
    if (!w || w->ended == w->rounds || first == last)
        return;
    while (w->ended < w->rounds) {
        CommOp *op = &w->slot[w->ended % RING].op;
        if (w->z->section[w->round[w->ended].section].first < last) {
            const double since = now();
            comm_wait(op);
            w->waited += now() - since;
        } else if (!comm_test(op)) {
            break;
        }
        w->ended++;
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
    for (int s = 0; s < z->sections && z->any; s++)
        n += z->section[s].owned ? zero_share(&z->section[s], z->rank).n : 0;
    return n * (z->ranks - 1) * (int64_t)sizeof(float);
}
