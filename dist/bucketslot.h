/*
 * bucketslot.h -- what bucket.c keeps: the buckets, and those that are under way
 *
 * Private to bucket.c and bucketopen.c.
 */
#pragma once
#include "core/ops.h"
#include "dist/bucket.h"
#include "dist/canon.h"

/* One bucket under way. */
typedef struct {
    int      bucket;
    int64_t  total;                 /* its elements */
    int     *count, *at;            /* (ranks) the pieces, in the section */
    int     *half_at;               /* (ranks) the same one behind the other; with bf16 */
    int     *to, *from, *from_at;   /* (parts, ranks) what is sent and received of each part, and where it goes */
    float   *recv;                  /* (slots, piece) what came, by part; with bf16 one piece */
    uint16_t *half, *half_recv;     /* (ranks, piece) bf16 on the wire */
    float  **x;                     /* (slots) this rank's piece of every part of every rank */
    CommOp  *op, collected;         /* (most) */
    int      arrived;               /* parts that have */
} Slot;

struct Buckets {
    BucketConf c;
    const Zero *z;
    float   *grads;
    const Grid *g;
    MPI_Comm dp, collect;
    int      ranks, rank;
    int64_t  piece;                 /* elements of the largest piece */
    int      n;                     /* buckets; 0 with one rank */
    Round   *round;                 /* (n) in the order in which they start: from the end of the buffer */
    int      started, reduced, done;    /* done <= reduced <= started <= n, started - done <= ring */
    int      tail;                  /* the params [tail, table->n) are final or frozen */
    bool    *final;                 /* (table->n) */
    /* This replica's micro-batches: sums that wait for their sibling; the newest is in grads. */
    CanonStack stack;
    int      depth;                 /* buffers */
    float  **waiting;               /* (depth) each (table->grads) */
    int      merges, below;         /* of the present one: with waiting [below, below + merges) */
    bool     last;
    /* All replicas': parts are what a replica cannot add up further by itself. */
    int      parts, most, slots;    /* mine; of the rank with most; of all ranks */
    int     *parts_of, *first_slot; /* (ranks) */
    Addition *add;                  /* (slots - 1) */
    int      ring;
    Slot    *slot;                  /* (ring) */
    Arena    arena;
};
