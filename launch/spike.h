/*
 * spike.h -- steps that are not made: gradients that are not finite, or far above what they were; and whose samples those are
 *
 *     a spike:  norm > train.spike x the median of the last SPIKE_WINDOW norms of updates (SPIKE_LEAST of them at least)
 *
 * Norms of skipped steps and of steps without a gradient do not count.  The norms lie in each checkpoint, with all their bits, so
 * a run that is resumed on any number of ranks skips what the undisturbed one skips.
 *
 * Tests   tests/launch/numbers.sh (the rule again in awk, grids, a resume, which samples are named)
 */
#pragma once
#include "launch/step.h"

enum { SPIKE_WINDOW = CKPT_NORMS, SPIKE_LEAST = 20 };

/* Is this finite norm a spike?  If not it joins the others.  factor: train.spike, 0 takes everything.  Local, equal on all ranks. */
bool spike_is(CkptNorms *n, double norm, double factor);
/* Warns of a skipped step.  The gradient of each of its micro-batches is computed once more, alone: the largest, or the first
   that is not finite, names samples, rank and host; where the second pass does not show what the step did, the fault is a rank's
   memory or arithmetic, and that is said.  Gradients are undefined afterwards.  Collective over all ranks. */
void spike_warn(Run *r, const StepState *s);
