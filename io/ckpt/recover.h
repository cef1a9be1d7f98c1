/*
 * recover.h -- what a dead life of a run left on its nodes' own disks becomes a checkpoint
 *
 * The newest step of which every rank's part, kept by one life, lies on some node is carried into the run's folder, by the nodes that have them; the
 * grid may be another one.  So whatever reads checkpoints reads the run's folder alone.
 *
 * Collective over comm, agreed.  Tests: tests/io/ckpt/test_local.c, tests/launch/local.sh
 */
#pragma once
#include "io/ckpt/layout.h"
#include "io/ckpt/saver.h"

/* The step that became a checkpoint of dir, if the disks (c->local) have one newer than `than`; else -1.  What is incomplete or
   damaged is warned of and left.  -2: the run's own disk failed. */
int64_t local_recover(MPI_Comm comm, const char *dir, const SaverConf *c, int64_t than, Err *e);

/* saver.c's part of it: parts that other ranks kept, `old` those whose files this rank reads, become a checkpoint of dir.  Takes
   the layout, with HDF5's bytes on rank 0. */
bool    saver_carry_parts(MPI_Comm comm, const char *dir, const SaverConf *c, const CkptMeta *m, uint64_t life, Layout *layout,
                          const int *old, int olds, Err *e);
