/*
 * saver.h -- a run's checkpoints while it trains: a step stops for the copy alone
 *
 *     Saver *s = saver_open(comm, "RUN/ckpt", piece, n, &conf, e);        once: the plan, the layout, the staging memory
 *     saver_start(s, &meta, e);                                           the copy; then training goes on
 *     ... saver_ready(s, SAVER_RUN) is added up over ranks with a step's other numbers; where all are ready:
 *     saver_advance(s, SAVER_RUN, e);
 *     saver_finish(s, SAVER_RUN, e);                                      at the end: waits for what is under way
 *
 * A save goes through phases; in each a thread of its own does what touches the disk, and all ranks go on to the next
 * together, so that no rank ever waits for another's disk:
 *
 *     SAVER_RUN     make     rank 0 makes the temporary folder and the file, and reserves its space
 *                   write    each rank writes its rows (saveplan.h), syncs, adds up what it meant to write and the fingerprints
 *                   hash     each rank reads a share of the blocks back; what was read must add up to what was written
 *                   commit   rank 0 writes the manifest, renames, and takes care of `latest` and of old ones (commit.h)
 *     SAVER_LOCAL   keep     each rank writes its rows to its node's disk (local.h)
 *
 * Two tiers.  With conf.local a step is kept on the nodes' disks every few minutes (saver_keep) and carried from there into the
 * run's folder (saver_carry: `write` reads the node's disk), however long that takes: meanwhile newer steps are kept.  What a
 * dead life left on the disks is carried first of all by the next one (recover.h), on any grid of the same nodes.
 *
 * DESIGN
 * Why a thread and a copy: a child process shares memory that a network card may have pinned, and slices of the main thread's
 *   time would hold up all ranks for each disk.  The copy is a rank's share of the state alone: all holders divide it.
 * Who owns what: between the copy and the end of `write` or `keep` that thread owns the staging memory; the main thread owns
 *   everything else, all MPI and HDF5.  A phase's thread has ended (joined) before the main thread looks at what it did.
 * What order: phases in the order above, one save at a time in each lane; only a save that is carried leaves the staging memory to
 *   the other lane.  A thread never calls MPI, HDF5, or anything that is not Local.
 *
 * With conf.async false there is no copy but of what crosses between ranks: saver_start must be followed by saver_finish.
 * Errors  as ckpt_save; the temporary folder is removed, older checkpoints are untouched.
 * Source  docs/PARALLEL.md, "Checkpoints"
 * Tests   tests/io/ckpt/test_saver.c, test_ckpt_faults.c, tests/launch/resume.sh
 */
#pragma once
#include "io/ckpt/ckpt.h"

typedef struct Saver Saver;

enum { SAVER_RUN, SAVER_LOCAL, SAVER_LANES };

typedef struct {
    int  keep;                          /* newest valid checkpoints that stay; 0: all */
    bool async;
    const char *local;                  /* this run's folder on the nodes' own disks; NULL: none.  Needs async */
    const char *tag;                    /* of this life of the run, in the names of temporary folders; NULL: none */
    bool (*may)(void *owner, Err *e);   /* rank 0, any thread: does the run still belong to this life?  NULL: yes */
    void *owner;
} SaverConf;

/* dir, the conf's texts and the pieces' names and memory must outlive it.  Collective over comm, agreed. */
Saver *saver_open(MPI_Comm comm, const char *dir, const Piece *p, int n, const SaverConf *c, Err *e);
/* The save of this step, started or carried from now on, gets the name `best` when it is committed.  Local, the same on all ranks. */
void   saver_best(Saver *s, int64_t step);
void   saver_close(Saver *s);                           /* nothing may be under way.  Local */
int64_t saver_written(const Saver *s);                  /* bytes of tensors that this rank writes in a save.  Local */

/* m->fingerprint and m->moments are worked out from what is written.  Nothing may be under way but, for saver_keep, a save that is
   carried.  Collective. */
bool   saver_start(Saver *s, const CkptMeta *m, Err *e);
void   saver_keep(Saver *s, const CkptMeta *m);
/* The step that was kept last goes to the run's folder; no save may be under way there.  Collective. */
bool   saver_carry(Saver *s, Err *e);

bool   saver_busy(const Saver *s, int lane);            /* the same on all ranks.  Local */
bool   saver_copying(const Saver *s);                   /* the run's lane has the staging memory.  Local */
bool   saver_ready(const Saver *s, int lane);           /* this rank has done its part of the present phase.  Local */
/* The next phase, when all ranks are ready.  False: the save has failed and is cleared away.  Collective, agreed. */
bool   saver_advance(Saver *s, int lane, Err *e);
/* Waits until nothing is under way.  False: the save under way failed.  Collective, agreed. */
bool   saver_finish(Saver *s, int lane, Err *e);
/* The last step since saver_open, and the one under way, or -1.  Local. */
int64_t saver_saved(const Saver *s, int lane);
bool    saver_failed(const Saver *s, int lane);         /* the last one there, and none has been started anywhere since.  Local */
int64_t saver_saving(const Saver *s, int lane);
/* The step of the last save, in any lane, that is over, failed or not.  Local. */
int64_t saver_tried(const Saver *s);
/* How long the last save into the run's folder kept the slowest rank's disk busy, seconds; rank 0 adds the commit.  0: there was
   none.  Local. */
double  saver_seconds(const Saver *s);
