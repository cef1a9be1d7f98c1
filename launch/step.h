/*
 * step.h -- what surrounds the mathematics of a training step: data, counting, updates, log, checkpoints
 *
 * launch/train.c is the loop; these are its verbs, in the order in which it uses them.  All are collective over
 * all ranks and give the same result on each.
 * Tests  tests/launch/{train,resume,stop,numbers}.sh
 */
#pragma once
#include "core/exact.h"
#include "launch/run.h"

enum { N_LOSSES = sizeof(Losses) / sizeof(double), STEPS_AHEAD = 2 /* that the loader holds, at least */ };

/* One reduction tells everybody: how many targets the global batch has, who was asked to stop, whose loader failed. */
typedef struct { Losses targets; double failed, stop, twice, minutes, saved, kept, keep; } Tally;

typedef struct {
    Losses  targets, sum;          /* of the global batch */
    Exact   exact[N_LOSSES];       /* the same sums while they grow: in any order the same bits (core/exact.h) */
    double  loss, norm, lr;
    bool    ok;                    /* finite: the update was made */
    int     skipped_in_a_row;
    int64_t skipped;               /* steps, since this start */
    int64_t unlabelled;            /* samples of this rank without an answer within max_len, since this start */
    int     stop;                  /* requests on the rank that got most: 1 save and stop, 2 stop at once */
    CodesUse use[BRANCHES];        /* tokenizer: what the update did to the codebooks; no books if there was none */
    bool    minutes_due;           /* ckpt.minutes have passed since the last save */
    bool    keep_due;              /* ckpt.local_minutes have passed since a step was kept */
    double  began, flops, saved, kept;     /* of this step; when the last checkpoint began; when a step was kept */
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
/* After a forward pass: the micro-batch's losses join those of the step.  Local. */
void step_losses(const Run *r, StepState *s, const Losses *one);
/* The sums over all replicas, and the loss. */
void step_sum(const Run *r, StepState *s);
/* The optimizer, and where codebooks are trained their moving averages. */
void step_update(Run *r, StepState *s);
void step_log(Run *r, StepState *s);
/* What is due after this step: it is kept on the nodes' disks, or saved while training goes on; last: until it is committed. */
bool step_save(Run *r, StepState *s, bool last, Err *e);
