/*
 * bucketslot.h -- what bucket.c keeps: the levels of the exchange, the buckets, and those that are under way
 *
 * Private to bucket.c, bucketopen.c and bucketdrop.c.
 */
#pragma once
#include "core/ops.h"
#include "dist/bucket.h"
#include "dist/canon.h"

/* A level as this rank's group has it: parts are what a member cannot add up further by itself, sums what the group cannot. */
typedef struct {
    Level    l;
    MPI_Comm exchange, collect;
    int      parts, most, slots;        /* mine; of the member with most; of all members */
    int     *parts_of, *first_slot;     /* (size) */
    int      sums;                      /* the parts of the next level; of the last one: 1 */
    int     *first;                     /* (sums + 1) sum k is of the slots first[k] .. first[k + 1] - 1 */
    Addition *add;                      /* (slots) of sum k from first[k] - k on */
    int64_t  piece;                     /* elements of the largest run of places */
} Tier;

/* One bucket under way. */
typedef struct {
    int      bucket;
    Pieces   pieces;                    /* by places */
    int     *to, *to_at, *from, *from_at;   /* (parts, members) of the collectives of its stage */
    void    *packed;                    /* (parts, elements) with several levels: what goes to the first; floats that come back */
    void    *box[LEVELS];               /* (slots, piece) what came at a level, by part; then its sums, each in its first slot */
    int64_t *fixed;                     /* (piece) the sum, in fixed point, of a level to which floats came */
    uint16_t *half, *half_in;           /* (elements), (slots, piece) bf16 on the wire */
    float  **x;                         /* (slots) this rank's run of every part of every member */
    CommOp  *op;                        /* (most) */
    int      ops, arrived;              /* of its stage: so many, so many of them have */
} Slot;

enum { STAGES = 2 * LEVELS };           /* there, level by level, and back */

struct Buckets {
    BucketConf c;
    const Zero *z;
    float   *grads;
    const Grid *g;
    int      ranks, rank;
    int      levels, place;             /* place: of this rank's share */
    Tier     tier[LEVELS];
    int      most, widest, slots;       /* the most of any level: parts, members, slots */
    int64_t  elements;                  /* of the largest bucket */
    int      n;                         /* buckets; 0 with one rank */
    Round   *round;                     /* (n) in the order in which they start: from the end of the buffer */
    int      stages, at[STAGES + 1];    /* so many buckets have come to a stage, in order; at[stages]: have ended */
    int      tail;                      /* the params [tail, table->n) are final or frozen */
    bool    *final;                     /* (table->n) */
    /* This replica's micro-batches: sums that wait for their sibling; the newest is in grads. */
    CanonStack stack;
    int      depth;                     /* buffers */
    float  **waiting;                   /* (depth) each (table->grads) */
    int      merges, below;             /* of the present one: with waiting [below, below + merges) */
    bool     first, last, sends;        /* of the step; sends: is it exchanged, or does its sum wait? */
    bool     each;                      /* every micro-batch is exchanged by itself */
    int64_t *fixed;                     /* (table->grads) exact: the sum of all so far; NULL where a replica has one micro-batch */
    int64_t *total;                     /* (piece) of one level: becomes float at once, so that one does for all slots */
    int64_t *share_at;                  /* (sections) where this rank's share begins in: */
    float   *share;                     /* each, of several micro-batches: sums of those before; NULL where there are none */
    int64_t *share_fixed;               /* the same of exact */
    float    limit;                     /* of an addend: so many of them are in range */
    int      ring;
    Slot    *slot;                      /* (ring) */
    Arena    arena;
};

/* Exact sums of several micro-batches travel in fixed point, a single one as it is. */
static inline bool buckets_fixed(const Buckets *b, int level)
{
    return b->c.reduction == REDUCE_EXACT && (level > 0 || (b->c.leaves > 1 && !b->each));
}

/* Bytes of an element on the way there. */
static inline int buckets_elem(const Buckets *b, int level)
{
    return b->c.wire == WIRE_BF16 ? sizeof(uint16_t) : buckets_fixed(b, level) ? sizeof(int64_t) : sizeof(float);
}

static inline const Section *section_of(const Buckets *b, int k) { return &b->z->section[b->round[k].section]; }
static inline float *grads_of(const Buckets *b, const Slot *s) { return b->grads + section_of(b, s->bucket)->at; }

/* The sum over replicas of this rank's piece, of n elements, is here (floats: in its place): the micro-batches before join in.  The
   total comes to its place of the gradients after the last one; before that there is zero. */
void buckets_total_fixed(const Buckets *b, const Slot *s, const int64_t *sum, int64_t n);
void buckets_total_floats(const Buckets *b, const Slot *s, int64_t n);
void buckets_clear_shares(Buckets *b);             /* those sums begin anew */
/* Others' pieces of a bucket become zero, and their pages go; what lies at g becomes zero, and goes if anything does. */
void buckets_drop(const Buckets *b, const Slot *s);
void buckets_clear(const Buckets *b, float *g, int64_t n);

/* So many have come to every stage: none is under way. */
static inline void buckets_at(Buckets *b, int n)
{
    for (int k = 0; k <= STAGES; k++)
        b->at[k] = n;
}
