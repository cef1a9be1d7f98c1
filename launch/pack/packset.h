/*
 * packset.h -- a data set under way: what is finished is kept, what is half-way is no one's, the index comes last
 *
 *     DIR/index.set                 data.set: an older pack's index, good until the new one takes its place
 *     DIR/.pack-index.set/          the pack under way
 *         key                       what is packed and how: another pack begins anew
 *         train-00000.h5            a finished shard (its temporary name ends in .tmp)
 *         train-00000.done          its own name in the data set, a stamp of its samples' sources, what was left out
 *         older                     names of the old index's shards, to be removed once the new index stands
 *
 * Commit: older; every shard to its own name beside the index; fsync; the index (temporary file, fsync, rename); then the old
 * shards and the folder go.  A shard's own name holds a hash of its bytes, so nothing that an index speaks of is ever
 * written over.
 *
 * Local, rank 0 alone.  Errors: EXIT_IO.  Tests: tests/launch/{pack,set}.sh
 */
#pragma once
#include "io/base/files.h"
#include "io/base/lease.h"
#include "io/set/index.h"

typedef struct { int64_t bad, unlabelled, cut; } LeftOut;

typedef struct {
    char   set[PATH_ROOM], work[PATH_ROOM];
    Index *index;                  /* what is finished so far */
    Lease *lease;
    int    kept;                   /* shards of an earlier start that were kept */
} PackSet;

/* Takes the folder; EXIT_CONFIG if another pack has it. */
bool packset_open(PackSet *p, const char *set, uint64_t key, Err *e);
/* Where shard `number` of a split is to be written. */
bool packset_path(const PackSet *p, int split, int64_t number, char path[PATH_ROOM], Err *e);
/* True if it is there already, of sources with this stamp; it then is in the index. */
bool packset_has(PackSet *p, int split, int64_t number, uint64_t stamp, LeftOut *left);
/* It was written: it joins the index. */
bool packset_done(PackSet *p, int split, int64_t number, uint64_t stamp, const LeftOut *left, Err *e);
/* All are done. */
bool packset_commit(PackSet *p, Err *e);
void packset_close(PackSet *p);
