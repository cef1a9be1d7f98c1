/*
 * waterfall.h -- bench.waterfall: where a step's time goes, op by op, each beside what this machine gives at best
 *
 *     of a phase (begin, forward, backward, sums, optimizer) and an op        calls, seconds, flops, bytes, cores at work; its limit (core/limits.h),
 *     of a phase and an axis                                                  what a step would be shorter by at that limit
 *     of a phase                                                              what is in no op and in no message
 *
 * Limits are measured behind the steps, by all ranks at once, with as many threads as the op had or with one, whichever is faster.  An op that
 * counts flops without being one product (attention) is held against sgemm and the copy, whichever takes longer.  With
 * bench.one_thread the same steps run on one thread a rank, too, in turn: how much faster each op is with all of them.
 * Of rank 0; its steps come behind those that are measured, and are in none of their figures.
 *
 * Collective over world unless it says Local.  Tests: tests/launch/waterfall.sh
 */
#pragma once
#include "core/par.h"
#include "launch/run.h"

enum { FALL_BEGIN, FALL_FORWARD, FALL_BACKWARD, FALL_SUMS, FALL_OPTIMIZER, FALL_PHASES, FALL_NONE = -1 };

bool   waterfall_wanted(const Run *r);                 /* Local */
/* Around a step that is watched; alone: on one thread.  Local. */
void   waterfall_begin(bool alone);
void   waterfall_end(const Run *r);
/* From here on time belongs to this phase; returns that of before.  Nothing where no step is watched.  Local. */
int    waterfall_phase(int phase);
/* The door for a backward pass: what is behind it are sums.  Local. */
OnGrad waterfall_door(OnGrad door);
/* Measures limits; rank 0 prints the table, and where run.dir is set writes RUN/waterfall.json.  steps: of either kind. */
bool   waterfall_write(const Run *r, int steps, Err *e);
