/*
 * bucket.h -- gradients summed over dp while backward still runs
 *
 * The flat gradient is cut into buckets of equal size, across tensors where it so happens.  Behind the
 * OnGrad door a bucket's sum over dp starts in place as soon as all its gradients are final.
 *
 *     flat gradient   |  0  |  1  |  2  |  3  |          backward fills it from the end to the front,
 *     started               ^ tail     <---              inside a block in any order
 *
 * DESIGN
 * Why buckets: a sum of a few MB stays in cache and runs at several times the rate of one of 100 MB.
 * Why polling: nobody but us makes MPI move.  A nonblocking sum progresses only inside MPI calls, and a
 *   progress thread would take a core from the arithmetic; so each call of the door tests what is under way.
 *   The model calls it with an empty range in the gaps of long parts.
 * What order: MPI wants the same order of collectives on all ranks, but a rank may mark its parameters in
 *   another order, or never mark some (no picture in its batch).  So buckets start strictly from the last to
 *   the first: a bucket starts when everything from its first element to the end of the buffer is final.
 *   A table in the order of forward makes this lose nothing.
 * Who owns what: from its start until buckets_wait returns a bucket belongs to MPI.
 *
 * With one rank in dp all of this does nothing.  Everything is allocated by buckets_open.
 *
 * Source  Li et al., "PyTorch Distributed", arXiv:2006.15704, section 3.2
 * Tests   tests/dist/test_bucket.c
 */
#pragma once
#include <mpi.h>

#include "core/param.h"

typedef struct Buckets Buckets;

/* grads is the flat buffer of t->grads elements; t, grads and dp must outlive the buckets.  bucket_bytes is
   equal on all ranks, about 2 MB.  Local. */
Buckets *buckets_open(const Params *t, float *grads, MPI_Comm dp, int64_t bucket_bytes);
void     buckets_close(Buckets *b);                /* Local; nothing may be under way */

/* The door; valid until buckets_close.  A param may be marked once between begin and wait. */
OnGrad   buckets_door(Buckets *b);
/* Before the backward of a step's last micro-batch: no gradient is final.  Local. */
void     buckets_begin(Buckets *b);
/* Starts what was never marked (nobody produced it here, so it is zero, but others may have), then waits
   for all: grads is the sum over dp.  Collective over dp. */
void     buckets_wait(Buckets *b);

double   buckets_waited(const Buckets *b);         /* seconds that the last buckets_wait took */
int64_t  buckets_bytes(const Buckets *b);          /* bytes that a step sums; 0 with one rank */
