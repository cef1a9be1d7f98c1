/*
 * evaluate.h -- losses and accuracies on held-out samples, for `asvr eval` and for a run that trains
 *
 *     Evaluation *v = evaluate_open(r, shards, samples, e);     everything is allocated here: a step allocates nothing
 *     evaluate_run(v, leave, ctx, e);                           as often as wanted, by the weights that the model has then
 *     evaluate_json(v) ... evaluate_print(v) ...                what the last one found
 *     evaluate_close(v);
 *
 * Sample i of `samples` is in block i / micro_batch; block k is replica k % dp's.  A block is a micro-batch for the losses, and a list of
 * questions to be answered.  Losses are added up exactly (core/exact.h) and marks are counts, so all numbers have the same bits on any
 * number of replicas.
 *
 * What a sample without a question (task -1) counts for is its losses.  The baseline of a task of which no training answer is known is none.
 * Nothing of the model changes: no gradient, no moment, no code's count.  Its tape is used.
 *
 * Collective over all ranks and the same on each, with the error, unless it says otherwise.
 * Tests   tests/launch/{train,llava,own,evalevery}.sh
 */
#pragma once
#include <jansson.h>

#include "launch/run.h"

typedef struct Evaluation Evaluation;

/* Of r's model, or of one that trains (its copy, which does not).  shards and r must outlive it.  samples: so many, drawn over all of
   them by run.seed; 0: all. */
Evaluation *evaluate_open(Run *r, const Shards *shards, int64_t samples, Err *e);
void evaluate_close(Evaluation *v);                    /* Local; NULL is nothing to close */
/* pictures: rank 0 keeps some to be shown (sheet.h).  Local. */
void evaluate_show(Evaluation *v);

/* With leave all agree behind each block whether anybody's says so: then nothing was found, and *left is set.  NULL: nobody waits for
   the others before the end. */
bool evaluate_run(Evaluation *v, bool (*leave)(void *), void *ctx, bool *left, Err *e);

/* ---- what was found; Local, the same on all ranks ---- */

int64_t evaluate_samples(const Evaluation *v);
int     evaluate_tasks(const Evaluation *v);
/* "loss", "loss_text", "loss_visual", "mean": NAN where there is none. */
double  evaluate_value(const Evaluation *v, const char *name);
/* loss_text, loss_visual, retrieval (stage contrast), mean, tasks, set in o. */
void    evaluate_json(const Evaluation *v, json_t *o);
/* RUN/eval.json: of the weights after so many steps.  Rank 0. */
bool    evaluate_write(const Evaluation *v, int64_t step, Err *e);
/* The table and examples on stdout; and with evaluate_show RUN/eval.png, whose path it prints.  Rank 0. */
void    evaluate_print(const Evaluation *v, int64_t step);
bool    evaluate_sheet(const Evaluation *v, Err *e);

/* Questions that it answers at once, where there are any.  Local. */
int     evaluate_at_once(const Config *c);
/* Bytes that evaluate_open takes for a model of that shape, measured, not allocated; plan asks.  Local. */
double  evaluate_bytes(const Config *c, const Model *m);
