#include "dist/bucket.h"

#include <string.h>

#include "core/fault.h"
#include "dist/bucketslot.h"

/* ---- one bucket's way ---- */

/* Part q of this replica's sums: the newest lies in the gradients, the others wait. */
static float *part(const Buckets *b, int q) { return q == b->tier[0].parts - 1 ? b->grads : b->waiting[q]; }
/* Everybody needs the whole sum. */
static bool is_collected(const Buckets *b, int k) { return b->last && !section_of(b, k)->owned; }
static bool is_half(const Buckets *b) { return b->c.wire == WIRE_BF16; }
/* Of one level, pieces go from where they lie and land where they belong. */
static bool is_packed(const Buckets *b) { return b->levels > 1 || is_half(b); }
/* Elements of this rank's run at a level. */
static int64_t mine_of(const Slot *s, const Tier *t) { return pieces_run(&s->pieces, &t->l, t->l.member); }

/* The pieces of part q by places, one behind the other. */
static void pack(const Buckets *b, Slot *s, int q)
{
    const Pieces *p = &s->pieces;
    const float *x = part(b, q) + section_of(b, s->bucket)->at;
    const int64_t *fixed = buckets_fixed(b, 0) ? b->fixed + section_of(b, s->bucket)->at : NULL;
    for (int k = 0; k < b->ranks; k++)
        if (is_half(b))
            op.to_bf16(s->half + p->packed[k], x + p->at[k], p->count[k]);
        else if (buckets_fixed(b, 0))
            op.fixed_add((int64_t *)s->packed + p->packed[k], fixed + p->at[k], x + p->at[k], p->count[k], b->limit);
        else
            op.copy((float *)s->packed + q * b->elements + p->packed[k], x + p->at[k], p->count[k]);
}

/* Run i of what came at a level. */
static void *box(const Buckets *b, const Slot *s, int level, int64_t i)
{
    const int64_t at = i * mine_of(s, &b->tier[level]);
    return buckets_fixed(b, level) ? (void *)((int64_t *)s->box[level] + at) : (void *)((float *)s->box[level] + at);
}

/* The sum of what came at a level, before it is float. */
static int64_t *fixed_sum(const Buckets *b, const Slot *s, int level) { return buckets_fixed(b, level) ? box(b, s, level, 0) : s->fixed; }

/* Element `at` of part q, as it goes to a level: of what the one before has summed up; of the first what is packed, or the gradients. */
static void *source(const Buckets *b, const Slot *s, int level, int q, int64_t at)
{
    if (buckets_fixed(b, level))
        return (level > 0 ? fixed_sum(b, s, level - 1) : is_packed(b) ? (int64_t *)s->packed : b->fixed + section_of(b, s->bucket)->at) + at;
    if (level > 0)
        return (float *)box(b, s, level - 1, b->tier[level - 1].first[q]) + at;
    return (is_packed(b) ? (float *)s->packed + q * b->elements : part(b, q) + section_of(b, s->bucket)->at) + at;
}

/* Where the run of a level's member j is in that. */
static int run_at(const Buckets *b, const Slot *s, const Level *l, int j)
{
    return is_packed(b) ? pieces_at(&s->pieces, l, j) - pieces_at(&s->pieces, l, 0) : s->pieces.at[j];
}

/* Part q: those who have one send the others their runs of it. */
static void exchange_part(const Buckets *b, Slot *s, int level, int q)
{
    const Tier *t = &b->tier[level];
    const int at = q * b->widest, size = t->l.size, mine = (int)mine_of(s, t);
    int total = 0;
    for (int j = 0; j < size; j++) {
        const int run = pieces_run(&s->pieces, &t->l, j);
        s->to[at + j] = q < t->parts && j != t->l.member ? run : 0;
        s->to_at[at + j] = run_at(b, s, &t->l, j);
        s->from[at + j] = q < t->parts_of[j] && j != t->l.member ? mine : 0;
        s->from_at[at + j] = (t->first_slot[j] + q) * mine;
        total += run;
    }
    if (is_half(b) && level > 0)
        op.to_bf16(s->half, source(b, s, level, q, 0), total);
    const void *out = is_half(b) ? (void *)s->half : q < t->parts ? source(b, s, level, q, 0) : NULL;
    comm_exchange_start(t->exchange, out, (CommPieces){ s->to + at, s->to_at + at }, is_half(b) ? (void *)s->half_in : s->box[level],
                        (CommPieces){ s->from + at, s->from_at + at }, buckets_elem(b, level), total, &s->op[q]);
}

static void exchange_start(const Buckets *b, Slot *s, int level)
{
    for (int q = 0; level == 0 && is_packed(b) && q < b->tier[0].parts; q++)
        pack(b, s, q);
    s->ops = b->tier[level].most;
    for (int q = 0; q < s->ops; q++)
        exchange_part(b, s, level, q);
}

/* Adds up the runs that came, and this rank's own: for the next level, or into this rank's place of the gradients.  Exact: in any order. */
static void add_fixed(const Buckets *b, Slot *s, int level)
{
    const Tier *t = &b->tier[level];
    const int64_t n = mine_of(s, t);
    int64_t *sum = fixed_sum(b, s, level);
    const void *first = NULL;
    for (int i = 0; i < t->slots; i++) {
        const void *x = i == t->l.member ? source(b, s, level, 0, run_at(b, s, &t->l, i)) : box(b, s, level, i);
        if (!buckets_fixed(b, level))
            op.fixed_add(sum, i > 0 ? sum : NULL, x, n, b->limit);
        else if (i > 0)
            op.fixed_join(sum, i > 1 ? sum : first, x, n);
        else
            first = x;
    }
    if (level == b->levels - 1)
        buckets_total_fixed(b, s, sum, n);
}

/* In the tree's order.  With bf16 this rank's own is rounded as the others are. */
static void add_floats(const Buckets *b, Slot *s, int level)
{
    const Tier *t = &b->tier[level];
    const int64_t n = mine_of(s, t), own = t->first_slot[t->l.member], at = run_at(b, s, &t->l, t->l.member);
    for (int i = 0; i < t->slots; i++) {
        s->x[i] = box(b, s, level, i);
        if (is_half(b))
            op.from_bf16(s->x[i], i == own ? s->half + at : s->half_in + i * n, n);
        else if (i >= own && i < own + t->parts)
            s->x[i] = source(b, s, level, (int)(i - own), at);
    }
    for (int k = 0; k < t->sums; k++) {
        const int first = t->first[k], nodes = t->first[k + 1] - first;
        float *sum = level < b->levels - 1 ? box(b, s, level, first) : grads_of(b, s) + s->pieces.at[b->place];
        op.sum_tree(sum, s->x + first, t->add + first - k, nodes - 1, n);
    }
    if (level == b->levels - 1)
        buckets_total_floats(b, s, n);
}

/* Everybody of a level's group gets everybody's run of sums. */
static void collect_start(const Buckets *b, Slot *s, int level)
{
    const Tier *t = &b->tier[level];
    const Pieces *p = &s->pieces;
    const float *own = grads_of(b, s) + p->at[b->place];
    if (level == b->levels - 1 && is_half(b))
        op.to_bf16(s->half + p->packed[b->place], own, p->count[b->place]);
    else if (level == b->levels - 1 && is_packed(b))
        op.copy((float *)s->packed + p->packed[b->place], own, p->count[b->place]);
    for (int j = 0; j < t->l.size; j++) {
        s->to[j] = pieces_run(p, &t->l, j);
        s->to_at[j] = is_packed(b) ? pieces_at(p, &t->l, j) : p->at[j];
    }
    s->ops = 1;
    comm_collect_start(t->collect, is_half(b) ? (void *)s->half : is_packed(b) ? s->packed : grads_of(b, s), (CommPieces){ s->to, s->to_at },
                       is_half(b) ? sizeof(uint16_t) : sizeof(float), &s->op[0]);
}

/* What all ranks have of the sum now lies where it belongs: with bf16 its own piece, too, so that all have the same bits. */
static void unpack(const Buckets *b, Slot *s)
{
    const Pieces *p = &s->pieces;
    float *x = grads_of(b, s);
    for (int k = 0; k < b->ranks && is_half(b); k++)
        op.from_bf16(x + p->at[k], s->half + p->packed[k], p->count[k]);
    if (is_packed(b) && !is_half(b))
        pieces_unpack(p, b->ranks, x, s->packed);
}

/* ---- all of them, in order ---- */

static Slot *slot(Buckets *b, int k) { return &b->slot[k % b->ring]; }

/* Bucket k comes to a stage: exchanges level by level, then, where the sum is collected, collections the other way round. */
static void enter(Buckets *b, int stage, int k)
{
    Slot *s = slot(b, k);
    s->ops = s->arrived = 0;
    if (stage == 0) {
        s->bucket = k;
        pieces_of(&s->pieces, b->z, b->round[k]);
    } else if (stage <= b->levels) {
        (b->c.reduction == REDUCE_EXACT ? add_fixed : add_floats)(b, s, stage - 1);
    }
    if (stage < b->levels)
        exchange_start(b, s, stage);
    if (b->c.drop && stage == (is_packed(b) ? 0 : 1) && !is_collected(b, k))        /* packed, or sent from where it lay */
        buckets_drop(b, s);
    if (stage >= b->levels && stage < b->stages && is_collected(b, k))
        collect_start(b, s, b->stages - 1 - stage);
    else if (stage == b->stages && is_collected(b, k))
        unpack(b, s);
    b->at[stage]++;
}

/* Is everything from its first element to the end of the buffer final? */
static bool is_ready(const Buckets *b, int k) { return b->tail <= section_of(b, k)->first; }

static void start(Buckets *b)
{
    while (b->at[0] < b->n && b->at[0] < b->at[b->stages] + b->ring && is_ready(b, b->at[0]))
        enter(b, 0, b->at[0]);
}

/* The first bucket of a stage goes on to the next; false if there is none or it is not through.  wait: until it is. */
static bool advance(Buckets *b, int stage, bool wait)
{
    const int k = b->at[stage + 1];
    if (k == b->at[stage])
        return false;
    for (Slot *s = slot(b, k); s->arrived < s->ops; s->arrived++) {
        if (wait)
            comm_wait(&s->op[s->arrived]);
        else if (!comm_test(&s->op[s->arrived]))
            return false;
    }
    enter(b, stage + 1, k);
    return true;
}

/* One bucket goes on, if one can.  wait: for the oldest.  Nobody else may be waited for: who waits for a newer one keeps the oldest from
   those whose ring it fills. */
static bool progress(Buckets *b, bool wait)
{
    for (int stage = b->stages - 1; stage >= 0; stage--)
        if (advance(b, stage, wait))
            return true;
    return false;
}

static void poll(Buckets *b)
{
    do
        start(b);
    while (progress(b, false));
}

/* ---- the door ---- */

/* Exact: what is packed for the levels joins the sum on the way (pack). */
static void settle_fixed(Buckets *b, int64_t from, int64_t n)
{
    if (b->c.leaves == 1 || b->each || (b->last && b->n > 0 && is_packed(b)))
        return;
    float *g = b->grads + from;
    int64_t *sum = b->fixed + from;
    op.fixed_add(sum, b->first ? NULL : sum, g, n, b->limit);
    if (!b->last)
        op.zero(g, n);
    else if (b->ranks == 1)
        op.fixed_round(g, sum, n);
}

/* Gradients [from, from + n) of this micro-batch are final: they join those of earlier ones. */
static void settle(Buckets *b, int64_t from, int64_t n)
{
    float *g = b->grads + from;
    FAULT_NUMBERS("backward", g, n);
    if (b->c.reduction == REDUCE_EXACT)
        settle_fixed(b, from, n);
    if (b->c.reduction != REDUCE_CANONICAL)
        return;
    for (int k = b->below + b->merges - 1; k >= b->below; k--)
        op.add_fwd(g, b->waiting[k] + from, g, n);
    if (b->last)
        return;
    op.copy(b->waiting[b->below] + from, g, n);
    buckets_clear(b, g, n);
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
    if (!b->sends || b->n == 0)
        return;
    while (b->tail > 0 && (b->final[b->tail - 1] || p[b->tail - 1].grad < 0))
        b->tail--;
    poll(b);
    while (b->c.drop && b->at[0] < b->n && is_ready(b, b->at[0])) {         /* the ring is full */
        progress(b, true);
        poll(b);
    }
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

/* All buckets of this micro-batch. */
static void finish(Buckets *b)
{
    zero_weights_wait(b->g->coming);
    close_leaf(b);
    b->tail = 0;
    while (b->at[b->stages] < b->n) {
        poll(b);
        progress(b, true);
    }
}

void buckets_begin(Buckets *b, int leaf)
{
    ASSERT(leaf < b->c.leaves);
    if (leaf == 0) {
        buckets_clear(b, b->grads, b->z->table->grads);
        buckets_clear_shares(b);
        b->stack.n = 0;
    } else if (b->each) {
        finish(b);
    } else {
        close_leaf(b);
    }
    ASSERT(b->at[b->stages] == b->n);
    b->first = leaf == 0;
    b->last = leaf == b->c.leaves - 1;
    b->sends = b->last || b->each;
    b->merges = canon_push(&b->stack, (CanonNode){ 0, (int64_t)b->rank * b->c.leaves + leaf });
    b->below = b->stack.n - 1;
    if (b->last && b->ranks == 1) {                 /* the root: nothing is to come that could be a sibling */
        b->merges += b->below;
        b->below = 0;
    }
    memset(b->final, false, (size_t)b->z->table->n);
    b->tail = b->z->table->n;
    if (b->sends)
        buckets_at(b, 0);
}

void buckets_leave(Buckets *b)
{
    ASSERT(b->at[0] == b->at[b->stages]);           /* backward starts them, and the next micro-batch waits for them */
    buckets_at(b, b->n);
    memset(b->final, true, (size_t)b->z->table->n);
}

void buckets_wait(Buckets *b)
{
    ASSERT(b->last);
    finish(b);
}
