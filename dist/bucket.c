#include "dist/bucket.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/ops.h"
#include "dist/bucketslot.h"

/* ---- what a bucket is ---- */

static int64_t bucket_end(const Buckets *b, int k) { return b->z->table->grads - k * b->span; }
static int64_t bucket_start(const Buckets *b, int k) { return max64(0, bucket_end(b, k) - b->span); }
static const Lot *lot_of(const Buckets *b, int k) { return &b->lot[b->n - 1 - k]; }

static int64_t piece_count(const Buckets *b, int k, int owner)
{
    if (b->lot)
        return zero_lot_count(b->z, has_grad, lot_of(b, k), owner);
    return bucket_piece(bucket_end(b, k) - bucket_start(b, k), b->ranks, owner);
}

/* Is everything from its first element to the end of the buffer final? */
static bool is_ready(const Buckets *b, int k)
{
    return b->lot ? b->tail <= lot_of(b, k)->first : bucket_start(b, k) >= b->ready;
}

/* Everybody needs the whole sum: without ZeRO, and of what is learned by averages. */
static bool is_collected(const Buckets *b, int k) { return !b->lot || bucket_shared(b->z, lot_of(b, k)); }

/* Part q of this replica's sums: the newest lies in the gradients, the others wait. */
static float *part(const Buckets *b, int q) { return q == b->parts - 1 ? b->grads : b->waiting[q]; }

/* ---- one bucket's way ---- */

static void place(const Buckets *b, Slot *s, int k)
{
    s->bucket = k;
    s->total = 0;
    for (int r = 0; r < b->ranks; r++) {
        s->count[r] = (int)piece_count(b, k, r);
        s->at[r] = (int)s->total;
        s->total += s->count[r];
    }
}

/* Part q of a bucket, its pieces one behind the other in the order of their owners. */
static float *gathered(const Buckets *b, Slot *s, int q)
{
    if (!b->lot)
        return part(b, q) + bucket_start(b, s->bucket);
    float *to = s->send + q * b->room;
    for (int r = 0; r < b->ranks; r++)
        zero_lot_pack(to + s->at[r], b->z, has_grad, lot_of(b, s->bucket), r, part(b, q), OF_GRADS);
    return to;
}

/* Round q: those who have a part q send its pieces to all others. */
static void exchange_part(const Buckets *b, Slot *s, int q)
{
    int *to = s->to + q * b->ranks, *from = s->from + q * b->ranks, *at = s->from_at + q * b->ranks;
    const int mine = s->count[b->rank];
    s->source[q] = q < b->parts ? gathered(b, s, q) : NULL;
    for (int r = 0; r < b->ranks; r++) {
        to[r] = q < b->parts && r != b->rank ? s->count[r] : 0;
        from[r] = q < b->parts_of[r] && r != b->rank ? mine : 0;
        at[r] = (b->first_slot[r] + q) * mine;
    }
    comm_exchange_start(b->dp, s->source[q], (CommPieces){ to, s->at }, s->recv, (CommPieces){ from, at }, sizeof(float),
                        s->total, &s->op[q]);
}

static void exchange_halves(const Buckets *b, Slot *s)
{
    const int mine = s->count[b->rank];
    s->source[0] = gathered(b, s, 0);
    op.to_bf16(s->half, s->source[0], s->total);
    for (int r = 0; r < b->ranks; r++) {
        s->to[r] = r != b->rank ? s->count[r] : 0;
        s->from[r] = r != b->rank ? mine : 0;
        s->from_at[r] = r * mine;
    }
    comm_exchange_start(b->dp, s->half, (CommPieces){ s->to, s->at }, s->half_recv, (CommPieces){ s->from, s->from_at },
                        sizeof(uint16_t), s->total, &s->op[0]);
}

static void slot_start(Buckets *b, Slot *s, int k)
{
    place(b, s, k);
    if (b->c.reduction == REDUCE_CANONICAL)
        for (int q = 0; q < b->rounds; q++)
            exchange_part(b, s, q);
    else if (b->c.wire == WIRE_BF16)
        exchange_halves(b, s);
    else if (!b->lot)
        comm_sum_start(b->dp, b->grads + bucket_start(b, k), (int)s->total, &s->op[0]);
    else
        comm_scatter_sum_start(b->dp, gathered(b, s, 0), s->recv, s->count, &s->op[0]);
}

/* Adds up the pieces that came, and this rank's own, in the tree's order; returns where the sum is. */
static float *add_canonical(const Buckets *b, Slot *s)
{
    const int n = s->count[b->rank], own = b->first_slot[b->rank];
    for (int i = 0; i < b->slots; i++)
        s->piece[i] = i >= own && i < own + b->parts ? s->source[i - own] + s->at[b->rank] : s->recv + (int64_t)i * n;
    for (int i = 0; i < b->slots - 1; i++) {
        const CanonAdd a = b->add[i];
        op.add_fwd(s->piece[a.to], s->piece[a.to], s->piece[a.from], n);
    }
    return s->piece[0];
}

static float *add_halves(const Buckets *b, Slot *s)
{
    const int n = s->count[b->rank];
    float *sum = s->source[0] + s->at[b->rank];
    for (int r = 0; r < b->ranks; r++)
        if (r != b->rank) {
            op.from_bf16(s->recv, s->half_recv + (int64_t)r * n, n);
            op.add_fwd(sum, sum, s->recv, n);
        }
    return sum;
}

/* This rank's piece is summed: it goes to its place, and to all others if they need it. */
static void slot_reduced(Buckets *b, Slot *s)
{
    const int n = s->count[b->rank], at = s->at[b->rank];
    const bool half = b->c.wire == WIRE_BF16;
    if (b->c.reduction == REDUCE_FAST && !half && !b->lot)
        return;
    const float *sum = b->c.reduction == REDUCE_CANONICAL ? add_canonical(b, s) : half ? add_halves(b, s) : s->recv;
    if (!is_collected(b, s->bucket)) {
        zero_lot_unpack(b->grads, b->z, has_grad, lot_of(b, s->bucket), b->rank, sum, OF_GRADS);
        return;
    }
    s->whole = b->lot ? s->send : b->grads + bucket_start(b, s->bucket);
    if (half)
        op.to_bf16(s->half + at, sum, n);
    else if (sum != s->whole + at)
        op.copy(s->whole + at, sum, n);
    comm_collect_start(b->collect, half ? (void *)s->half : s->whole, (CommPieces){ s->count, s->at },
                       half ? sizeof(uint16_t) : sizeof(float), &s->collected);
}

static void slot_end(Buckets *b, Slot *s)
{
    if (b->c.wire == WIRE_BF16)
        op.from_bf16(s->whole, s->half, s->total);
    for (int r = 0; b->lot && r < b->ranks; r++)
        zero_lot_unpack(b->grads, b->z, has_grad, lot_of(b, s->bucket), r, s->whole + s->at[r], OF_GRADS);
}

/* ---- all of them, in order ---- */

static Slot *slot(Buckets *b, int k) { return &b->slot[k % b->ring]; }

static bool collects(const Buckets *b, int k)
{
    return is_collected(b, k) && !(b->c.reduction == REDUCE_FAST && b->c.wire == WIRE_FP32 && !b->lot);
}

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
        for (; s->arrived < b->rounds; s->arrived++) {
            if (wait)
                comm_wait(&s->op[s->arrived]);
            else if (!comm_test(&s->op[s->arrived]))
                break;
        }
        if (s->arrived == b->rounds) {
            s->arrived = 0;
            slot_reduced(b, s);
            b->reduced++;
            return true;
        }
    }
    if (b->done == b->reduced)
        return false;
    Slot *s = slot(b, b->done);
    if (collects(b, b->done)) {
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
    for (; b->tail > 0 && (b->final[b->tail - 1] || p[b->tail - 1].grad < 0); b->tail--)
        if (p[b->tail - 1].grad >= 0)
            b->ready = p[b->tail - 1].grad;
    poll(b);
}

OnGrad buckets_door(Buckets *b) { return (OnGrad){ mark, b }; }

/* What nobody marked in this micro-batch. */
static void close_leaf(Buckets *b)
{
    for (int i = 0; i < b->z->table->n; i++)
        if (!b->final[i] && has_grad(b->z, i))
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
    b->ready = b->z->table->grads;
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
    b->ready = b->tail = 0;
    while (b->done < b->n) {
        poll(b);
        if (b->done < b->n)
            progress(b, true);
    }
}
