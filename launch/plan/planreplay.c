/* planreplay.c -- the exchanges of a step over dp, on virtual time (plannodes.h) */
#include <math.h>
#include <stdlib.h>

#include "launch/plan/plannodes.h"

enum { RING = 256 };                    /* the most of dist/zero.c */

/* ---- one rank's clock, its node's link, and what is under way ---- */

typedef struct { double t, link; } Clock;
typedef struct { Cost c; double ends; } Op;

static void op_start(Clock *k, Op *o, const Cost *c)
{
    k->t += c->post;
    k->link = fmax(k->t, k->link) + c->wire;
    *o = (Op){ *c, k->link + c->alpha };
}

/* MPI_Test, or MPI_Wait. */
static bool op_ended(Clock *k, Op *o, bool wait)
{
    if (o->ends > k->t && !wait)
        return false;
    k->t = fmax(k->t, o->ends) + o->c.land;
    return true;
}

/* ---- buckets on their way there and back, or weights on theirs back ---- */

typedef struct { int first; bool collects; double elements; } Bucket;       /* ready when the params [first, n) are final */

typedef struct {
    const PlanRank *r;
    const Lying *where;
    bool    back;                       /* weights: no way there */
    Bucket *b;                          /* in the order in which they start */
    int     n, ring, tail, elem;
    int     levels, stages, at[2 * LEVELS + 1];     /* as in dist/bucketslot.h */
    BucketLevel level[LEVELS];
    Clock   k;
    double  messages;
    Op      op[RING];
} Replay;

/* Elements of all replicas' pieces of a round. */
static double round_elements(const Section *s, int64_t from, int64_t each, int ranks)
{
    return (double)min64(s->n, max64(0, min64(each, s->each - from)) * ranks);
}

/* Into x->b unless it is NULL; returns how many. */
static int rounds(const Replay *x)
{
    const Zero *z = &x->r->optim.zero;
    const int64_t bytes = x->back ? x->r->optim.setup.bytes : x->r->buckets.bytes;
    int n = 0;
    for (int j = 0; j < z->sections; j++) {
        const Section *s = &z->section[x->back ? j : z->sections - 1 - j];
        int64_t each;
        const int all = x->back && !s->owned ? 0 : zero_rounds(s, z->ranks, bytes, &each);
        for (int i = 0; i < all; i++, n++)
            if (x->b)
                x->b[n] = (Bucket){ s->first, x->back || !s->owned, round_elements(s, i * each, each, z->ranks) };
    }
    return n;
}

static void prepare(Replay *x, const PlanRank *r, const Lying *where, bool back)
{
    *x = (Replay){ .r = r, .where = where, .back = back, .elem = !back && r->buckets.wire == WIRE_BF16 ? 2 : 4,
                   .tail = back ? 0 : r->model.table.n, .levels = r->optim.zero.levels.n };
    const int ring = buckets_ring(&r->optim.zero, &r->buckets, x->level);
    x->ring = (int)min64(RING, back ? zero_weights_ring(&r->optim.zero, r->optim.setup.bytes) : ring);
    x->stages = (back ? 1 : 2) * x->levels;
    x->n = rounds(x);
    x->b = calloc((size_t)x->n + 1, sizeof *x->b);
    CHECK(x->b, "no memory for %d buckets", x->n);
    rounds(x);
}

/* Additions and copies of elements that are so wide on the wire: 16 bits are added as floats. */
static double pass_of(const BucketLevel *v) { return v->elem > 4 ? 2 * v->elem : 8; }
static void moves(Replay *x, double bytes) { x->k.t += bytes / x->where->memory; }
static double run_of(const Replay *x, const BucketLevel *v, int k) { return x->b[k].elements * v->l.run / x->r->replicas; }

/* All of a level's group give each other a run of so many parts, and take what comes of others' parts. */
static void exchange(Replay *x, const BucketLevel *v, int k, int parts, int others, int elem)
{
    const int node = (int)max64(1, x->where->ranks_node / x->r->tp.size);           /* replicas of one */
    const int near = (int)max64(1, min64(v->l.size, node / v->l.stride));
    Cost c = cluster_exchange(x->where->machine, x->where->ranks_node, v->l.size, near, elem * run_of(x, v, k));
    c.post *= parts;
    c.wire *= parts;
    c.messages *= parts;
    c.land *= (double)others / (v->l.size - 1);
    x->messages += c.messages;
    op_start(&x->k, &x->op[k % x->ring], &c);
}

/* enter() of bucket.c and of zeroweights.c.  What has several levels is packed, and unpacked at the end. */
static void enter(Replay *x, int stage, int k)
{
    const Bucket *b = &x->b[k];
    const bool packed = x->levels > 1;
    x->op[k % x->ring] = (Op){ .ends = x->k.t };
    if (!x->back && stage == 0 && packed)
        moves(x, pass_of(x->level) * b->elements * x->level[0].parts);
    if (!x->back && stage > 0 && stage <= x->levels)
        moves(x, pass_of(&x->level[stage - 1]) * run_of(x, &x->level[stage - 1], k) * x->level[stage - 1].slots);
    if (!x->back && stage < x->levels) {
        const BucketLevel *v = &x->level[stage];
        exchange(x, v, k, v->parts, v->slots - v->parts, v->elem);
    } else if (stage < x->stages && b->collects) {
        const BucketLevel *v = &x->level[x->stages - 1 - stage];
        exchange(x, v, k, 1, v->l.size - 1, x->elem);
    } else if (b->collects && packed) {
        moves(x, 8 * b->elements);
    }
    x->at[stage]++;
}

/* One goes on, if one can.  wait: the oldest. */
static bool progress(Replay *x, bool wait)
{
    for (int stage = x->stages - 1; stage >= 0; stage--) {
        const int k = x->at[stage + 1];
        if (k == x->at[stage] || !op_ended(&x->k, &x->op[k % x->ring], wait))
            continue;
        enter(x, stage + 1, k);
        return true;
    }
    return false;
}

static void poll(Replay *x)
{
    do
        while (x->at[0] < x->n && x->at[0] < x->at[x->stages] + x->ring && x->tail <= x->b[x->at[0]].first)
            enter(x, 0, x->at[0]);
    while (progress(x, false));
}

/* Until all are through that begin before the param `last`. */
static void finish(Replay *x, int last)
{
    for (poll(x); x->at[x->stages] < x->n && x->b[x->at[x->stages]].first < last; poll(x))
        progress(x, true);
}

/* Seconds of a flop, where all of them take so long. */
static double each_of(const Beats *b, double seconds) { return b->flops > 0 ? seconds / b->flops : 0; }

Replayed replay_buckets(const PlanRank *r, const Lying *where)
{
    const Beats *b = &r->dry.backward;
    Replay x;
    if (r->replicas == 1)
        return (Replayed){ 0 };
    prepare(&x, r, where, false);
    for (int i = 0; i < b->n; i++) {
        x.k.t += each_of(b, where->backward) * b->beat[i].flops;
        x.tail = b->beat[i].first;
        poll(&x);
    }
    x.tail = 0;                                         /* buckets_wait */
    finish(&x, r->model.table.n);
    free(x.b);
    const int times = buckets_times(&r->buckets);
    return (Replayed){ times * (x.k.t - where->backward), times * x.messages };
}

Replayed replay_weights(const PlanRank *r, const Lying *where)
{
    const Beats *b = &r->dry.forward;
    Replay x;
    if (!r->optim.zero.any || r->replicas == 1)
        return (Replayed){ 0 };
    prepare(&x, r, where, true);
    for (int i = 0; i < b->n; i++) {
        finish(&x, b->beat[i].last);
        x.k.t += each_of(b, where->forward) * b->beat[i].flops;
    }
    finish(&x, r->model.table.n);
    free(x.b);
    return (Replayed){ x.k.t - where->forward, x.messages };
}
