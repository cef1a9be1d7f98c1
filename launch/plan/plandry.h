/*
 * plandry.h -- a micro-batch of one rank, run dry: the model itself, with ops that count and tensors that are nowhere
 *
 * model_forward and model_backward run as in a step, on addresses instead of memory (core/arena.h) and with OPS_COUNT (core/opscount.h).
 * What they ask of the two doors (core/par.h) is written down: sums and maxima over tp with the place in the model where they are
 * asked for, and the flops between one call of a door and the next.  So nothing about the model is said twice.
 *
 * The place of a sum in forward is that of the weights that were named last (tp->need), in backward that of the gradients that are
 * final next.  So "visual loss" has what a head's backward asks for, too, which follows its loss at once.
 *
 * The micro-batch is `asvr bench`'s: of each sample a picture and text up to model.decoder.max_len rows, every token with a label.
 * Where train.visual_share is below 1, the rows are those that the first step draws.
 *
 * Local, without MPI; not for the stages contrast and tokenizer.  Tests: tests/launch/plan.sh
 */
#pragma once
#include "core/asvr.h"

/* Where the model sums over tp, in the order of a step. */
typedef enum {
    DRY_TOWER, DRY_OWN_TOWER, DRY_CODES, DRY_PROJECTOR, DRY_DECODER, DRY_TEXT_LOSS, DRY_HEAD, DRY_HEAD_LOSS, DRY_DENOISER, DRY_PLACES
} DryPlace;
extern const char *const DRY_PLACE_NAME[DRY_PLACES];

/* early: what model_forward does of a step, the gradients of the output heads included. */
typedef struct { double forward, early, step; } Flops;

/* Sums and maxima, of so many floats together; the bytes that this rank has to send in them, as comm_count counts. */
typedef struct { int64_t calls, floats, bytes; } DrySums;

/* Flops since the beat before.  Backward: a call of OnGrad.final, behind which the params [first, n) are final.  Forward: a call of
   Tp.need for all params before `last`, in front of the flops. */
typedef struct { double flops; int first, last; } Beat;
typedef struct { Beat *beat; int n; double flops; } Beats;                 /* flops: of all of them */

/* Flops since the call before; then a sum in two phases, or a half of one, is started, waited for, or just looked after. */
typedef enum { SUM_LOOK, SUM_START, SUM_SCATTER, SUM_GATHER, SUM_WAIT } SumKind;
typedef struct { double flops; SumKind kind; int64_t floats; } SumCall;

typedef struct {
    Flops   sample;                /* of a sample */
    DrySums sums[DRY_PLACES];      /* of a micro-batch: those that all wait for */
    DrySums begun[DRY_PLACES];     /* those in two phases (dist/tp.h), each of them two collectives */
    Beats   forward, backward;     /* of a micro-batch */
    SumCall *sum;                  /* (calls) of a micro-batch, in order; those before `turn` are forward's */
    int     calls, turn;
} Dry;

/* As the first of tp's ranks computes it: size, leaves and sequence are asked for, no function.  To be closed. */
void dry_run(Dry *d, const ModelConf *conf, const Tp *tp);
void dry_close(Dry *d);
