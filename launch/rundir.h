/*
 * rundir.h -- is the run's directory whole, and is it still ours?
 *
 * What is asked here is rank 0's to know, since it alone holds the lease and the log: it sets e where something is wrong, and
 * the others learn it when all agree (run_agree).  Local and rank 0's alone, but for the first and the last.  Tests: tests/launch/lease.sh
 */
#pragma once
#include "launch/run.h"

/* Takes the lease, and says from whom, where its holder did not give it back; r->tag.  Collective over all ranks, agreed. */
bool rundir_take(Run *r, Err *e);
/* After resuming: a run that had checkpoints and has none is not silently begun anew (EXIT_IO), but with run.fresh. */
bool rundir_whole(const Run *r, Err *e);
/* At each step, and before a save: nobody removed the directory (EXIT_IO) or took it over (EXIT_CONFIG). */
bool rundir_ours(const Run *r, Err *e);
/* After a failed save: where the lease is lost that is why, and takes e's place.  Collective over all ranks. */
void rundir_reason(const Run *r, Err *e);
/* run_agree, and where that fails rundir_reason. */
bool rundir_agree(const Run *r, Err *e);
