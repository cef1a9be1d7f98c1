/*
 * watch.h -- a rank that stands still is named and the job ends; a slow one is named and the job goes on
 *
 *     rank 3 on node n7 has not entered allreduce 18213 (step 912); others wait 61 s
 *
 * Each rank publishes what its main thread does: step, phase, the collective that it is in (comm.h), how often that has
 * changed; a micro-batch that is computed counts, too, so a step may take longer than the limit.  A small thread of each
 * rank tells rank 0's, about once a second, and gets rank 0's state as the answer.
 *
 *     nobody has moved for `limit`              rank 0 says who is the cause, and all end with EXIT_HANG
 *     no word from rank 0, and no move of ours  the lowest other rank says it; the others wait a little for it to do so
 *     cut off from everybody                    the same rule ends the rank that is alone
 *
 *     limit   watch.timeout; 0: the larger of 60 s and 20 times the longest step of this life so far.
 *             Start, the first step, saves, evaluations, the end and all of pack may be long: 10 times that, and half an hour at least where it is
 *             learned.
 *             Negative: nobody is ended.
 *
 * A straggler: the seconds of a step that a rank spends outside collectives, averaged over at least 4 steps and a second, are
 * more than 2.5 times the median of all ranks, twice in a row.  How much more than the median is what the others wait.
 *
 * A slow link: a rank's words to rank 0 and back take more than five times the median of all ranks and a tenth of a second, on the
 * average of 4, twice in a row; all nodes' but rank 0's: it is rank 0's.  Seen on the network that datagrams take.
 *
 * DESIGN
 * Why a thread, why datagrams: MPI belongs to the main thread, which is what hangs.  UDP needs no connection that could
 *   break or block, one socket for any number of ranks; what is lost comes again.  Files in the run's folder would hang
 *   with the file system, shared memory ends at the node, and a second way for one node would have to be tested as well.
 * Addresses: rank 0 tells over MPI, once, its port, its addresses and a number that only this job knows.  A rank sends to all
 *   of them until one is answered; ranks of rank 0's node use the loopback alone.
 * A rank that was never heard is not blamed for its silence: rank 0 warns once that its messages do not come through.
 * Who owns what: the main thread writes the published words, relaxed, without waiting; everything else is the thread's.
 * Clock: only time in which this thread could look counts.  A job that is stopped whole (suspended by Slurm) and continued
 *   a day later has not hung, and the wall clock is never asked.
 * How it ends: _exit.  The launcher kills the rest, stopped ranks as well, and passes the code on.
 *
 * Tests: tests/dist/test_watch.c, tests/launch/watch.sh
 */
#pragma once
#include "core/base.h"
#include "dist/grid.h"

enum { WATCH_START, WATCH_DATA, WATCH_STEP, WATCH_SAVE, WATCH_EVAL, WATCH_END, WATCH_PACK, WATCH_SHARD, WATCH_PHASES };

enum { WATCH_HOST = 64 };
/* seconds: others wait for it in a step; or, of a link, a word and its answer take longer than those of the median rank: then
   `link`, and the collective that the rank was in, or "". */
typedef struct { int rank; double seconds; char host[WATCH_HOST]; bool link; const char *collective; } Straggler;

/* Called by the thread.  got: what is known of the rank that is named; NULL: `what` is a warning, and nobody ends. */
typedef void (*WatchSay)(const char *what, const char *got);

typedef struct Watch Watch;

/* Phase WATCH_START begins.  Collective over g->world; dies where there is no thread or socket to be had. */
Watch *watch_open(const Grid *g, double timeout, WatchSay say);
void   watch_close(Watch *w);                                  /* Local; NULL does nothing, in the two below as well */
/* What the main thread does from here on, and in which step; in pack, with which sample.  Local. */
void   watch_phase(Watch *w, int phase, int64_t step);
/* A step begins, in WATCH_DATA; it has ended.  Local. */
void   watch_step_begins(Watch *w, int64_t step);
void   watch_step_ended(Watch *w);
/* Is a rank slow?  Rank 0; Local. */
bool   watch_straggler(const Watch *w, Straggler *out);
