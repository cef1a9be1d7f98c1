/*
 * feed.h -- the steps of a replica: one of its ranks reads, the others get what it read
 *
 * A tensor-parallel group computes one batch together, so its ranks must see the same bytes: rank 0 of the group has a Loader,
 * and each step goes to the others in broadcasts.  So a sample is read and unpacked once a replica, and what one rank alone
 * reads wrong cannot come between them.  With tp = 1 a feed is its loader.
 *
 * Collective over the tp group.  Tests: tests/launch/{set,tensor}.sh
 */
#pragma once
#include "dist/grid.h"
#include "io/set/loader.h"

typedef struct Feed Feed;

Feed *feed_open(const Grid *g, const Shards *s, const LoaderConf *c, Err *e);      /* NULL on the ranks that failed: agree */
void  feed_close(Feed *f);
/* As loader_next, on all ranks of the group; malformed samples are reported by the one that read them. */
const StepData *feed_next(Feed *f, Err *e);
