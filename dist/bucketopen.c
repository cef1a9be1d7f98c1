/* bucketopen.c -- what buckets need, measured and allocated (bucket.h) */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "dist/bucketslot.h"

enum { RING = 8 };

bool bucket_shared(const Zero *z, const Lot *l)
{
    for (int i = l->first; i < l->last; i++)
        if (has_grad(z, i) && !z->mine[i])
            return true;
    return false;
}

static void layout_slot(const Buckets *b, Arena *a, Slot *s)
{
    const bool canonical = b->c.reduction == REDUCE_CANONICAL, half = b->c.wire == WIRE_BF16;
    const int64_t r = b->ranks, rounds = b->rounds;
    s->count = TAKE(a, int, r);            s->at      = TAKE(a, int, r);
    s->to    = TAKE(a, int, rounds * r);   s->from    = TAKE(a, int, rounds * r);
    s->from_at = TAKE(a, int, rounds * r); s->op      = TAKE(a, CommOp, rounds);
    s->source = TAKE(a, float *, rounds);  s->piece   = TAKE(a, float *, b->slots);
    s->send  = b->c.zero1 ? TAKE(a, float, b->parts * b->room) : NULL;
    s->recv  = canonical ? TAKE(a, float, b->slots * b->piece) : half || b->c.zero1 ? TAKE(a, float, b->piece) : NULL;
    s->half  = half ? TAKE(a, uint16_t, b->room) : NULL;
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
    b->lot = b->c.zero1 ? TAKE(a, Lot, b->n) : NULL;
    b->parts_of = TAKE(a, int, b->ranks);
    b->first_slot = TAKE(a, int, b->ranks);
    b->add = TAKE(a, CanonAdd, b->slots);
    b->slot = TAKE(a, Slot, b->ring);
    Slot measured;
    for (int k = 0; k < b->ring; k++)
        layout_slot(b, a, b->slot ? &b->slot[k] : &measured);
}

/* To be freed. */
static Lot *lots(const Buckets *b)
{
    Lot *lot = calloc((size_t)b->n + 1, sizeof *lot);
    CHECK(lot, "no memory for %d buckets", b->n);
    zero_lots(b->z, has_grad, b->span, lot);
    return lot;
}

/* The most that one rank's piece of one bucket can be. */
static int64_t largest_piece(const Buckets *b)
{
    int64_t most = ceil_div(b->span, b->ranks);
    if (!b->c.zero1)
        return most;
    Lot *lot = lots(b);
    for (int k = 0; k < b->n; k++)
        most = max64(most, zero_lot_count(b->z, has_grad, &lot[k], b->rank));
    free(lot);
    return most;
}

/* False: more ranks than MPI's ints can count pieces for. */
static bool counts(Buckets *b, const Zero *z, const BucketConf *c)
{
    const int64_t most = c->bytes / (int64_t)sizeof(float), span = min64(most, max64(1, z->table->grads));
    CHECK(most > 0 && most <= INT_MAX / 2, "a bucket of %lld bytes", (long long)c->bytes);
    CHECK(c->wire == WIRE_FP32 || c->reduction == REDUCE_FAST, "bf16 on the wire goes with the fast reduction");
    const bool canonical = c->reduction == REDUCE_CANONICAL;
    *b = (Buckets){ .c = *c, .z = z, .ranks = z->ranks, .rank = z->rank, .span = span, .room = span + z->ranks,
                    .arena.name = "buckets" };
    b->depth = canonical ? canon_waiting((int64_t)z->rank * c->leaves, c->leaves) : 0;
    b->parts = b->rounds = 1;
    if (z->ranks == 1)
        return true;
    b->n = c->zero1 ? zero_lots(z, has_grad, span, NULL) : (int)ceil_div(z->table->grads, span);
    b->ring = (int)max64(1, min64(RING, b->n));     /* for fast sums, too: MPI allocates as much as it has under way */
    for (int r = 0; r < z->ranks; r++) {
        const int parts = canonical ? canon_parts((int64_t)r * c->leaves, c->leaves).n : 1;
        b->parts = r == z->rank ? parts : b->parts;
        b->rounds = parts > b->rounds ? parts : b->rounds;
        b->slots += parts;
    }
    b->piece = largest_piece(b);
    return b->slots * b->piece <= INT_MAX && b->room <= INT_MAX;
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

/* The order of additions over all parts of all replicas. */
static void order(Buckets *b)
{
    CanonNode *node = calloc((size_t)b->slots, sizeof *node);
    CHECK(node, "no memory for the parts of %d replicas", b->ranks);
    int n = 0;
    for (int r = 0; r < b->ranks; r++) {
        const CanonStack s = canon_parts((int64_t)r * b->c.leaves, b->c.leaves);
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
    if (b->lot)
        zero_lots(z, has_grad, b->span, b->lot);
    if (b->ranks > 1 && c->reduction == REDUCE_CANONICAL)
        order(b);
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

/* Elements of all buckets: all of them, this rank's to add up, and of those the ones whose sums then go to everybody. */
typedef struct { int64_t all, mine, shared; } Pieces;

static Pieces pieces(const Buckets *b)
{
    const Zero *z = b->z;
    Pieces p = { 0 };
    if (!b->c.zero1) {
        p.all = z->table->grads;                    /* with what aligns the tensors */
        for (int64_t end = p.all; end > 0; end -= b->span)
            p.mine += bucket_piece(min64(end, b->span), b->ranks, b->rank);
        p.shared = p.mine;
        return p;
    }
    Lot *lot = lots(b);
    for (int i = 0; i < z->table->n; i++)
        p.all += has_grad(z, i) ? z->table->p[i].count : 0;
    for (int k = 0; k < b->n; k++) {
        const int64_t n = zero_lot_count(z, has_grad, &lot[k], b->rank);
        p.mine += n;
        p.shared += bucket_shared(z, &lot[k]) ? n : 0;
    }
    free(lot);
    return p;
}

/* Sums by MPI: each bucket there and back. */
static int64_t summed_bytes(const Buckets *b)
{
    int64_t bytes = 0;
    for (int64_t end = b->z->table->grads; end > 0; end -= b->span)
        bytes += comm_sum_bytes(4 * min64(end, b->span), b->ranks);
    return bytes;
}

int64_t buckets_bytes(const Zero *z, const BucketConf *c)
{
    Buckets b;
    if (z->ranks == 1)
        return 0;
    measure(&b, z, c);
    if (c->reduction == REDUCE_FAST && c->wire == WIRE_FP32 && !c->zero1)
        return summed_bytes(&b);
    const Pieces p = pieces(&b);
    return (c->wire == WIRE_BF16 ? 2 : 4) * (b.parts * (p.all - p.mine) + (b.ranks - 1) * p.shared);
}

size_t buckets_foreign(const Zero *z, const BucketConf *c)
{
    Buckets b;
    if (z->ranks == 1 || c->reduction != REDUCE_FAST || c->wire != WIRE_FP32)
        return 0;
    measure(&b, z, c);
    return (size_t)(b.ring * b.span) * sizeof(float);
}
