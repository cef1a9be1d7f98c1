/*
 * guard.h -- a bit that turns in memory: weights that may not change have not, and those that ranks hold alike are alike
 *
 *     frozen     a hash of each tensor without a gradient, taken at the start, is compared before every save
 *     copies     a step hashes one slice of the weights, 1/256 of them, another one in each step, a save all; what replicas hold alike,
 *                and tensor-parallel ranks, is compared:  sum over the holders of c_k hash_k,  c_0 = 1 - n, c_k = 1
 *
 * is 0 when all are equal, and rides in the reduction that a step makes anyway (Tally in step.h): no message more, and the hash of
 * 1/256 of the memory.  What learns and is held by one rank alone has nothing that it could be compared with.
 *
 * Tests   tests/launch/guard.sh
 */
#pragma once
#include "launch/run.h"

/* Once all weights have their first values.  Local. */
void   guard_open(Run *r);
/* Hashes this step's slice; all weights are here, and the update is still to come.  Local. */
void   guard_step(Run *r);
/* This rank's part of the sum over all ranks, for the last slice: an integer, exact in any order.  Local. */
double guard_part(const Run *r);
/* The sum over all ranks: if it is not 0, EXIT_INTERNAL with tensor, rank and host.  Collective over all ranks, agreed. */
bool   guard_same(Run *r, double sum, Err *e);
/* The same of all weights at once: nothing that ranks do not agree on is saved.  Collective over all ranks, agreed. */
bool   guard_copies(Run *r, Err *e);
/* Are the frozen tensors what they were?  EXIT_INTERNAL with tensor, rank and host.  Collective over all ranks, agreed. */
bool   guard_frozen(const Run *r, Err *e);
