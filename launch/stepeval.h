/*
 * stepeval.h -- eval.every: a run that trains evaluates on what its data set holds out, and the best checkpoint keeps its name
 *
 *     every eval.every steps, and after the last one, behind the step's line and before its save:
 *         losses and accuracies (launch/eval/evaluate.h) -> a line of RUN/evals.jsonl (and TensorBoard's), RUN/eval.json, a line on the terminal
 *         better than all before by ckpt.best -> a checkpoint of this step, which RUN/ckpt/best names once it is committed
 *
 * Training does not notice: the model that is evaluated is the run's with nothing that learns, all memory is taken before the first step,
 * and the bits of the losses are those of a run without.  No step's time has it (run.jsonl), its own line says how long it took.
 * Between two micro-batches all agree whether somebody asked to stop, or the job's time ends: then the evaluation is left, and the next start
 * makes it up before its first step.
 *
 * Best.  `best` and the line of its step are the memory: a start that goes on from step M drops the lines behind M, and compares with the
 * line of the step that `best` names, if there is one.  A better step whose save failed is forgotten.
 *
 * Collective over all ranks, agreed, unless it says Local.  Tests: tests/launch/evalevery.sh
 */
#pragma once
#include "launch/step.h"

/* Opens the held-out samples where eval.every asks for them; the tape's shape grows by what they need. */
bool stepeval_shards(Run *r, RunShape *shape, Err *e);
/* Behind the resume and the log, before the first step. */
bool stepeval_open(Run *r, Err *e);
void stepeval_close(Run *r);                                        /* Local */
/* Does this start owe the evaluation of the step that it goes on from?  The same on all ranks.  Local. */
bool step_eval_owed(const Run *r);
/* Is one due after this step?  Then it is done; s->best_due says that this step is to be saved. */
bool step_eval(Run *r, StepState *s, Err *e);
/* What an evaluation keeps of a rank's memory, bytes: 0 without eval.every.  At most: whether there are questions the data set says. */
double stepeval_bytes(const Config *c, const Model *m);
