/*
 * room.h -- what is about to be taken can be had: threads and memory, asked for before they are used
 *
 *     threads   parallel.threads; or OMP_NUM_THREADS; or the cores of the rank's place (place.h), of which SLURM_CPUS_PER_TASK
 *               takes fewer where it is less: CPUs of Slurm may be hardware threads, two of which compute no more than one core.
 *               They are started, held until all ranks of the node have theirs, and ended again: what a limit (ulimit -u,
 *               pids.max) allows is known by trying alone.
 *     memory    the arenas that the model, its optimizer and its buckets will fill, measured by the functions that lay them
 *               out, of all ranks of a node, against what the node has left: MemAvailable and swap, the memory limit of the
 *               cgroups that they are in (a batch system's), and RLIMIT_AS of each rank.  Arenas are filled when they are
 *               allocated, so what is refused here would have been killed or aborted there.
 *
 * Collective over all ranks, agreed on all nodes; EXIT_CONFIG with what was asked, what there is, and what would fit.
 * Tests   tests/launch/room.sh
 */
#pragma once
#include "launch/run.h"

/* By r->place.  Sets r->threads and its text; where they cannot be had fewer, and r->refused. */
void room_threads(Run *r);
/* Is there room for a model of conf, and for its training if conf->train, or the shape's answers?  Reports r->refused, too. */
bool room_memory(Run *r, const ModelConf *conf, const RunShape *shape, Err *e);
/* Bytes that a process here may still take: what the kernel calls available, or what the cgroups leave of it.  Local. */
double room_left(void);
