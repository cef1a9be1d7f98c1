/*
 * zero.h -- how the flat gradient is cut among the replicas, and how weights come back to all of them
 *
 * The replicas of a dp group hold the same piece of every tensor.  Neighbouring tensors of the table, some MB together or one large
 * one, are a section; a section is cut into equal contiguous ranges, a share for each replica, wherever tensors begin:
 *
 *     flat gradient    | wq | wk | wv | wo | norm |      gate      |       up       | ...
 *     sections         |            0             |       1        |       2        |
 *     shares           |   0    |   1    |   2    | 0  |  1   | 2  | 0  |  1   | 2  |       of 3 replicas
 *
 * Each replica adds up the gradients of its shares (bucket.h).  What it then does with them a section says:
 *
 *     owned        moments and updates with a share's owner alone: with ZeRO-1 all that learn by gradient, and always Muon's matrices
 *     otherwise    every replica gets the whole sum and updates everything
 *
 * New weights of owned sections are gathered by all replicas, in the order of the table, while the next forward pass already runs:
 * the model says what it is about to read (Tp.need, core/par.h).
 *
 * Shares begin at multiples of GRAIN of the flat gradient; what is computed block by block of GRAIN has the same bits for any number of
 * replicas.  A section's tensors lie in the flat weights as they do in the flat gradient, so a range of one is a range of the other.
 *
 * DESIGN (of the weights' way back)
 * In pieces of some MB: the first layers are there first.  Polling: nobody but us makes MPI move; each call of zero_weights_need looks
 *   what has come.  Order: pieces start and end from the first section to the last, on communicators of their own, one a level (levels.h),
 *   so that they cannot cross the gradients' collectives.  Of one level what others send goes where it belongs; of several it is
 *   gathered in a buffer by places, the last level first, and put where it belongs at the end.
 *
 * Source  ZeRO, arXiv:1910.02054, section 5 (stage 1; stage 2 is bucket.h's); docs/PARALLEL.md
 * Tests   tests/dist/test_zero.c
 */
#pragma once
#include "core/arena.h"
#include "core/param.h"
#include "dist/comm.h"
#include "dist/grid.h"
#include "dist/levels.h"

enum { GRAIN = 256 };

/* Elements [at, at + n). */
typedef struct { int64_t at, n; } Range;

typedef struct {
    int     first, last;           /* its tensors, all with a gradient */
    int64_t at, n;                 /* in the flat gradient, with what aligns the tensors */
    int64_t weights;               /* where element `at` is in the flat weights */
    int64_t each;                  /* of a share, a multiple of GRAIN; the first may be shorter, the last ones shorter or empty */
    bool    owned, state, muon;    /* state: its tensors carry STATE; muon: Muon has them */
} Section;

typedef struct {
    const Params *table;
    int      ranks, rank;          /* of the dp group */
    int      sections;
    Section *section;              /* in the order of the table */
    int     *of;                   /* (n) a tensor's section; -1: it is frozen */
    bool     any;                  /* some section is owned and there are others to give it to */
    Levels   levels;               /* in which the replicas exchange */
    int     *owner;                /* (ranks) of the share at each place (levels.h) */
} Zero;

typedef struct {
    bool    zero1;                 /* parallel.zero = 1, and 2, which only buckets tell from it */
    const bool *muon;              /* (n) which tensors Muon has, or NULL: none */
    int64_t bytes;                 /* of a section of small tensors, at most */
    Levels  levels;                /* of dp_size replicas; none: all at once */
} ZeroConf;

/* The cut, for any grid and without MPI: asvr plan asks, too.  Local. */
void  zero_open(Zero *z, const Params *t, int dp_rank, int dp_size, const ZeroConf *c);
void  zero_close(Zero *z);

static inline Range range_meet(Range a, Range b)
{
    const int64_t at = max64(a.at, b.at);
    return (Range){ at, max64(0, min64(a.at + a.n, b.at + b.n) - at) };
}
/* An owner's share, and its elements [from, from + n) counted from the share's grid of multiples of GRAIN; in the flat gradient. */
Range zero_share(const Section *s, int owner);
Range zero_piece(const Section *s, int owner, int64_t from, int64_t n);
/* What of tensor i lies in an owner's share, in the flat gradient; empty if i is frozen. */
Range zero_part(const Zero *z, int i, int owner);
/* What this rank keeps and updates of a section: its share of an owned one, else all. */
Range zero_held(const Zero *z, const Section *s);
/* A range of the flat gradient inside tensor i as parts of the global tensor: the end of a row, whole rows, the beginning of a row.
   Any of them may be empty; the elements lie one behind the other in this order. */
enum { ZERO_SLICES = 3 };
void  zero_slices(const Zero *z, int i, Range r, Slice out[ZERO_SLICES]);

/* ---- the weights come back ---- */

typedef struct ZeroWeights ZeroWeights;

/* bytes: of what goes at once.  NULL where nothing is to be gathered.  Collective over g->dp. */
ZeroWeights *zero_weights_open(const Zero *z, float *weights, const Grid *g, int64_t bytes);
void   zero_weights_close(ZeroWeights *w);
/* After an update: starts to gather.  Collective over dp; nothing may be under way. */
void   zero_weights_start(ZeroWeights *w);
/* Returns when the weights of [first, last) are here; wait: all.  No-ops when nothing is under way.  Collective over dp in
   that all replicas must get there; each at its own pace. */
void   zero_weights_need(ZeroWeights *w, int first, int last);
void   zero_weights_wait(ZeroWeights *w);
double zero_weights_waited(ZeroWeights *w);        /* seconds since the last call of this */
int64_t zero_weights_bytes(const Zero *z);         /* that this rank sends in a step.  Local, without MPI */
size_t  zero_weights_memory(const Zero *z, int64_t bytes);      /* that zero_weights_open takes.  Local, without MPI */
int     zero_weights_ring(const Zero *z, int64_t bytes);        /* rounds under way at most.  Local, without MPI */

/* ---- sections in rounds: what of every share goes at once ---- */

typedef struct { int section; int64_t from, n; } Round;        /* elements [from, from + n) of each share */

/* How many rounds a section takes so that all ranks' pieces of one are `bytes` at most, or 64 a rank; n: elements of each, but the last. */
int   zero_rounds(const Section *s, int ranks, int64_t bytes, int64_t *n);
/* How many rounds of `bytes` may be under way at once, of a buffer of `all` bytes. */
int   zero_ring(int rounds, int least, int64_t all, int64_t bytes);

/* The pieces of a round, by places: their elements, where they lie from the section's first element, and where they lie one behind the
   other; packed[ranks] is all elements. */
typedef struct { int *count, *at, *packed; } Pieces;
Pieces pieces_take(Arena *a, int ranks);
void   pieces_of(const Pieces *p, const Zero *z, Round r);
/* The run of places that goes to member j of a level: its elements, and its first one packed. */
static inline int pieces_at(const Pieces *p, const Level *l, int j) { return p->packed[l->first + j * l->run]; }
static inline int pieces_run(const Pieces *p, const Level *l, int j) { return pieces_at(p, l, j + 1) - pieces_at(p, l, j); }
/* Back: what is packed goes where it belongs. */
void   pieces_unpack(const Pieces *p, int ranks, float *section, const float *packed);
