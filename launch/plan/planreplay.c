/* planreplay.c -- the exchanges of a step over dp, on virtual time (plannodes.h) */
#include <math.h>
#include <stdlib.h>

#include "dist/canon.h"
#include "launch/plan/plannodes.h"

enum { RING = 8, WEIGHTS_RING = 4, LOT_BYTES = 4 << 20 };       /* as dist/bucketopen.c, dist/zeroweights.c and dist/optim.c have them */

/* ---- one rank's clock, its node's link, and what is under way ---- */

typedef struct { double t, link; } Clock;
typedef struct { Cost c; int left; double next; } Op;

static void round_start(Clock *k, Op *o)
{
    k->link = fmax(k->t, k->link) + o->c.wire / o->c.rounds;
    o->next = k->link + o->c.alpha / o->c.rounds;
}

static void op_start(Clock *k, Op *o, const Cost *c)
{
    *o = (Op){ .c = *c, .left = c->rounds };
    k->t += c->post;
    round_start(k, o);
}

/* MPI_Test, or MPI_Wait: a step of a tree follows another only where somebody looks. */
static bool op_ended(Clock *k, Op *o, bool wait)
{
    while (o->left > 0) {
        if (o->next > k->t && !wait)
            return false;
        k->t = fmax(k->t, o->next);
        if (--o->left > 0)
            round_start(k, o);
    }
    k->t += o->c.land;
    return true;
}

/* ---- gradients ---- */

typedef struct { int first; bool collects; double elements; } Bucket;       /* ready when the params [first, n) are final */

typedef struct {
    const PlanRank *r;
    const Lying *where;
    Bucket *b;                      /* in the order in which they start */
    int     n, near, parts, slots, elem;
    Clock   k;
    double  messages;
    int     started, reduced, done, tail;
    Op      exchange[RING], collect[RING];
} Replay;

static bool has_grad(const Zero *z, int i) { return z->table->p[i].grad >= 0; }
static bool canonical(const Replay *x) { return x->r->buckets.reduction == REDUCE_CANONICAL; }
static bool halves(const Replay *x) { return x->r->buckets.wire == WIRE_BF16; }

static int near_of(const PlanRank *r, const Lying *where)
{
    return (int)max64(1, min64(r->replicas, where->ranks_node / r->tp.size));
}

static double lot_elements(const Zero *z, bool (*want)(const Zero *z, int i), const Lot *l)
{
    double n = 0;
    for (int i = l->first; i < l->last; i++)
        n += want(z, i) ? (double)z->table->p[i].count : 0;
    return n / l->parts;
}

static Bucket of_lot(const Zero *z, const Lot *l)
{
    Bucket b = { .first = l->first, .elements = lot_elements(z, has_grad, l) };
    for (int i = l->first; i < l->last; i++)
        b.collects |= has_grad(z, i) && !z->mine[i];
    return b;
}

/* Equal ranges of the flat gradient, from its end; each waits for the tensor that it begins in. */
static void ranges(Replay *x, int64_t span)
{
    const Params *t = x->r->optim.zero.table;
    int i = t->n;
    for (int k = 0; k < x->n; k++) {
        const int64_t end = t->grads - k * span, start = max64(0, end - span);
        while (i == t->n || (i > 0 && (t->p[i].grad < 0 || t->p[i].grad > start)))
            i--;
        x->b[k] = (Bucket){ i, true, (double)(end - start) };
    }
}

static void lots(Replay *x, int64_t span)
{
    const Zero *z = &x->r->optim.zero;
    Lot *lot = calloc((size_t)x->n + 1, sizeof *lot);
    CHECK(lot, "no memory for %d buckets", x->n);
    zero_lots(z, has_grad, span, lot);
    for (int k = 0; k < x->n; k++)
        x->b[k] = of_lot(z, &lot[x->n - 1 - k]);
    free(lot);
}

static void parts(Replay *x)
{
    const int64_t leaves = x->r->buckets.leaves;
    x->parts = 1;
    x->slots = x->r->replicas;
    if (!canonical(x) || (leaves & (leaves - 1)) == 0)
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
    const Params *t = r->optim.zero.table;
    const int64_t span = min64(r->buckets.bytes / (int64_t)sizeof(float), max64(1, t->grads));
    *x = (Replay){ .r = r, .where = where, .near = near_of(r, where), .elem = r->buckets.wire == WIRE_BF16 ? 2 : 4, .tail = t->n };
    x->n = r->buckets.zero1 ? zero_lots(&r->optim.zero, has_grad, span, NULL) : (int)ceil_div(t->grads, span);
    x->b = calloc((size_t)x->n + 1, sizeof *x->b);
    CHECK(x->b, "no memory for %d buckets", x->n);
    if (r->buckets.zero1)
        lots(x, span);
    else
        ranges(x, span);
    parts(x);
}

static double moves(const Replay *x, double bytes) { return bytes / x->where->memory; }
static double piece(const Replay *x, const Bucket *b) { return b->elements / x->r->replicas; }

static void start(Replay *x)
{
    for (; x->started < x->n && x->started < x->done + RING && x->tail <= x->b[x->started].first; x->started++) {
        const Bucket *b = &x->b[x->started];
        const int dp = x->r->replicas, others = x->slots - x->parts;
        Cost c;
        if (canonical(x) || halves(x)) {
            c = cluster_exchange(x->where->machine, x->where->ranks_node, dp, x->near, x->elem * piece(x, b));
            c.post *= x->parts;
            c.wire *= x->parts;
            c.messages *= x->parts;
            c.land *= (double)others / (dp - 1);
        } else {
            c = cluster_sum(x->where->machine, x->where->ranks_node, dp, x->near, 4 * b->elements, x->r->buckets.zero1);
        }
        if (x->r->buckets.zero1)
            x->k.t += moves(x, 8 * b->elements * x->parts);                     /* packed */
        x->messages += c.messages;
        op_start(&x->k, &x->exchange[x->started % RING], &c);
    }
}

static bool is_collected(const Replay *x, const Bucket *b)
{
    return b->collects && (canonical(x) || halves(x) || x->r->buckets.zero1);
}

/* This rank's piece is here from all: added up, put in its place, sent on. */
static void reduce(Replay *x, int k)
{
    const Bucket *b = &x->b[k];
    if (canonical(x) || halves(x))
        x->k.t += moves(x, 12 * piece(x, b) * (x->slots - 1) + 8 * piece(x, b));
    if (!is_collected(x, b))
        return;
    const Cost c = cluster_exchange(x->where->machine, x->where->ranks_node, x->r->replicas, x->near, x->elem * piece(x, b));
    x->messages += c.messages;
    op_start(&x->k, &x->collect[k % RING], &c);
}

/* progress() of bucket.c */
static bool progress(Replay *x, bool wait)
{
    if (x->reduced < x->started && op_ended(&x->k, &x->exchange[x->reduced % RING], wait)) {
        reduce(x, x->reduced++);
        return true;
    }
    if (x->done == x->reduced)
        return false;
    if (is_collected(x, &x->b[x->done])) {
        if (!op_ended(&x->k, &x->collect[x->done % RING], wait))
            return false;
        if (x->r->buckets.zero1)
            x->k.t += moves(x, 8 * x->b[x->done].elements);
    }
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

static bool mine(const Zero *z, int i) { return z->mine[i]; }

typedef struct {
    const PlanRank *r;
    const Lying *where;
    Lot    *lot;
    int     lots, started, ended;
    Clock   k;
    double  messages;
    Op      op[WEIGHTS_RING];
} Weights;

static void gather(Weights *w)
{
    for (; w->started < w->lots && w->started < w->ended + WEIGHTS_RING; w->started++) {
        const double bytes = 4 * lot_elements(&w->r->optim.zero, mine, &w->lot[w->started]) / w->r->replicas;
        const Cost c = cluster_exchange(w->where->machine, w->where->ranks_node, w->r->replicas, near_of(w->r, w->where), bytes);
        w->messages += c.messages;
        w->k.t += 2 * bytes / w->where->memory;
        op_start(&w->k, &w->op[w->started % WEIGHTS_RING], &c);
    }
}

/* zero_weights_need() */
static void need(Weights *w, int last)
{
    while (w->ended < w->lots && w->ended < w->started) {
        const Lot *l = &w->lot[w->ended];
        if (!op_ended(&w->k, &w->op[w->ended % WEIGHTS_RING], l->first < last))
            break;
        w->k.t += 8 * lot_elements(&w->r->optim.zero, mine, l) / w->where->memory;
        w->ended++;
        gather(w);
    }
}

Replayed replay_weights(const PlanRank *r, const Lying *where)
{
    const Beats *b = &r->dry.forward;
    Weights w = { .r = r, .where = where };
    const int64_t span = min64(LOT_BYTES / (int64_t)sizeof(float), max64(1, r->model.table.weights));
    if (!r->optim.zero.any || r->replicas == 1)
        return (Replayed){ 0 };
    w.lots = zero_lots(&r->optim.zero, mine, span, NULL);
    w.lot = calloc((size_t)w.lots + 1, sizeof *w.lot);
    CHECK(w.lot, "no memory for %d lots of weights", w.lots);
    zero_lots(&r->optim.zero, mine, span, w.lot);
    gather(&w);
    for (int i = 0; i < b->n; i++) {
        need(&w, b->beat[i].last);
        w.k.t += each_of(b, where->forward) * b->beat[i].flops;
    }
    need(&w, r->model.table.n);
    free(w.lot);
    return (Replayed){ w.k.t - where->forward, w.messages };
}
