/*
 * zero.h -- who owns which part of each tensor among the replicas, and how weights come back to all of them
 *
 * The replicas of a dp group hold the same piece of every tensor.  For reduction, moments and updates that piece is cut
 * among them:
 *
 *     ROWS    equal blocks of rows                       all tensors where tp does not split rows, and vectors
 *     COLS    equal blocks of columns                    column-parallel matrices with tp > 1: with tp it makes one
 *                                                        ScaLAPACK block on the dp x tp grid, or its transpose
 *     WHOLE   all of it with one owner                   matrices that one replica orthogonalises (optim.h)
 *
 *     W (rows, cols), split 1, tp = 2, dp = 2:  ROWS     W split 0, tp = 2, dp = 2:  COLS
 *            tp 0   tp 1                                        dp 0   dp 1
 *         ┌──────┬──────┐                                    ┌──────┬──────┐
 *         │ dp 0 │ dp 0 │                                    │      │      │ tp 0
 *         ├──────┼──────┤                                    ├──────┼──────┤
 *         │ dp 1 │ dp 1 │                                    │      │      │ tp 1
 *         └──────┴──────┘                                    └──────┴──────┘
 *
 * A share is `mine` where nobody but its owner keeps moments and updates it: with ZeRO-1 all that learn by gradient, and
 * always the matrices that Muon owns.  Its new weights then are gathered by all replicas, in the order of the table, while
 * the next forward pass already runs: the model says what it is about to read (Tp.need, core/par.h).
 *
 * DESIGN
 * Why in lots: a few MB stay in cache, and the first layers are there first.  Why polling: nobody but us makes MPI move; each
 *   call of zero_need looks what has come.  What order: lots start and end from the first tensor to the last, on a
 *   communicator of their own, so that they cannot cross the gradients' collectives.
 *
 * Source  ZeRO, arXiv:1910.02054, section 5 (stage 1); docs/PARALLEL.md
 * Tests   tests/dist/test_zero.c
 */
#pragma once
#include "core/arena.h"
#include "core/param.h"
#include "dist/comm.h"
#include "dist/grid.h"

enum { CUT_ROWS, CUT_COLS, CUT_WHOLE };

/* A rectangle of this rank's piece of a tensor; empty where rows or cols is 0. */
typedef struct { int row, rows, col, cols; } Share;

typedef struct {
    const Params *table;
    int      ranks, rank;          /* of the dp group */
    uint8_t *cut;                  /* (n) CUT_... */
    int     *owner;                /* (n) of what is CUT_WHOLE */
    bool    *mine;                 /* (n) moments and updates with the owner alone */
    bool     any;                  /* some share is `mine` and there are others to give it to */
} Zero;

typedef struct {
    bool  zero1;                   /* parallel.zero = 1 */
    bool *muon;                    /* (n) which tensors Muon owns, or NULL: none */
    bool  whole;                   /* those with one owner each, balanced by their cost, instead of cut */
} ZeroConf;

/* The rule, for any grid and without MPI: asvr plan asks, too.  Local. */
void  zero_open(Zero *z, const Params *t, int dp_rank, int dp_size, const ZeroConf *c);
void  zero_close(Zero *z);
Share zero_share(const Zero *z, int i, int owner);
static inline int64_t share_count(Share s) { return (int64_t)s.rows * s.cols; }
/* The part of the global tensor that `owner` has, for checkpoints. */
Slice zero_slice(const Zero *z, int i, int owner);
/* Elements [from, to) of a share, in its row-major order, out of a tensor's piece into a dense buffer, and back.  Local. */
void  zero_pack(float *out, const Zero *z, int i, int owner, const float *piece, int64_t from, int64_t to);
void  zero_unpack(float *piece, const Zero *z, int i, int owner, const float *in, int64_t from, int64_t to);

/* ---- tensors in lots ---- */

/* Tensors [first, last) of the table, or one of `parts` equal parts of the shares of a single large one. */
typedef struct { int first, last, part, parts; } Lot;

/* Cuts the tensors that `want` into lots of about `span` elements; out may be NULL: returns how many.  Local. */
int     zero_lots(const Zero *z, bool (*want)(const Zero *z, int i), int64_t span, Lot *out);
/* Elements of an owner's shares in a lot. */
int64_t zero_lot_count(const Zero *z, bool (*want)(const Zero *z, int i), const Lot *l, int owner);
/* All of an owner's shares in a lot, one behind the other; base of tensor i is base + at(param). */
enum { OF_WEIGHTS, OF_GRADS };
void    zero_lot_pack(float *out, const Zero *z, bool (*want)(const Zero *z, int i), const Lot *l, int owner, const float *flat, int of);
void    zero_lot_unpack(float *flat, const Zero *z, bool (*want)(const Zero *z, int i), const Lot *l, int owner, const float *in, int of);

/* ---- the weights come back ---- */

typedef struct ZeroWeights ZeroWeights;

/* NULL where nothing is to be gathered.  Collective over g->dp. */
ZeroWeights *zero_weights_open(const Zero *z, float *weights, const Grid *g, int64_t lot_bytes);
void   zero_weights_close(ZeroWeights *w);
/* After an update: starts to gather.  Collective over dp; nothing may be under way. */
void   zero_weights_start(ZeroWeights *w);
/* Returns when the weights of [first, last) are here; wait: all.  No-ops when nothing is under way.  Collective over dp in
   that all replicas must get there; each at its own pace. */
void   zero_weights_need(ZeroWeights *w, int first, int last);
void   zero_weights_wait(ZeroWeights *w);
double zero_weights_waited(ZeroWeights *w);        /* seconds since the last call of this */
int64_t zero_weights_bytes(const Zero *z);         /* that this rank sends in a step.  Local, without MPI */
size_t  zero_weights_memory(const Zero *z, int64_t lot_bytes);     /* that zero_weights_open takes.  Local, without MPI */
