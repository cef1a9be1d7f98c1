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

/* One reduction tells everybody: how many targets the global batch has, who was asked to stop, whose loader failed, whose memory
   did, who has done a phase of a save; and what rank 0's clock says: what is due, is there time for a step, how long was the last? */
typedef struct { Losses targets; double failed, stop, twice, differ /* guard.h */, saved, kept, minutes, keep, late, last; } Tally;

typedef struct {
    Losses  targets, sum;          /* of the global batch */
    Exact   exact[N_LOSSES];       /* the same sums while they grow: in any order the same bits (core/exact.h) */
    double  loss, norm, lr;
    bool    ok;                    /* finite, no spike: the update was made */
    bool    odd;                   /* a loss of this rank's micro-batches is not finite */
    int     skipped_in_a_row;
    int64_t skipped;               /* steps, since this start */
    int64_t unlabelled;            /* samples of this rank without an answer within max_len, since this start */
    int     stop;                  /* of all ranks: 1 save and stop, 2 stop at once; the step was then left, or not begun */
    bool    late;                  /* rank 0: because its job's time ends */
    int     asks;                  /* requests are looked at after so many micro-batches, too: this step is long; else 0 */
    int     asked;                 /* under way with `asking` */
    CommOp  asking;
    CodesUse use[BRANCHES];        /* tokenizer: what the update did to the codebooks; no books if there was none */
    bool    minutes_due;           /* ckpt.minutes have passed since the last save, or a failed one is due again */
    bool    best_due;              /* this step is better than all before: it is saved as `best` (stepeval.h) */
    bool    keep_due;              /* ckpt.local_minutes have passed since a step was kept */
    double  began, flops, saved, kept;     /* of this step; when the last checkpoint began; when a step was kept */
    double  ends;                  /* rank 0: the job's time, by the monotonic clock (deadline.h) */
    int64_t first;                 /* the step that this start went on from */
    double  t_last, t_saved;       /* seconds of the last step and of the last save; 0: none yet */
    int     said;                  /* the straggler that a line has named, as log_straggler counts them; 0: none */
    double  again;                 /* when a save that failed is tried again, or 0: on all ranks alike */
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
/* After a forward pass: the micro-batch's losses join those of the step, and the watchdog learns that we move.  Local. */
void step_losses(const Run *r, StepState *s, const Losses *one);
/* The sums over all replicas, and the loss. */
void step_sum(const Run *r, StepState *s);
/* The optimizer, and where codebooks are trained their moving averages. */
void step_update(Run *r, StepState *s);
void step_log(Run *r, StepState *s);
/* What is due after this step: it is kept on the nodes' disks, or saved while training goes on; last: until it is committed. */
bool step_save(Run *r, StepState *s, bool last, Err *e);
/* What replicas share, behind their number in the first lines: "; moments shared among replicas"; where that is gradients, lines that
   say what sums of earlier micro-batches take all the same.  Rank 0, local; stepshares.c. */
const char *step_shared(const Run *r);
void step_say_waiting(const Run *r);
/* Before a step's reduction what saves has to say, and after it the phases that all have done.  stepsave.c. */
void step_save_asks(const Run *r, const StepState *s, Tally *t);
bool step_save_goes_on(Run *r, StepState *s, const Tally *t, Err *e);
