/* bucketopen.c -- what buckets need, measured and allocated (bucket.h) */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "dist/bucketslot.h"

/* Under way at once: a decoder block's gradients, which become final within a short time, are about a sixteenth of a small model's; of a
   large one this much must do. */
enum { LEAST = 8, SHARE = 16, MOST_BYTES = 512 << 20 };

static bool canonical(const Buckets *b) { return b->c.reduction == REDUCE_CANONICAL; }
/* Leaves of the tree that a replica has: with the fast reduction its sum is one. */
static int64_t leaves(const BucketConf *c) { return c->reduction == REDUCE_CANONICAL ? c->leaves : 1; }

static void layout_slot(const Buckets *b, Arena *a, Slot *s)
{
    const bool half = b->c.wire == WIRE_BF16;
    const int64_t r = b->ranks, most = b->most;
    s->count = TAKE(a, int, r);            s->at      = TAKE(a, int, r);
    s->to    = TAKE(a, int, most * r);     s->from    = TAKE(a, int, most * r);
    s->from_at = TAKE(a, int, most * r);   s->op      = TAKE(a, CommOp, most);
    s->x     = TAKE(a, float *, b->slots);
    s->recv  = TAKE(a, float, b->slots * b->piece);
    s->half  = half ? TAKE(a, uint16_t, r * b->piece) : NULL;
    s->half_at = half ? TAKE(a, int, r) : NULL;
    s->half_recv = half ? TAKE(a, uint16_t, r * b->piece) : NULL;
}

static void layout(Buckets *b)
{
    Arena *a = &b->arena;
    b->final = TAKE(a, bool, b->z->table->n);
    b->waiting = TAKE(a, float *, b->depth);
    for (int k = 0; k < b->depth; k++) {
        float *x = TAKE(a, float, b->z->table->grads);
        if (b->waiting)
            b->waiting[k] = x;
    }
    if (b->ranks == 1)
        return;
    b->round = TAKE(a, Round, b->n);
    b->parts_of = TAKE(a, int, b->ranks);
    b->first_slot = TAKE(a, int, b->ranks);
    b->add = TAKE(a, Addition, b->slots);
    b->slot = TAKE(a, Slot, b->ring);
    Slot measured;
    for (int k = 0; k < b->ring; k++)
        layout_slot(b, a, b->slot ? &b->slot[k] : &measured);
}

/* The rounds of all sections, in the order in which they start, into out unless it is NULL. */
static int list_rounds(Buckets *b, Round *out)
{
    int n = 0;
    for (int s = b->z->sections - 1; s >= 0; s--) {
        int64_t each;
        const int rounds = zero_rounds(&b->z->section[s], b->ranks, b->c.bytes, &each);
        for (int k = 0; k < rounds; k++, n++)
            if (out)
                out[n] = (Round){ s, k * each, each };
        b->piece = max64(b->piece, each);
    }
    return n;
}

/* False: more ranks than MPI's ints can count pieces for. */
static bool counts(Buckets *b, const Zero *z, const BucketConf *c)
{
    CHECK(c->bytes > 0, "a bucket of %lld bytes", (long long)c->bytes);
    CHECK(c->wire == WIRE_FP32 || c->reduction == REDUCE_FAST, "bf16 on the wire goes with the fast reduction");
    *b = (Buckets){ .c = *c, .z = z, .ranks = z->ranks, .rank = z->rank, .arena.name = "buckets" };
    if (c->bytes > INT_MAX)
        return false;
    b->depth = canonical(b) ? canon_waiting((int64_t)z->rank * c->leaves, c->leaves) : 0;
    b->parts = b->most = 1;
    if (z->ranks == 1)
        return true;
    b->n = list_rounds(b, NULL);
    const int64_t bytes = min64(MOST_BYTES, z->table->grads * (int64_t)sizeof(float) / SHARE);
    b->ring = (int)max64(1, min64(b->n, max64(LEAST, ceil_div(bytes, c->bytes))));
    for (int r = 0; r < z->ranks; r++) {
        const int parts = canon_parts(r * leaves(c), leaves(c)).n;
        b->parts = r == z->rank ? parts : b->parts;
        b->most = parts > b->most ? parts : b->most;
        b->slots += parts;
    }
    return b->slots * b->piece <= INT_MAX;
}

static void measure(Buckets *b, const Zero *z, const BucketConf *c)
{
    CHECK(counts(b, z, c), "pieces of buckets of %lld bytes are more than an int counts", (long long)c->bytes);
}

bool buckets_count(const Zero *z, const BucketConf *c)
{
    Buckets b;
    return counts(&b, z, c);
}

int buckets_ring(const Zero *z, const BucketConf *c)
{
    Buckets b;
    measure(&b, z, c);
    return b.ring;
}

/* The order of additions over all parts of all replicas. */
static void order(Buckets *b)
{
    CanonNode *node = calloc((size_t)b->slots, sizeof *node);
    CHECK(node, "no memory for the parts of %d replicas", b->ranks);
    int n = 0;
    for (int r = 0; r < b->ranks; r++) {
        const CanonStack s = canon_parts(r * leaves(&b->c), leaves(&b->c));
        b->parts_of[r] = s.n;
        b->first_slot[r] = n;
        memcpy(node + n, s.node, (size_t)s.n * sizeof *node);
        n += s.n;
    }
    canon_additions(b->add, node, n);
    free(node);
}

Buckets *buckets_open(const Zero *z, float *grads, const Grid *g, const BucketConf *c)
{
    Buckets *b = malloc(sizeof *b);
    CHECK(b, "no memory for the buckets");
    measure(b, z, c);
    layout(b);
    arena_alloc(&b->arena);
    layout(b);
    b->grads = grads;
    b->g = g;
    b->dp = g->dp;
    b->collect = comm_split(g->dp, 0, g->dp_rank);
    comm_axis(b->collect, AXIS_DP);
    if (b->ranks > 1) {
        list_rounds(b, b->round);
        order(b);
    }
    b->started = b->reduced = b->done = b->n;
    memset(b->final, true, (size_t)z->table->n);    /* a mark before the first begin is a bug */
    return b;
}

void buckets_close(Buckets *b)
{
    ASSERT(b->done == b->n);
    comm_free(&b->collect);
    arena_free(&b->arena);
    free(b);
}

size_t buckets_memory(const Zero *z, const BucketConf *c)
{
    Buckets b;
    measure(&b, z, c);
    layout(&b);
    return b.arena.size;
}

int64_t buckets_bytes(const Zero *z, const BucketConf *c)
{
    Buckets b;
    int64_t all = 0, mine = 0, shared = 0;          /* elements: of all sections; of this rank's shares; of those that all get */
    if (z->ranks == 1)
        return 0;
    measure(&b, z, c);
    for (int s = 0; s < z->sections; s++) {
        const int64_t n = zero_share(&z->section[s], z->rank).n;
        all += z->section[s].n;
        mine += n;
        shared += z->section[s].owned ? 0 : n;
    }
    return (c->wire == WIRE_BF16 ? 2 : 4) * (b.parts * (all - mine) + (b.ranks - 1) * shared);
}
