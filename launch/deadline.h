/*
 * deadline.h -- the job's time ends: the last save begins early enough
 *
 * When it ends rank 0 learns once, at the start: stop.deadline; or SLURM_JOB_END_TIME; or squeue (io/base/jobend.h).  Nobody knows:
 * the run says why, and goes without.
 *
 *     save at the start of a step    where  time left < 2 S + the last step's time
 *     leave a long step              where  time left < 2 S
 *
 * S is how long the last save kept the slowest disk busy, from its first byte to its commit.  Before the first save of this life S is
 * estimated: the checkpoint's bytes at 200 MB/s, which an old NFS server does, but an eighth of this life's time at most, so that
 * short jobs get something done.  S is 5 s at least.  Twice, since a save
 * may be under way already, and what is computed since is saved behind it.
 * How long the first step takes nobody knows: it is looked at in its midst (step_left).
 * Tests  tests/launch/stop.sh, tests/io/base/test_command.c
 */
#pragma once
#include "launch/step.h"

/* When the job's time ends, as now() will say: the wall clock is looked at here alone, since it may be set.  INFINITY: not known, and on
   other ranks than 0.  Local. */
double deadline_open(const Run *r);
/* S of now, seconds.  Local. */
double deadline_save(const Run *r, const StepState *s);
/* Rank 0: is there no time for so many seconds and then a save?  Local. */
bool   deadline_near(const Run *r, const StepState *s, double seconds);
