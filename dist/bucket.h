/*
 * bucket.h -- gradients added up over micro-batches and replicas while backward still runs
 *
 * The sections of zero.h are exchanged in rounds, a few MB at a time: one round of one section is a bucket.  Behind the OnGrad door a
 * bucket starts to be reduced as soon as all gradients of its section are final.
 *
 *     flat gradient   |    0    |    1    |    2    |      backward fills it from the end to the front,
 *     started                   ^ tail       <---          inside a block in any order
 *
 * The gradient of each micro-batch is a leaf of the tree of canon.h.  Leaves of this replica are added up as they become final, tensor
 * by tensor, while they are in cache; then every rank sends every other its piece of the bucket, what lies in that rank's share, adds
 * up the pieces that it got in the tree's order, and (where a section is not owned) sends the sum to all.  Many replicas do so in the
 * levels of levels.h: parts of the bucket among a few, parts of their sums among others, and back the other way round.  Any way carries as
 * many bytes as a ring or recursive halving does; in few exchanges instead of log2 of them, because each waits for the next poll; and
 * any number of replicas will do.
 *
 *     rank 0  [a0|a1|a2]         a0 b0 c0 -> (a0+b0)+c0          micro-batches 0 1 2 on ranks 0 1 2:
 *     rank 1  [b0|b1|b2]  --->   a1 b1 c1 -> (a1+b1)+c1          the tree over three leaves
 *     rank 2  [c0|c1|c2]         a2 b2 c2 -> (a2+b2)+c2
 *
 * A group's micro-batches are a range; what it cannot add up to one node of the tree goes on as several parts (canon_sums), so the bits
 * are the tree's whatever the levels.
 *
 * Of one level, pieces lie in the flat gradient where they belong, there and back; of several they are packed once by places, so that
 * each member's run is one message, and unpacked at the end.
 *
 * Exact: a gradient becomes whole numbers of 2^-FIXED_BITS (op.fixed_add), whose sums are the same bits in any order, and the total becomes
 * float once.  So one sum in 64 bits takes in one micro-batch after the other, in place of sums that wait for each other, and goes on as it
 * is; a replica with a single micro-batch sends its floats, and who gets them makes whole numbers of them.  Each addend must be below
 * FIXED_MOST / all micro-batches of a step, so that any total is in range; where one is not, or is inf or NaN, the sum is NaN.
 *
 * Fast: micro-batches add up where they lie, and the tree's leaves are the members of each level; bf16 on the wire rounds to 16 bits what
 * is sent, at each level and on the way back, and all is added in fp32.
 *
 * Afterwards this rank's shares in grads are the sum, and all of a section that is not owned; the rest is undefined.
 *
 * Dropped (ZeRO-2): others' shares of owned sections are forgotten (arena.h) as soon as they are sent, so that of a gradient a rank has
 * its own shares, and of the others what is in the making or on its way:
 *
 *     flat gradient   |  ..o..  |  wwoww  |  mmmmm  |  --o--  |  --o--  |      m in the making   w on its way   o own share, sums
 *                        of before the step: zeros               sent          - no memory
 *
 * Exact and fast sums then take in one micro-batch after the other: each is exchanged in its own backward, and a share's owner adds
 * them up; of exact ones in any order, so to the same bits; fast ones in another order than without.  The tree's sums wait at home,
 * whole, since a node is added up when its last leaf is there; the last micro-batch alone is exchanged, and dropped.
 *
 * DESIGN
 * Why buckets: a sum of a few MB stays in cache and runs at several times the rate of one of 100 MB.
 * Why polling: nobody but us makes MPI move.  A collective in two phases progresses only inside MPI calls, and a
 *   progress thread would take a core from the arithmetic; so each call of the door tests what is under way.
 *   The model calls it with an empty range in the gaps of long parts; between the tiles of a long op MPI moves, too (comm_progress).
 * What order: MPI wants the same order of collectives on all ranks, but a rank may mark its parameters in
 *   another order, or never mark some (no picture in its batch).  So sections start strictly from the last to
 *   the first: one starts when everything from its first element to the end of the buffer is final.
 *   Each level has a communicator for each direction, with the same order.  Who waits, waits for the oldest bucket: some rank's ring is
 *   full until that one is through.
 * Who owns what: from its start until buckets_wait returns a bucket belongs to MPI.
 * Who waits: dropping bounds memory only if a rank does not produce faster than it sends.  So its door returns only when all that is
 *   final has been started: if the ring is full it waits for the oldest bucket.  That cannot lock up.  Where it waits, and for which
 *   bucket, depends on its place in the program alone, which a replica's tp ranks share: whoever is past such a place is through
 *   with that bucket.  Take the oldest bucket that anybody waits for.  A peer that is not through with it either waits for the same one,
 *   or computes, or is in a sum over tp whose last rank waits in some door for a younger bucket; but the peer has passed that door, so it
 *   is through with the younger one, and with all before.
 * What comes before: weights that are still on their way (zero.h).  A rank whose batch did not need some of them has not
 *   waited for them, and another rank may wait for this one to pass them on; so the door's first call waits for all.
 *
 * Everything is allocated by buckets_open.
 *
 * Source  Li et al., "PyTorch Distributed", arXiv:2006.15704, section 3.2; ZeRO, arXiv:1910.02054, section 5 (stage 2); docs/PARALLEL.md
 * Tests   tests/dist/test_bucket.c, test_exact_sum.c (by hand on 6, 8 and 12 ranks, too: all their levels), tests/launch/replicas.sh, exact.sh
 */
#pragma once
#include "dist/zero.h"

enum { REDUCE_CANONICAL, REDUCE_EXACT, REDUCE_FAST };
extern const char *const REDUCE_NAME[];
enum { WIRE_FP32, WIRE_BF16 };

typedef struct {
    int     reduction, wire;       /* REDUCE_...; WIRE_...: bf16 goes with fast only */
    int     leaves;                /* micro-batches of a replica in a step */
    int64_t bytes;                 /* of a bucket, of all replicas' pieces together; equal on all ranks */
    bool    drop;                  /* ZeRO-2, of several replicas: others' shares go once they are sent */
} BucketConf;

typedef struct Buckets Buckets;

/* grads is the flat buffer of t->grads elements; z, its table, grads and g must outlive the buckets.  Collective over g->dp. */
Buckets *buckets_open(const Zero *z, float *grads, const Grid *g, const BucketConf *c);
void     buckets_close(Buckets *b);                /* Collective over dp; nothing may be under way */

/* The door; valid until buckets_close.  A param may be marked once in a micro-batch. */
OnGrad   buckets_door(Buckets *b);
/* Before the forward pass of micro-batch `leaf` of a step: no gradient is final; the first finds them zeroed.  Local; where each is
   exchanged, collective over dp: waits for the one before. */
void     buckets_begin(Buckets *b, int leaf);
/* Gives a step up behind any forward pass: what was added up so far is worth nothing, and nothing is under way.  Local. */
void     buckets_leave(Buckets *b);
/* Starts what was never marked (nobody produced it here, so it is zero, but others may have), then waits
   for all: grads is the sum over dp.  Collective over dp. */
void     buckets_wait(Buckets *b);

/* Bytes of a bucket (and of what else goes at once) among replicas in such levels: a few MB stay in cache, and messages of 128 KiB are
   large enough for a network: what each costs is little beside its bytes. */
static inline int64_t bucket_size(const Levels *v) { return max64(2 << 20, (int64_t)levels_messages(v) << 17); }
/* What z's rank keeps of earlier micro-batches' sums while it computes one, in bytes; how many micro-batches of a step it exchanges.
   Local, without MPI. */
size_t   buckets_waiting(const Zero *z, const BucketConf *c);
int      buckets_times(const BucketConf *c);
/* Exact sums of so many replicas take in what is smaller; the other reductions anything, as does a sum of one.  Local, without MPI. */
float    buckets_limit(const BucketConf *c, int replicas);
/* Can MPI's ints count the pieces of so many ranks?  Else buckets_open ends the program.  Local, without MPI. */
bool     buckets_count(const Zero *z, const BucketConf *c);
/* Memory that buckets_open takes, in bytes; bytes that z's rank sends in a step, 0 if it is alone.  Local, without MPI: asvr plan
   asks, too. */
size_t   buckets_memory(const Zero *z, const BucketConf *c);
int64_t  buckets_bytes(const Zero *z, const BucketConf *c);
/* A level of the exchange: what a rank brings to it (nodes of the tree), and all of its group; bytes of an element on the way there. */
typedef struct { Level l; int parts, slots, elem; } BucketLevel;
/* Buckets under way at most; level <- those of z.  Local, without MPI. */
int      buckets_ring(const Zero *z, const BucketConf *c, BucketLevel level[LEVELS]);
