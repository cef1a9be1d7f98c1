/*
 * plan.h -- one rank of a grid, without the grid: its bytes, its messages, its flops, its time
 *
 * Memory    the arenas that a run would have, measured by the functions that would fill them (model_measure, optim_measure,
 *           buckets_memory, ...), and beside them what the process and MPI take.
 * Messages  over tp those that the model asks for, run dry; what dist sends by what dist says of itself.
 * Flops     those that the ops of a micro-batch count, run dry (plandry.h).
 * Time      with the rates that bench measured (rates.h): plantime.c says how.
 *
 * Samples are a picture and text up to model.decoder.max_len rows, every token of it with a label, as in bench.
 * Local, without MPI.
 *
 * Source  flops are those of core/prof.h: matrix products, attention, nearest codes
 * Tests   tests/launch/plan.sh (published counts; flops and messages against those of `asvr bench`; grids that do not
 *         divide), tests/launch/memory.sh (peaks of runs)
 */
#pragma once
#include "dist/bucket.h"
#include "dist/optim.h"
#include "launch/config/config.h"
#include "launch/plan/plandry.h"
#include "launch/plan/rates.h"

/* ---- the line that a parameter counts in, by its name ---- */

typedef struct {
    const char *part, *word;       /* a name up to its first dot, and how it goes on; # stands for a number */
    const char *label;             /* "" has no line of its own */
} Group;

/* Of any parameter of a model. */
const Group *group_of(const Param *p);

/* ---- one rank ---- */

typedef struct {
    const Config *c;
    Tp         tp;                 /* place and size; its doors lead nowhere */
    int        replicas, replica;  /* of the rank that is planned */
    Model      model;              /* measured, as the tape */
    Tape       tape;
    Dry        dry;                /* stages pretrain and instruct */
    Optim      optim;              /* measured */
    BucketConf buckets;
} PlanRank;

/* The rank of a grid that takes most memory: of the replicas the one that keeps most, of its tp ranks, which are alike, the
   first.  near: replicas on a node.  conf must outlive it; false if a part of conf->trainable is not in the model.  To be closed. */
bool plan_rank(PlanRank *r, const Config *c, const ModelConf *conf, int replicas, int near, int tp);
void plan_rank_close(PlanRank *r);

/* The largest number of replicas, at most `most`, among which train.global_batch divides; 0 where there is none. */
int  plan_replicas_most(const Config *c, int most);
/* Prints "ranks 4: 4 replicas of 1, 2 of 6 left idle": the most ranks, of a job of `most`, on which `asvr train` starts.
   EXIT_CONFIG where there are none.  slurm/job.sh reads it. */
bool plan_ranks(const Config *c, const ModelConf *m, int most, Err *e);

/* ---- bytes ---- */

enum { MEM_WEIGHTS, MEM_GRADS, MEM_MOMENTS, MEM_WAITING, MEM_BUCKETS, MEM_COMING, MEM_MUON, MEM_TAPE, MEM_ARENAS /* all before */,
       MEM_LOADER, MEM_COPY, MEM_EVAL, MEM_PROCESS, MEM_CLASSES };
extern const char *const MEM_NAME[MEM_CLASSES];

/* Elements of the gradient that a rank has at a time, at most: all; with ZeRO-2 its shares, and of others' what is in the making, what
   is on its way, or what Muon brings there (docs/PARALLEL.md).  backward: of a micro-batch run dry; without beats all of it is in the making. */
int64_t plan_gradients(const Model *m, const Optim *o, const BucketConf *c, const Beats *backward, int64_t *shares);

/* rates: where the process has been measured, or NULL: then it is estimated from this one. */
void plan_memory(const PlanRank *r, const Rates *rates, double bytes[MEM_CLASSES]);

/* ---- messages of a step ---- */

enum { PLACES = 32 };
/* At some place of a step, over one axis: so many collectives of `each` floats (of several sizes: the mean), and the bytes that
   a rank has to send in all of them, as comm_count counts.  begun: halves of sums in two phases (dist/tp.h). */
typedef struct { const char *name; int axis; int64_t calls; double each; int64_t bytes; bool begun; } Place;
/* Returns how many.  Stages pretrain and instruct. */
int plan_places(const PlanRank *r, Place out[PLACES]);

/* ---- seconds of a step ---- */

typedef struct {
    double forward, backward;      /* products, without messages */
    double sums, optimizer;        /* passes over gradients: of micro-batches, and the update */
    double tp, dp, hidden;         /* messages; dp: what backward does not hide, hidden: what it does */
    double rest;                   /* as much more as bench found, in proportion */
    double step;                   /* all of it but `hidden` */
} Seconds;
Seconds plan_time(const PlanRank *r, const Rates *rates);
/* Seconds of sums over tp, alone and one after the other, as long as in a step. */
double  plan_time_sums(const PlanRank *r, const Rates *rates);
/* Bytes that a step moves in passes over gradients to add up micro-batches. */
double  plan_bytes_sums(const PlanRank *r);

/* ---- the data set ---- */

/* Prints how large it is, or, before it is packed, will be.  Local. */
void    plan_data(const Config *c);
