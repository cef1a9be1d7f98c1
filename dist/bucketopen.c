/* bucketopen.c -- what buckets need, measured and allocated (bucket.h) */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dist/bucketslot.h"

const char *const REDUCE_NAME[] = { [REDUCE_CANONICAL] = "canonical", [REDUCE_EXACT] = "exact", [REDUCE_FAST] = "fast" };

static bool canonical(const Buckets *b) { return b->c.reduction == REDUCE_CANONICAL; }

static bool exact(const Buckets *b) { return b->c.reduction == REDUCE_EXACT; }

/* What member j brings to a level: nodes of the tree; with the other reductions one sum, a leaf. */
static CanonStack nodes_of(const Buckets *b, const Level *l, int j)
{
    const int64_t leaves = (int64_t)l->stride * b->c.leaves;
    return canonical(b) ? canon_parts((l->block + j) * leaves, leaves) : canon_parts(j, 1);
}

static void layout_tier(Arena *a, Tier *t)
{
    t->parts_of = TAKE(a, int, t->l.size);   t->first_slot = TAKE(a, int, t->l.size);
    t->first = TAKE(a, int, t->sums + 1);    t->add = TAKE(a, Addition, t->slots);
}

/* As they are on the way to a level. */
static void *take_elements(const Buckets *b, Arena *a, int level, int64_t n)
{
    return buckets_fixed(b, level) ? (void *)TAKE(a, int64_t, n) : (void *)TAKE(a, float, n);
}

static void layout_slot(const Buckets *b, Arena *a, Slot *s)
{
    const bool half = b->c.wire == WIRE_BF16;
    const int64_t all = (int64_t)b->most * b->widest;
    s->pieces = pieces_take(a, b->ranks);
    s->to   = TAKE(a, int, all);   s->to_at   = TAKE(a, int, all);
    s->from = TAKE(a, int, all);   s->from_at = TAKE(a, int, all);
    s->op   = TAKE(a, CommOp, b->most);
    s->x    = TAKE(a, float *, b->slots);
    s->packed = b->levels > 1 && !half ? take_elements(b, a, 0, b->tier[0].parts * b->elements) : NULL;
    for (int i = 0; i < b->levels; i++)
        s->box[i] = half ? TAKE(a, float, b->tier[i].slots * b->tier[i].piece) : take_elements(b, a, i, b->tier[i].slots * b->tier[i].piece);
    s->fixed = exact(b) && !buckets_fixed(b, 0) && b->levels > 1 ? TAKE(a, int64_t, b->tier[0].piece) : b->total;
    s->half    = half ? TAKE(a, uint16_t, b->elements) : NULL;
    s->half_in = half ? TAKE(a, uint16_t, b->elements) : NULL;
}

/* Sums of this rank's shares: those of sections that everybody needs, too, until the last micro-batch. */
static void layout_shares(Buckets *b, Arena *a)
{
    const bool any = b->each && b->c.leaves > 1;
    int64_t n = 0;
    b->share_at = TAKE(a, int64_t, any ? b->z->sections : 0);
    for (int k = 0; k < b->z->sections; k++) {
        if (b->share_at && any)
            b->share_at[k] = n;
        n += zero_share(&b->z->section[k], b->rank).n;
    }
    b->share_fixed = any && exact(b) ? TAKE(a, int64_t, n) : NULL;
    b->share = any && !exact(b) ? TAKE(a, float, n) : NULL;
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
    b->fixed = exact(b) && b->c.leaves > 1 && !b->each ? TAKE(a, int64_t, b->z->table->grads) : NULL;
    layout_shares(b, a);
    if (b->ranks == 1)
        return;
    b->round = TAKE(a, Round, b->n);
    for (int i = 0; i < b->levels; i++)
        layout_tier(a, &b->tier[i]);
    b->total = exact(b) && !buckets_fixed(b, 0) && b->levels == 1 ? TAKE(a, int64_t, b->tier[0].piece) : NULL;
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
        b->elements = max64(b->elements, each * b->ranks);
    }
    return n;
}

static void measure_tier(Buckets *b, int i)
{
    Tier *t = &b->tier[i];
    const Levels *v = &b->z->levels;
    t->l = levels_at(v, i, b->rank);
    for (int j = 0; j < t->l.size; j++) {
        const int n = nodes_of(b, &t->l, j).n;
        t->parts = j == t->l.member ? n : t->parts;
        t->most = n > t->most ? n : t->most;
        t->slots += n;
    }
    t->sums = 1;
    if (i < v->n - 1) {
        const Level next = levels_at(v, i + 1, b->rank);
        t->sums = nodes_of(b, &next, next.member).n;
    }
    t->piece = b->elements / b->ranks * t->l.run;
    b->most = t->most > b->most ? t->most : b->most;
    b->slots = t->slots > b->slots ? t->slots : b->slots;
    b->widest = t->l.size > b->widest ? t->l.size : b->widest;
}

/* False: more ranks than MPI's ints can count pieces for. */
static bool counts(Buckets *b, const Zero *z, const BucketConf *c)
{
    CHECK(c->bytes > 0, "a bucket of %lld bytes", (long long)c->bytes);
    CHECK(c->wire == WIRE_FP32 || c->reduction == REDUCE_FAST, "bf16 on the wire goes with the fast reduction");
    *b = (Buckets){ .c = *c, .z = z, .ranks = z->ranks, .rank = z->rank, .levels = z->levels.n, .stages = 2 * z->levels.n, .arena.name = "buckets" };
    b->c.drop = c->drop && z->ranks > 1;
    b->each = b->c.drop && !canonical(b);
    if (c->bytes > INT_MAX)
        return false;
    b->limit = buckets_limit(c, z->ranks);
    b->depth = canonical(b) ? canon_waiting((int64_t)z->rank * c->leaves, c->leaves) : 0;
    if (z->ranks == 1)
        return true;
    b->n = list_rounds(b, NULL);
    b->ring = zero_ring(b->n, 8, z->table->grads * (int64_t)sizeof(float), c->bytes);
    bool ok = b->elements <= INT_MAX;
    for (int i = 0; i < b->levels; i++) {
        measure_tier(b, i);
        ok &= b->tier[i].slots * b->tier[i].piece <= INT_MAX;
    }
    b->place = b->tier[b->levels - 1].l.first + b->tier[b->levels - 1].l.member;
    return ok;
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

size_t buckets_waiting(const Zero *z, const BucketConf *c)
{
    Buckets b;
    int64_t shares = 0;
    measure(&b, z, c);
    const size_t sum = exact(&b) ? sizeof(int64_t) : sizeof(float);
    for (int k = 0; k < z->sections; k++)
        shares += zero_share(&z->section[k], z->rank).n;
    if (c->leaves == 1 || canonical(&b))
        return sum * (size_t)(b.depth * z->table->grads);
    return b.each ? sum * (size_t)shares : exact(&b) ? sum * (size_t)z->table->grads : 0;
}

int buckets_times(const BucketConf *c) { return c->drop && c->reduction != REDUCE_CANONICAL ? c->leaves : 1; }

float buckets_limit(const BucketConf *c, int replicas)
{
    const int64_t all = (int64_t)replicas * c->leaves;
    return c->reduction == REDUCE_EXACT && all > 1 ? FIXED_MOST / (float)all : INFINITY;
}

int buckets_ring(const Zero *z, const BucketConf *c, BucketLevel level[LEVELS])
{
    Buckets b;
    measure(&b, z, c);
    for (int i = 0; i < b.levels; i++)
        level[i] = (BucketLevel){ b.tier[i].l, b.tier[i].parts, b.tier[i].slots, buckets_elem(&b, i) };
    return b.ring;
}

/* Which parts a level's sums are of, and the order of their additions. */
static void order(const Buckets *b, Tier *t)
{
    CanonNode *node = calloc((size_t)t->slots, sizeof *node);
    int first[CANON_NODES + 1] = { 0, t->slots }, n = 0;
    CHECK(node, "no memory for the parts of %d replicas", t->l.size);
    for (int j = 0; j < t->l.size; j++) {
        const CanonStack s = nodes_of(b, &t->l, j);
        t->parts_of[j] = s.n;
        t->first_slot[j] = n;
        memcpy(node + n, s.node, (size_t)s.n * sizeof *node);
        n += s.n;
    }
    if (t->l.stride * t->l.size < b->ranks && canonical(b))
        t->sums = canon_sums(node, n, first);       /* as measured */
    memcpy(t->first, first, (size_t)(t->sums + 1) * sizeof *first);
    for (int k = 0; k < t->sums; k++)
        canon_additions(t->add + first[k] - k, node + first[k], first[k + 1] - first[k]);
    free(node);
}

static void open_tier(const Buckets *b, Tier *t)
{
    order(b, t);
    MPI_Comm *const both[] = { &t->exchange, &t->collect };
    for (int k = 0; k < 2; k++) {
        *both[k] = comm_split(b->g->dp, t->l.group, t->l.member);
        comm_axis(*both[k], AXIS_DP);
    }
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
    for (int i = 0; i < b->levels; i++)
        open_tier(b, &b->tier[i]);
    list_rounds(b, b->round);
    buckets_at(b, b->n);
    memset(b->final, true, (size_t)z->table->n);    /* a mark before the first begin is a bug */
    return b;
}

void buckets_close(Buckets *b)
{
    ASSERT(b->at[b->stages] == b->n);
    for (int i = 0; i < b->levels; i++) {
        comm_free(&b->tier[i].exchange);
        comm_free(&b->tier[i].collect);
    }
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

/* Elements of the shares at so many places. */
static int64_t shares(const Zero *z, const Section *s, int place, int n)
{
    int64_t sum = 0;
    for (int k = place; k < place + n; k++)
        sum += zero_share(s, z->owner[k]).n;
    return sum;
}

int64_t buckets_bytes(const Zero *z, const BucketConf *c)
{
    Buckets b;
    const int back = c->wire == WIRE_BF16 ? 2 : 4;
    int64_t sent = 0;
    measure(&b, z, c);
    for (int i = 0; i < b.levels; i++)
        for (int k = 0; k < z->sections; k++) {
            const Level *l = &b.tier[i].l;
            const Section *s = &z->section[k];
            const int64_t mine = shares(z, s, l->first + l->member * l->run, l->run);
            sent += (b.each ? c->leaves : 1) * buckets_elem(&b, i) * b.tier[i].parts * (shares(z, s, l->first, l->size * l->run) - mine);
            sent += s->owned ? 0 : back * (l->size - 1) * mine;
        }
    return sent;
}
