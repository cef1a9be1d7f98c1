/*
 * bucketslot.h -- what bucket.c keeps: the buckets, and the few of them that are under way
 *
 * Private to bucket.c and bucketopen.c.
 */
#pragma once
#include "dist/bucket.h"
#include "dist/canon.h"

/* One bucket under way. */
typedef struct {
    int      bucket;
    int64_t  total;                 /* its elements */
    int     *count, *at;            /* (ranks) the pieces of a part, in the order of their owners */
    int     *to, *from, *from_at;   /* (rounds, ranks) what is sent and received in each round, and where it goes */
    float   *send;                  /* (parts, room) packed, with ZeRO */
    float   *recv;                  /* (slots, piece) what came, by part; with bf16 one piece */
    uint16_t *half, *half_recv;     /* (room) (ranks, piece) bf16 on the wire */
    float  **source;                /* (rounds) each part of this rank, its pieces one behind the other */
    float  **piece;                 /* (slots) this rank's piece of every part of every rank */
    float   *whole;                 /* where the pieces are collected */
    CommOp  *op, collected;         /* (rounds) */
    int      arrived;               /* rounds that have */
} Slot;

struct Buckets {
    BucketConf c;
    const Zero *z;
    float   *grads;
    const Grid *g;
    MPI_Comm dp, collect;
    int      ranks, rank;
    int64_t  span, room, piece;     /* elements: of a bucket; with what rounding adds; of the largest piece */
    int      n;                     /* buckets, counted from the end of the buffer; 0 with one rank */
    Lot     *lot;                   /* with ZeRO, in the order of the table */
    int      started, reduced, done;    /* done <= reduced <= started <= n, started - done <= ring */
    int      tail;                  /* the params [tail, table->n) are final or frozen, */
    int64_t  ready;                 /* so the gradients [ready, end of the buffer) are final */
    bool    *final;                 /* (table->n) */
    /* This replica's micro-batches: sums that wait for their sibling; the newest is in grads. */
    CanonStack stack;
    int      depth;                 /* buffers */
    float  **waiting;               /* (depth) each (table->grads) */
    int      merges, below;         /* of the present one: with waiting [below, below + merges) */
    bool     last;
    /* All replicas': parts are what a replica cannot add up further by itself. */
    int      parts, rounds, slots;  /* mine; the most of a rank; of all ranks */
    int     *parts_of, *first_slot; /* (ranks) */
    CanonAdd *add;                  /* (slots - 1) */
    int      ring;
    Slot    *slot;                  /* (ring) */
    Arena    arena;
};

/* An owner's equal part of a bucket of n elements, without ZeRO; the last ones are shorter. */
static inline int64_t bucket_piece(int64_t n, int ranks, int owner)
{
    const int64_t each = ceil_div(n, ranks);
    return max64(0, min64(each, n - owner * each));
}

/* Zero's `want` of what is reduced. */
static inline bool has_grad(const Zero *z, int i) { return z->table->p[i].grad >= 0; }

/* Has a lot sums that are not their owner's alone? */
bool bucket_shared(const Zero *z, const Lot *l);
