/* zeroweights.c -- new weights come back from their owners while the next forward pass runs (zero.h) */
#include <stdlib.h>

#include "core/ops.h"
#include "dist/zero.h"

typedef struct {
    Pieces   pieces;                /* by places */
    int     *count, *at;            /* (members) of the collection at its level */
    float   *packed;                /* (elements) with several levels: what has come, by places */
    CommOp   op;
} Slot;

struct ZeroWeights {
    const Zero *z;
    float   *weights;
    int      levels, place;         /* place: of this rank's share */
    Level    level[LEVELS];
    MPI_Comm comm[LEVELS];          /* their own: the gradients' collectives have another order */
    int64_t  elements;              /* of the largest round */
    Round   *round;
    int      rounds, at[LEVELS + 1];        /* so many have come to a stage, the last level first; at[levels]: are here */
    int      ring;
    Slot    *slot;                  /* (ring) */
    double   waited;
    Arena    arena;
};

static int list_rounds(const Zero *z, int64_t bytes, Round *out, int64_t *elements)
{
    int n = 0;
    for (int s = 0; s < z->sections; s++) {
        int64_t each = 0;
        const int rounds = z->section[s].owned ? zero_rounds(&z->section[s], z->ranks, bytes, &each) : 0;
        for (int k = 0; k < rounds; k++, n++)
            if (out)
                out[n] = (Round){ s, k * each, each };
        *elements = max64(*elements, each * z->ranks);
    }
    return n;
}

static void layout(ZeroWeights *w)
{
    Arena *a = &w->arena;
    w->round = TAKE(a, Round, w->rounds);
    w->slot = TAKE(a, Slot, w->ring);
    Slot measured;
    for (int k = 0; k < w->ring; k++) {
        Slot *s = w->slot ? &w->slot[k] : &measured;
        s->pieces = pieces_take(a, w->z->ranks);
        s->count = TAKE(a, int, w->z->ranks);
        s->at = TAKE(a, int, w->z->ranks);
        s->packed = w->levels > 1 ? TAKE(a, float, w->elements) : NULL;
    }
}

static void measure(ZeroWeights *w, const Zero *z, int64_t bytes)
{
    *w = (ZeroWeights){ .z = z, .levels = z->levels.n, .arena.name = "weights on their way" };
    w->rounds = list_rounds(z, bytes, NULL, &w->elements);
    w->ring = zero_ring(w->rounds, 16, z->table->weights * (int64_t)sizeof(float), bytes);
    for (int i = 0; i < w->levels; i++)
        w->level[i] = levels_at(&z->levels, i, z->rank);
    w->place = w->level[w->levels - 1].first + w->level[w->levels - 1].member;
    layout(w);
}

/* So many have come to every stage: none is under way. */
static void all_at(ZeroWeights *w, int n)
{
    for (int k = 0; k <= w->levels; k++)
        w->at[k] = n;
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
    list_rounds(z, bytes, w->round, &w->elements);
    w->weights = weights;
    for (int i = 0; i < w->levels; i++) {
        w->comm[i] = comm_split(g->dp, w->level[i].group, w->level[i].member);
        comm_axis(w->comm[i], AXIS_DP);
    }
    all_at(w, w->rounds);
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

int zero_weights_ring(const Zero *z, int64_t bytes)
{
    ZeroWeights w;
    if (!z->any)
        return 0;
    measure(&w, z, bytes);
    return w.ring;
}

void zero_weights_close(ZeroWeights *w)
{
    if (!w)
        return;
    zero_weights_wait(w);
    for (int i = 0; i < w->levels; i++)
        comm_free(&w->comm[i]);
    arena_free(&w->arena);
    free(w);
}

static Slot *slot(ZeroWeights *w, int k) { return &w->slot[k % w->ring]; }

/* Everybody of the level's group gets everybody's run of round k. */
static void collect(ZeroWeights *w, Slot *s, int level, float *section)
{
    const Level *l = &w->level[level];
    const bool packed = w->levels > 1;
    for (int j = 0; j < l->size; j++) {
        s->count[j] = pieces_run(&s->pieces, l, j);
        s->at[j] = packed ? pieces_at(&s->pieces, l, j) : s->pieces.at[j];
    }
    comm_collect_start(w->comm[level], packed ? s->packed : section, (CommPieces){ s->count, s->at }, sizeof(float), &s->op);
}

/* Round k comes to a stage. */
static void enter(ZeroWeights *w, int stage, int k)
{
    Slot *s = slot(w, k);
    const Pieces *p = &s->pieces;
    float *section = w->weights + w->z->section[w->round[k].section].weights;
    if (stage == 0) {
        pieces_of(p, w->z, w->round[k]);
        if (w->levels > 1)
            op.copy(s->packed + p->packed[w->place], section + p->at[w->place], p->count[w->place]);
    }
    if (stage < w->levels)
        collect(w, s, w->levels - 1 - stage, section);
    else if (w->levels > 1)
        pieces_unpack(p, w->z->ranks, section, s->packed);
    w->at[stage]++;
}

/* As many as the ring has room for. */
static void start(ZeroWeights *w)
{
    while (w->at[0] < w->rounds && w->at[0] < w->at[w->levels] + w->ring)
        enter(w, 0, w->at[0]);
}

void zero_weights_start(ZeroWeights *w)
{
    if (!w)
        return;
    ASSERT(w->at[w->levels] == w->rounds);
    all_at(w, 0);
    start(w);
}

/* One round goes on, if one can.  wait: for the oldest, whom others may need to go on. */
static bool progress(ZeroWeights *w, bool wait)
{
    for (int stage = w->levels - 1; stage >= 0; stage--) {
        const int k = w->at[stage + 1];
        if (k == w->at[stage])
            continue;
        if (wait) {
            const double since = now();
            comm_wait(&slot(w, k)->op);
            w->waited += now() - since;
        } else if (!comm_test(&slot(w, k)->op)) {
            continue;
        }
        enter(w, stage + 1, k);
        return true;
    }
    return false;
}

/* Does a round that is not here hold one of the tensors before last? */
static bool misses(const ZeroWeights *w, int last)
{
    const int k = w->at[w->levels];
    return k < w->rounds && w->z->section[w->round[k].section].first < last;
}

void zero_weights_need(ZeroWeights *w, int first, int last)
{
    if (!w || w->at[w->levels] == w->rounds || first == last)
        return;
    do {
        while (progress(w, false))
            start(w);
        if (misses(w, last) && progress(w, true))
            start(w);
    } while (misses(w, last));
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
