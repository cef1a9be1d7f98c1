/* bucketdrop.c -- what buckets forget, and the sums over micro-batches that shares' owners keep instead (bucket.h: dropped) */
#include "dist/bucketslot.h"

/* ---- sums over micro-batches ---- */

/* Where the sum over micro-batches of this rank's piece is. */
static int64_t share_of(const Buckets *b, const Slot *s)
{
    const Section *all = section_of(b, s->bucket);
    return b->share_at[all - b->z->section] + all->at + s->pieces.at[b->place] - zero_share(all, b->rank).at;
}

void buckets_total_fixed(const Buckets *b, const Slot *s, const int64_t *sum, int64_t n)
{
    float *own = grads_of(b, s) + s->pieces.at[b->place];
    if (b->share_fixed && n > 0) {
        int64_t *all = b->share_fixed + share_of(b, s);
        op.fixed_join(all, all, sum, n);
        sum = all;
    }
    if (b->last)
        op.fixed_round(own, sum, n);
    else
        op.zero(own, n);
}

void buckets_total_floats(const Buckets *b, const Slot *s, int64_t n)
{
    float *own = grads_of(b, s) + s->pieces.at[b->place];
    if (!b->share || n == 0)
        return;
    float *all = b->share + share_of(b, s);
    op.add_fwd(b->last ? own : all, all, own, n);
    if (!b->last)
        op.zero(own, n);
}

void buckets_clear_shares(Buckets *b)
{
    int64_t n = 0;
    for (int k = 0; k < b->z->sections; k++)
        n += zero_share(&b->z->section[k], b->rank).n;
    if (b->share)
        op.zero(b->share, n);
    if (b->share_fixed)
        op.zero((float *)b->share_fixed, 2 * n);
}

/* ---- what is sent goes ---- */

static void forget(float *from, const float *to) { arena_forget(from, (size_t)(to - from) * sizeof *from); }

/* A page on the border of two pieces is whole in neither: with a section's last pieces all of it goes that is not this rank's. */
void buckets_drop(const Buckets *b, const Slot *s)
{
    const Section *all = section_of(b, s->bucket);
    const Range own = zero_share(all, b->rank);
    const Pieces *p = &s->pieces;
    float *x = grads_of(b, s);
    if (b->round[s->bucket].from + b->round[s->bucket].n >= all->each) {
        const int64_t mine = own.n ? own.at - all->at : 0;
        forget(x, x + mine);
        forget(x + mine + own.n, x + all->n);
        return;
    }
    for (int k = 0; k < b->ranks; k++)
        if (k != b->place && p->count[k] > 0)
            forget(x + p->at[k], x + p->at[k] + p->count[k]);
}

void buckets_clear(const Buckets *b, float *g, int64_t n)
{
    if (b->c.drop)
        forget(g, g + n);
    else
        op.zero(g, n);
}
