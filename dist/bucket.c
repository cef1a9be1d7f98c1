#include "dist/bucket.h"

#include <string.h>

#include "core/fault.h"
#include "dist/bucketslot.h"

/* ---- one bucket's way ---- */

static const Section *section_of(const Buckets *b, int k) { return &b->z->section[b->round[k].section]; }
/* Part q of this replica's sums: the newest lies in the gradients, the others wait. */
static float *part(const Buckets *b, int q) { return q == b->parts - 1 ? b->grads : b->waiting[q]; }
/* Everybody needs the whole sum. */
static bool is_collected(const Buckets *b, int k) { return !section_of(b, k)->owned; }

/* Part q: those who have one send its pieces to all others. */
static void exchange_part(const Buckets *b, Slot *s, int q)
{
    int *to = s->to + q * b->ranks, *from = s->from + q * b->ranks, *at = s->from_at + q * b->ranks;
    const int mine = s->count[b->rank];
    for (int r = 0; r < b->ranks; r++) {
        to[r] = q < b->parts && r != b->rank ? s->count[r] : 0;
        from[r] = q < b->parts_of[r] && r != b->rank ? mine : 0;
        at[r] = (b->first_slot[r] + q) * mine;
    }
    comm_exchange_start(b->dp, q < b->parts ? part(b, q) + section_of(b, s->bucket)->at : NULL, (CommPieces){ to, s->at }, s->recv,
                        (CommPieces){ from, at }, sizeof(float), s->total, &s->op[q]);
}

/* Pieces of floats where they lie to 16 bits one behind the other, or back. */
static void narrow(const Buckets *b, const Slot *s, const float *x)
{
    for (int r = 0; r < b->ranks; r++)
        op.to_bf16(s->half + s->half_at[r], x + s->at[r], s->count[r]);
}

static void widen(const Buckets *b, const Slot *s, float *x)
{
    for (int r = 0; r < b->ranks; r++)
        op.from_bf16(x + s->at[r], s->half + s->half_at[r], s->count[r]);
}

static void exchange_halves(const Buckets *b, Slot *s)
{
    const int mine = s->count[b->rank];
    narrow(b, s, b->grads + section_of(b, s->bucket)->at);
    for (int r = 0; r < b->ranks; r++) {
        s->to[r] = r != b->rank ? s->count[r] : 0;
        s->from[r] = r != b->rank ? mine : 0;
        s->from_at[r] = r * mine;
    }
    comm_exchange_start(b->dp, s->half, (CommPieces){ s->to, s->half_at }, s->half_recv, (CommPieces){ s->from, s->from_at },
                        sizeof(uint16_t), s->total, &s->op[0]);
}

static void slot_start(Buckets *b, Slot *s, int k)
{
    s->bucket = k;
    s->total = zero_round_pieces(section_of(b, k), b->ranks, b->round[k], s->count, s->at);
    if (b->c.wire == WIRE_FP32) {
        for (int q = 0; q < b->most; q++)
            exchange_part(b, s, q);
        return;
    }
    for (int r = 0, at = 0; r < b->ranks; at += s->count[r++])
        s->half_at[r] = at;
    exchange_halves(b, s);
}

/* Adds up the pieces that came, and this rank's own, in the tree's order, into this rank's place of the gradients. */
static void add_pieces(const Buckets *b, Slot *s)
{
    const int n = s->count[b->rank], own = b->first_slot[b->rank];
    const int64_t at = section_of(b, s->bucket)->at + s->at[b->rank];
    for (int i = 0; i < b->slots; i++)
        s->x[i] = i >= own && i < own + b->parts ? part(b, i - own) + at : s->recv + (int64_t)i * n;
    for (int r = 0; b->c.wire == WIRE_BF16 && r < b->ranks; r++)
        if (r != b->rank)
            op.from_bf16(s->x[r], s->half_recv + (int64_t)r * n, n);
    op.sum_tree(b->grads + at, s->x, b->add, b->slots - 1, n);
}

/* This rank's piece is summed: it goes to all others if they need it. */
static void slot_reduced(Buckets *b, Slot *s)
{
    float *at = b->grads + section_of(b, s->bucket)->at;
    add_pieces(b, s);
    if (!is_collected(b, s->bucket))
        return;
    if (b->c.wire == WIRE_FP32) {
        comm_collect_start(b->collect, at, (CommPieces){ s->count, s->at }, sizeof(float), &s->collected);
        return;
    }
    op.to_bf16(s->half + s->half_at[b->rank], at + s->at[b->rank], s->count[b->rank]);
    comm_collect_start(b->collect, s->half, (CommPieces){ s->count, s->half_at }, sizeof(uint16_t), &s->collected);
}

static void slot_end(Buckets *b, Slot *s)
{
    if (b->c.wire == WIRE_BF16)
        widen(b, s, b->grads + section_of(b, s->bucket)->at);       /* its own piece, too: the same bits on all ranks */
}

/* ---- all of them, in order ---- */

static Slot *slot(Buckets *b, int k) { return &b->slot[k % b->ring]; }

/* Is everything from its first element to the end of the buffer final? */
static bool is_ready(const Buckets *b, int k) { return b->tail <= section_of(b, k)->first; }

static void start(Buckets *b)
{
    for (; b->started < b->n && b->started < b->done + b->ring && is_ready(b, b->started); b->started++)
        slot_start(b, slot(b, b->started), b->started);
}

/* One more bucket is reduced, or has ended; false if neither has come so far.  wait: until one of them has. */
static bool progress(Buckets *b, bool wait)
{
    if (b->reduced < b->started) {
        Slot *s = slot(b, b->reduced);
        for (; s->arrived < b->most; s->arrived++) {
            if (wait)
                comm_wait(&s->op[s->arrived]);
            else if (!comm_test(&s->op[s->arrived]))
                break;
        }
        if (s->arrived == b->most) {
            s->arrived = 0;
            slot_reduced(b, s);
            b->reduced++;
            return true;
        }
    }
    if (b->done == b->reduced)
        return false;
    Slot *s = slot(b, b->done);
    if (is_collected(b, b->done)) {
        if (wait)
            comm_wait(&s->collected);
        else if (!comm_test(&s->collected))
            return false;
        slot_end(b, s);
    }
    b->done++;
    return true;
}

static void poll(Buckets *b)
{
    do
        start(b);
    while (progress(b, false));
}

/* ---- the door ---- */

/* Gradients [from, from + n) of this micro-batch are final: they join those of earlier ones. */
static void settle(Buckets *b, int64_t from, int64_t n)
{
    float *g = b->grads + from;
    FAULT_NUMBERS("backward", g, n);
    if (b->c.reduction != REDUCE_CANONICAL)
        return;
    for (int k = b->below + b->merges - 1; k >= b->below; k--)
        op.add_fwd(g, b->waiting[k] + from, g, n);
    if (b->last)
        return;
    op.copy(b->waiting[b->below] + from, g, n);
    op.zero(g, n);
}

/* A door call of the model: marks, starts what that makes ready, lets the rest progress. */
static void mark(void *ctx, int first, int last)
{
    Buckets *b = ctx;
    const Param *p = b->z->table->p;
    zero_weights_wait(b->g->coming);
    for (int i = first; i < last; i++) {
        ASSERT(!b->final[i]);
        b->final[i] = true;
        if (p[i].grad >= 0)
            settle(b, p[i].grad, p[i].count);
    }
    if (!b->last || b->n == 0)
        return;
    while (b->tail > 0 && (b->final[b->tail - 1] || p[b->tail - 1].grad < 0))
        b->tail--;
    poll(b);
}

OnGrad buckets_door(Buckets *b) { return (OnGrad){ mark, b }; }

/* What nobody marked in this micro-batch. */
static void close_leaf(Buckets *b)
{
    for (int i = 0; i < b->z->table->n; i++)
        if (!b->final[i] && b->z->of[i] >= 0)
            settle(b, b->z->table->p[i].grad, b->z->table->p[i].count);
    memset(b->final, true, (size_t)b->z->table->n);
}

void buckets_begin(Buckets *b, int leaf)
{
    ASSERT(b->done == b->n && leaf < b->c.leaves);
    if (leaf == 0) {
        op.zero(b->grads, b->z->table->grads);
        b->stack.n = 0;
    } else {
        close_leaf(b);
    }
    b->last = leaf == b->c.leaves - 1;
    b->merges = canon_push(&b->stack, (CanonNode){ 0, (int64_t)b->rank * b->c.leaves + leaf });
    b->below = b->stack.n - 1;
    if (b->last && b->ranks == 1) {                 /* the root: nothing is to come that could be a sibling */
        b->merges += b->below;
        b->below = 0;
    }
    memset(b->final, false, (size_t)b->z->table->n);
    b->tail = b->z->table->n;
    if (b->last)
        b->started = b->reduced = b->done = 0;
}

void buckets_leave(Buckets *b)
{
    ASSERT(b->started == b->done);                  /* the last micro-batch's backward starts them, no other */
    b->started = b->reduced = b->done = b->n;
    memset(b->final, true, (size_t)b->z->table->n);
}

void buckets_wait(Buckets *b)
{
    ASSERT(b->last);
    zero_weights_wait(b->g->coming);
    close_leaf(b);
    b->tail = 0;
    while (b->done < b->n) {
        poll(b);
        if (b->done < b->n)
            progress(b, true);
    }
}
