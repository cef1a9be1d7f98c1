/*
 * identity.h -- what a run is: its configuration, its data and the weights it started from, by content, never by path
 *
 *     configuration   a hash of the keys that change the result (config_hash)
 *     data            the hash of the data set's index (io/set/index.h)
 *     start           the fingerprints of the checkpoints that train.init named
 *
 * All three are in each checkpoint.  A start that differs from them is refused (EXIT_CONFIG) with the difference, so neither
 * losses nor data order change their meaning half-way; one that has the same contents elsewhere goes on.
 *
 * Collective over all ranks unless it says Local.  Tests: tests/launch/{set,resume,bad}.sh
 */
#pragma once
#include "launch/run.h"

/* What is saved with the weights. */
CkptMeta identity_of(const Run *r);
/* The run starts from this checkpoint, too; with low-rank pairs it will be a base of its own.  Local. */
bool     identity_started(Run *r, const Ckpt *from, Err *e);
/* Is this run the one that the checkpoint at `path` is of? */
bool     identity_same(Run *r, const CkptMeta *was, const char *path, Err *e);
