/*
 * step.h -- what surrounds the mathematics of a training step: data, counting, updates, log, checkpoints
 *
 * launch/train.c is the loop; these are its verbs, in the order in which it uses them.  All are collective over
 * all ranks and give the same result on each.
 * Tests  tests/launch/{train,resume,stop,numbers}.sh
 */
#pragma once
#include "core/exact.h"
#include "dist/comm.h"
#include "launch/run.h"

enum { N_LOSSES = sizeof(Losses) / sizeof(double), STEPS_AHEAD = 2 /* that the loader holds, at least */ };

/* One reduction tells everybody: how many targets the global batch has, who was asked to stop, whose loader failed; and what
   rank 0's clock says: is there a checkpoint due, is there time for a step, how long was the last one? */
typedef struct { Losses targets; double failed, stop, twice, minutes, late, last; } Tally;

typedef struct {
    Losses  targets, sum;          /* of the global batch */
    Exact   exact[N_LOSSES];       /* the same sums while they grow: in any order the same bits (core/exact.h) */
    double  loss, norm, lr;
    bool    ok;                    /* finite: the update was made */
    int     skipped_in_a_row;
    int64_t skipped;               /* steps, since this start */
    int64_t unlabelled;            /* samples of this rank without an answer within max_len, since this start */
    int     stop;                  /* of all ranks: 1 save and stop, 2 stop at once; the step was then left, or not begun */
    bool    late;                  /* rank 0: because its job's time ends */
    int     asks;                  /* requests are looked at after so many micro-batches, too: this step is long; else 0 */
    int     asked;                 /* under way with `asking` */
    CommOp  asking;
    CodesUse use[BRANCHES];        /* tokenizer: what the update did to the codebooks; no books if there was none */
    bool    minutes_due;           /* ckpt.minutes have passed since the last save */
    double  began, flops, saved;   /* of this step; when the last checkpoint was written */
    int64_t saved_step;            /* what the newest checkpoint holds, or the start */
    double  t_last, t_saved;       /* seconds of the last step and of the last save; 0: none yet */
    int     said;                  /* the straggler that a line has named, + 1 */
    double  t_data, t_forward, t_backward, t_reduce, t_optim, t_ckpt;
    const StepData *data;
} StepState;

/* Times a call. */
#define span(seconds, call) do { const double span_from = now(); call; *(seconds) += now() - span_from; } while (0)

/* Steps that the loader holds, so that all of its threads find work.  Local. */
int steps_ahead(const Config *c, int replicas);
/* Shards, model, checkpoint or initial weights, optimizer, buckets, loader, log: everything a training run has. */
bool step_open(Run *r, Err *e);
void step_close(Run *r, int code);
/* The next step's micro-batches; sums targets, stop requests and loader errors over ranks. */
const StepData *step_data(Run *r, StepState *s, Err *e);
/* Behind the forward pass of micro-batch i: true if the step is to be left, because somebody asked to stop or time is up. */
bool step_left(Run *r, StepState *s, int i);
/* After a forward pass: the micro-batch's losses join those of the step.  Local. */
void step_losses(const Run *r, StepState *s, const Losses *one);
/* The sums over all replicas, and the loss. */
void step_sum(const Run *r, StepState *s);
/* The optimizer, and where codebooks are trained their moving averages. */
void step_update(Run *r, StepState *s);
void step_log(Run *r, StepState *s);
bool step_save(Run *r, StepState *s, Err *e);
