/*
 * launcher.h -- a point's ranks are started by srun, mpirun, or what scaling.launcher says, as a child of this process
 *
 *     in a Slurm job     srun --mpi=pmix --kill-on-bad-exit=1 -N 2 -n 4 --cpus-per-task=8 asvr bench ...
 *                        as few nodes as the ranks need; more threads than cores: --overcommit; inside of a step: --overlap
 *     elsewhere          mpirun -n 4 asvr bench ...     Open MPI may then start more ranks than cores, and ties none to a core
 *
 * The child is a process group of its own; it is asked to end (TERM, then KILL) when its time is up or somebody asks this process
 * to stop, and when this process dies.  Ranks that outlive their launcher then are ended, too.  Local.
 */
#pragma once
#include "launch/scaling/series.h"

enum { LAUNCH_COMPLAINS = 1 /* code of a launcher's own */, LAUNCH_TIME = 124 /* of what took too long */, LAUNCH_NONE = 127 /* of what is no program */, LAUNCH_ASKED = -1 /* this process was asked to stop */ };

/* What would be typed for a point; out: so many bytes.  EXIT_CONFIG where scaling.launcher has no words. */
bool launcher_words(const Series *s, const Point *p, char *out, size_t cap, Err *e);
/* Removes an old steps.json and runs `asvr bench` for a point, its words to out.txt.  Returns its exit code, 128 + a signal, LAUNCH_TIME or LAUNCH_ASKED; *e: it could not be
   started. */
int  launcher_run(const Series *s, const Point *p, Err *e);
