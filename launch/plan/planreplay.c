/* planreplay.c -- the exchanges of a step over dp, on virtual time (plannodes.h) */
#include <math.h>
#include <stdlib.h>

#include "dist/canon.h"
#include "launch/plan/plannodes.h"

enum { RING = 256, WEIGHTS_RING = 16 };                         /* the most of dist/bucketopen.c; as dist/zeroweights.c has it */

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

/* ---- gradients ---- */

typedef struct { int first; bool collects; double elements; } Bucket;       /* ready when the params [first, n) are final */

typedef struct {
    const PlanRank *r;
    const Lying *where;
    Bucket *b;                      /* in the order in which they start */
    int     n, ring, near, parts, slots, elem;
    Clock   k;
    double  messages;
    int     started, reduced, done, tail;
    Op      exchange[RING], collect[RING];
} Replay;

static bool canonical(const Replay *x) { return x->r->buckets.reduction == REDUCE_CANONICAL; }

static int near_of(const PlanRank *r, const Lying *where)
{
    return (int)max64(1, min64(r->replicas, where->ranks_node / r->tp.size));
}

/* Elements of all replicas' pieces of a round. */
static double round_elements(const Section *s, int64_t from, int64_t each, int ranks)
{
    return (double)min64(s->n, max64(0, min64(each, s->each - from)) * ranks);
}

/* Into x->b unless it is NULL; returns how many. */
static int rounds(const Replay *x)
{
    const Zero *z = &x->r->optim.zero;
    int n = 0;
    for (int k = z->sections - 1; k >= 0; k--) {
        const Section *s = &z->section[k];
        int64_t each;
        const int all = zero_rounds(s, z->ranks, x->r->buckets.bytes, &each);
        for (int i = 0; i < all; i++, n++)
            if (x->b)
                x->b[n] = (Bucket){ s->first, !s->owned, round_elements(s, i * each, each, z->ranks) };
    }
    return n;
}

static void parts(Replay *x)
{
    const int64_t leaves = canonical(x) ? x->r->buckets.leaves : 1;
    x->parts = 1;
    x->slots = x->r->replicas;
    if ((leaves & (leaves - 1)) == 0)
        return;
    x->slots = 0;
    for (int64_t k = 0; k < x->r->replicas; k++) {
        const int n = canon_parts(k * leaves, leaves).n;
        x->slots += n;
        x->parts = k == x->r->replica ? n : x->parts;
    }
}

static void prepare(Replay *x, const PlanRank *r, const Lying *where)
{
    *x = (Replay){ .r = r, .where = where, .near = near_of(r, where), .elem = r->buckets.wire == WIRE_BF16 ? 2 : 4,
                   .tail = r->model.table.n, .ring = (int)min64(RING, buckets_ring(&r->optim.zero, &r->buckets)) };
    x->n = rounds(x);
    x->b = calloc((size_t)x->n + 1, sizeof *x->b);
    CHECK(x->b, "no memory for %d buckets", x->n);
    rounds(x);
    parts(x);
}

static double moves(const Replay *x, double bytes) { return bytes / x->where->memory; }
static double piece(const Replay *x, const Bucket *b) { return b->elements / x->r->replicas; }

static void start(Replay *x)
{
    for (; x->started < x->n && x->started < x->done + x->ring && x->tail <= x->b[x->started].first; x->started++) {
        const int dp = x->r->replicas, others = x->slots - x->parts;
        Cost c = cluster_exchange(x->where->machine, x->where->ranks_node, dp, x->near, x->elem * piece(x, &x->b[x->started]));
        c.post *= x->parts;
        c.wire *= x->parts;
        c.messages *= x->parts;
        c.land *= (double)others / (dp - 1);
        x->messages += c.messages;
        op_start(&x->k, &x->exchange[x->started % x->ring], &c);
    }
}

/* This rank's piece is here from all: added up where it belongs, sent on. */
static void reduce(Replay *x, int k)
{
    const Bucket *b = &x->b[k];
    x->k.t += moves(x, 8 * piece(x, b) * (x->slots - 1) + 8 * piece(x, b));
    if (!b->collects)
        return;
    const Cost c = cluster_exchange(x->where->machine, x->where->ranks_node, x->r->replicas, x->near, x->elem * piece(x, b));
    x->messages += c.messages;
    op_start(&x->k, &x->collect[k % x->ring], &c);
}

/* progress() of bucket.c */
static bool progress(Replay *x, bool wait)
{
    if (x->reduced < x->started && op_ended(&x->k, &x->exchange[x->reduced % x->ring], wait)) {
        reduce(x, x->reduced++);
        return true;
    }
    if (x->done == x->reduced)
        return false;
    if (x->b[x->done].collects && !op_ended(&x->k, &x->collect[x->done % x->ring], wait))
        return false;
    x->done++;
    return true;
}

static void poll(Replay *x)
{
    do
        start(x);
    while (progress(x, false));
}

/* Seconds of a flop, where all of them take so long. */
static double each_of(const Beats *b, double seconds) { return b->flops > 0 ? seconds / b->flops : 0; }

Replayed replay_buckets(const PlanRank *r, const Lying *where)
{
    const Beats *b = &r->dry.backward;
    Replay x;
    if (r->replicas == 1)
        return (Replayed){ 0 };
    prepare(&x, r, where);
    for (int i = 0; i < b->n; i++) {
        x.k.t += each_of(b, where->backward) * b->beat[i].flops;
        x.tail = b->beat[i].first;
        poll(&x);
    }
    x.tail = 0;                                         /* buckets_wait */
    while (x.done < x.n) {
        poll(&x);
        if (x.done < x.n)
            progress(&x, true);
    }
    free(x.b);
    return (Replayed){ x.k.t - where->backward, x.messages };
}

/* ---- new weights on their way back ---- */

typedef struct {
    const PlanRank *r;
    const Lying *where;
    Bucket *b;                      /* of a round: the first tensor of its section, elements */
    int     n, started, ended;
    Clock   k;
    double  messages;
    Op      op[WEIGHTS_RING];
} Weights;

static int weight_rounds(const Weights *w)
{
    const Zero *z = &w->r->optim.zero;
    int n = 0;
    for (int k = 0; k < z->sections; k++) {
        const Section *s = &z->section[k];
        int64_t each;
        const int all = s->owned ? zero_rounds(s, z->ranks, w->r->optim.setup.bytes, &each) : 0;
        for (int i = 0; i < all; i++, n++)
            if (w->b)
                w->b[n] = (Bucket){ s->first, false, round_elements(s, i * each, each, z->ranks) };
    }
    return n;
}

static void gather(Weights *w)
{
    for (; w->started < w->n && w->started < w->ended + WEIGHTS_RING; w->started++) {
        const double bytes = 4 * w->b[w->started].elements / w->r->replicas;
        const Cost c = cluster_exchange(w->where->machine, w->where->ranks_node, w->r->replicas, near_of(w->r, w->where), bytes);
        w->messages += c.messages;
        op_start(&w->k, &w->op[w->started % WEIGHTS_RING], &c);
    }
}

/* zero_weights_need() */
static void need(Weights *w, int last)
{
    while (w->ended < w->started && op_ended(&w->k, &w->op[w->ended % WEIGHTS_RING], w->b[w->ended].first < last)) {
        w->ended++;
        gather(w);
    }
}

Replayed replay_weights(const PlanRank *r, const Lying *where)
{
    const Beats *b = &r->dry.forward;
    Weights w = { .r = r, .where = where };
    if (!r->optim.zero.any || r->replicas == 1)
        return (Replayed){ 0 };
    w.n = weight_rounds(&w);
    w.b = calloc((size_t)w.n + 1, sizeof *w.b);
    CHECK(w.b, "no memory for %d rounds of weights", w.n);
    weight_rounds(&w);
    gather(&w);
    for (int i = 0; i < b->n; i++) {
        need(&w, b->beat[i].last);
        w.k.t += each_of(b, where->forward) * b->beat[i].flops;
    }
    need(&w, r->model.table.n);
    free(w.b);
    return (Replayed){ w.k.t - where->forward, w.messages };
}
