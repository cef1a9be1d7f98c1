/*
 * opstable.h -- run.ops_table: what each op of a training run cost, in RUN/ops.txt when the run ends (0 or 75), as PETSc's -log_view
 *
 *     op               calls   seconds     %   mean  slowest rank   GF/s   GB/s
 *
 * Seconds, flops and bytes of rank 0 since its first step, mean and most seconds of all ranks; % of rank 0's time.  Off, it costs nothing.
 *
 * Tests: tests/launch/waterfall.sh
 */
#pragma once
#include "launch/run.h"

/* Before the first step.  Local. */
void opstable_open(const Run *r);
/* code: what the run ends with.  What cannot be written is said, and the run ends as it would have.  Collective over world. */
void opstable_close(const Run *r, int code);
