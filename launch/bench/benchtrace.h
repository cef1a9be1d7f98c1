/*
 * benchtrace.h -- bench.trace: the spans of a few steps of all ranks, as Perfetto's JSON and as a flame graph's folded lines
 *
 *     step  targets  forward  backward  reduce  losses  optimizer            in a step
 *     decoder.3, head.0, ...                                                 blocks, by the two doors: forward begins one where it
 *                                                                            needs its weights, backward ends one where its gradients are final
 *     linear_fwd, attention_bwd, ...                                         ops (core/opspans.h)
 *     allreduce, all-gather in two phases, ...                               collectives and waits for them, with axis and bytes (dist/comm.c)
 *
 * X.json has one event a line: pid the rank, tid 0 (the main thread), microseconds from the first step on.  Ranks' clocks are compared
 * right behind barriers, so they are equal to what a barrier lets them differ by, some microseconds.  X.folded has
 * "rank 0;step;forward;decoder.3;linear_fwd 1234": microseconds of that place itself, less what is below it.
 *
 * The traced steps come after those that are measured.  Collective over world unless it says Local.  Tests: tests/launch/trace.sh
 */
#pragma once
#include "core/par.h"
#include "launch/run.h"

enum { TRACED = 3 /* steps */ };

bool trace_wanted(const Run *r);                       /* Local */
/* Takes the room for spans, before the first step. */
bool trace_open(Run *r, Err *e);
/* Around a traced step: spans are kept, ops and doors make some.  Local. */
void trace_begin(Run *r);
void trace_end(Run *r);
/* The door for a backward pass: while spans are kept, a block's ends with its gradients.  Local. */
OnGrad trace_door(OnGrad door);
/* A pass begins, whose blocks are spans; it ends.  Local. */
void trace_blocks(void);
void trace_blocks_end(void);
/* Writes both files, where spans were kept. */
bool trace_write(Run *r, Err *e);
