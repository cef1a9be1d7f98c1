/*
 * nodes.h -- what the nodes of a job give to it: a line for all that are alike, and what stays idle
 *
 *     n[1-4]: 2 ranks x 16 threads on 32 of 64 cores, 2 NUMA domains, each rank bound to its share
 *     n5: 1 rank x 16 threads on 16 of 64 cores, 2 NUMA domains
 *     left idle: 1 of 6 nodes (n6), 48 of 320 cores on the others
 *
 * Cores are those that the job may use: of the node; inside a cgroup (Slurm's ConstrainCores) those; with Slurm those that the job
 * was given there (SLURM_JOB_CPUS_PER_NODE).  A rank uses as many as it has threads, those of its place at most.  The last line
 * comes under Slurm alone, where what is not used was asked for: SLURM_JOB_NODELIST less the nodes that have a rank.
 *
 * Warned of, in a line for all nodes where it is so: ranks that share cores, masks that meet in part, threads that
 * OMP_PROC_BIND or OMP_PLACES pin onto the cores of other ranks, more threads than cores, and settings that contradict each other.
 * Tests  tests/launch/bind.sh
 */
#pragma once
#include "launch/run.h"

/* On rank 0's terminal, and warnings on stderr.  Collective over all ranks. */
void nodes_say(const Run *r);
