/*
 * save.h -- where a training run's state goes to: the next checkpoint of its folder, the nodes' own disks before it
 *
 * All are collective over all ranks and give the same result on each; io/ckpt/saver.h tells what happens underneath.
 * Tests  tests/launch/{resume,local,stop}.sh
 */
#pragma once
#include "launch/run.h"

/* Bytes that the copy for a checkpoint takes on a rank of so many replicas, as io/ckpt/saveplan.h divides them: an even share of what
   several ranks hold.  o: measured.  Local, without MPI: asvr plan asks, too. */
double save_copy(const Optim *o, int replicas);
/* Will a run with low-rank pairs leave the tensor in what train.init names (bases.h)?  Local. */
static inline bool save_leaves(const Params *t, const Param *p) { return t->lora.rank && t->lora.based && p->grad < 0; }
/* With ckpt.local: what a dead life of the run left on the nodes' disks goes to RUN/ckpt.  Before run_resume. */
bool run_recover(Run *r, Err *e);
/* What saves: once, when the weights are there. */
bool run_saver(Run *r, Err *e);
/* False: a save is under way still (not saved, on request), and its thread goes on until the process ends: what it uses must stay,
   the lease first of all.  Local. */
bool run_saver_close(Run *r);
/* What is under way is committed, or failed.  Collective. */
bool run_saved(Run *r, Err *e);
/* A checkpoint of this step, after the one under way; wait: until it is committed. */
bool run_save(Run *r, bool wait, Err *e);
/* This step is kept on the nodes' disks, unless the one before is still on its way there.  False: they failed the last time, so
   that this one should go straight to RUN/ckpt. */
bool run_keep(Run *r);
/* Lanes whose phase all ranks have done go on; what was kept last is carried to RUN/ckpt as soon as nothing else is, if `carry`. */
bool run_save_goes_on(Run *r, const bool ready[SAVER_LANES], bool carry, Err *e);
