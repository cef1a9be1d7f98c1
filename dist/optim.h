/*
 * optim.h -- AdamW and Muon over the parameter table, on any grid
 *
 *     s = min(1, clip / (norm + 1e-6))                       norm = |g| over all of them
 *     AdamW   m <- beta1 m + (1 - beta1) s g        v <- beta2 v + (1 - beta2) (s g)^2
 *             w <- w - lr (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay w)
 *     Muon    m <- mu m + s g      u = s g + mu m      w <- w - muon_lr (0.2 sqrt(max(rows,cols)) NS(u) + decay w)
 *
 * for every parameter that has a gradient and does not carry STATE; decay for those with DECAY.  With kind = OPTIM_MUON the
 * matrices that carry MUON are orthogonalised (muon.h; the factor gives them the size of AdamW's updates, so one learning
 * rate can serve both) and AdamW has the embeddings, heads and vectors.
 *
 * Moments exist where zero.h puts them: on every replica, or with the owner of a share alone.  An owner updates its share; then
 * all replicas gather the new weights.  Muon's matrices are always owned, since their update costs more than its transport; for
 * the orthogonalisation alone they go to where it is computed and come back (matrices.h).
 *
 * The norm is an exact sum (core/exact.h) over blocks of GRAIN elements, which no share ever cuts: its bits depend neither on the
 * number of replicas nor on ZeRO, and each replica adds up its shares alone.  With leaves (linear.h) they do not depend on tp, either.
 *
 * Source  Loshchilov and Hutter, arXiv:1711.05101, algorithm 2; Jordan et al., "Muon", 2024; Liu et al., arXiv:2502.16982
 * Tests   tests/dist/test_optim.c (vs double, tp and dp = 1 .. 4, ZeRO on and off), tests/launch/replicas.sh
 */
#pragma once
#include "core/arena.h"
#include "core/param.h"
#include "dist/matrices.h"
#include "dist/zero.h"

enum { OPTIM_ADAMW, OPTIM_MUON };

typedef struct {
    int  kind;                 /* OPTIM_... */
    bool zero1, canonical;     /* parallel.zero = 1 or 2; parallel.reduction */
    int64_t bytes;             /* that replicas exchange at once (bucket.h) */
    Levels levels;             /* and in which levels; none: all at once */
} OptimSetup;

typedef struct {
    const Params *table;
    Grid    *grid;
    Zero     zero;
    OptimSetup setup;
    bool    *muon;             /* (n) which tensors Muon has */
    int64_t *m_at, *v_at;      /* (sections) where the moments of what this rank holds of a section begin in m and v; -1: none */
    float   *m, *v;
    double  *squares;          /* (blocks) work space of the norm */
    int64_t  blocks;
    Matrices *matrices;        /* NULL without Muon */
    ZeroWeights *coming;       /* NULL where every replica updates everything */
    Arena    arena;
    int64_t  step;             /* updates done */
} Optim;

typedef struct {
    float lr, beta1, beta2, eps, decay, clip;      /* clip 0 = off */
    float muon_lr, momentum;                       /* Muon's */
} OptimConf;

/* The first half of optim_open, for replica dp_rank of dp_size: who has what, and o->arena.size, without taking memory.  To be
   closed.  Local, without MPI: asvr plan asks, too. */
void   optim_measure(Optim *o, const Params *t, int dp_rank, int dp_size, const OptimSetup *s);
/* What optim_open takes beside o->arena: bytes of weights on their way, and of Muon's work.  Local, without MPI. */
void   optim_memory(const Optim *o, size_t *coming, size_t *muon);
/* Elements of grads outside of this rank's shares that optim_step writes.  Local, without MPI. */
int64_t optim_landed(const Optim *o);
/* Bytes that this rank sends in an update to have Muon's matrices orthogonalised (matrices.h).  Local, without MPI. */
void   optim_bytes(const Optim *o, MatricesBytes *muon);
/* Moments zero, step 0.  table, weights and g must outlive it; g->coming names what is on its way.  Collective over g->world.
   Dies without memory. */
void   optim_open(Optim *o, const Params *t, float *weights, Grid *g, const OptimSetup *s);
void   optim_close(Optim *o);
/* |grads| over the whole model, where grads is what buckets_wait left.  Equal bits on all ranks; NaN where anything is not
   finite.  Collective over world. */
double optim_norm(const Optim *o, const float *grads);
/* One update of weights, in place; step += 1.  norm must be finite.  grads are used up.  With shares the new weights of others
   are on their way when it returns (Tp.need waits for them, optim_settle for all).  Collective over world. */
void   optim_step(Optim *o, float *weights, float *grads, const OptimConf *c, double norm);
/* All weights are here.  Collective over dp. */
void   optim_settle(Optim *o);

/* Moment k (0: m, 1: v) of tensor i as pieces of a checkpoint; false if no rank has it.  Their data lie one behind the other.
   write: this rank speaks for it.  Local. */
typedef struct { Slice slice[ZERO_SLICES]; float *data; bool write; } Moment;
bool   optim_moment(const Optim *o, int i, int k, Moment *out);
/* Elements of that here.  Local, without MPI. */
int64_t optim_held(const Optim *o, int i);
