/*
 * place.h -- which cores of its node a rank computes on
 *
 * A launcher ties each rank to CPUs of its own (its mask), or gives all ranks of a node the same ones (Slurm's task/none).
 * Ranks whose masks are the same are a set; what becomes of it, by the masks of all ranks of the node:
 *
 *     PLACE_OWN      a set of one, and no other mask meets it: kept as it is
 *     PLACE_DIVIDED  a set of n, no other mask meets it, C >= n cores: rank i is bound to the cores [iC/n, (i+1)C/n) of the mask, in
 *                    the order of the machine (package, NUMA domain, core), with all hardware threads that the mask has of them
 *     PLACE_SHARED   fewer cores than ranks, masks that meet in part, nobody may bind, or OMP_PROC_BIND or OMP_PLACES have
 *                    tied threads before main began: left as it is
 *
 * Neighbours of world (the ranks of a tp group) so get neighbouring cores.  The whole process is bound, threads that MPI has
 * started included, before OpenMP starts any; all that come later inherit it.
 *
 * hwloc is asked by one rank a node; nothing else of dist knows it.
 * Tests: tests/dist/test_place.c, tests/launch/bind.sh
 */
#pragma once
#include "dist/grid.h"

#include <sched.h>
#include <stdint.h>

enum { MASK_CPUS = 8192 };
typedef struct { cpu_set_t part[MASK_CPUS / CPU_SETSIZE]; } CpuMask;

/* A node's CPUs: the core and the NUMA domain that each belongs to, counted in the order of the machine; -1: there is no such CPU. */
typedef struct { int cores, domains; int16_t core[MASK_CPUS], domain[MASK_CPUS]; CpuMask allowed; /* to this process's cgroup */ } Machine;

typedef enum { PLACE_OWN, PLACE_DIVIDED, PLACE_SHARED } PlaceKind;
typedef struct {
    int  kind;
    bool pinned;                        /* by OMP_PROC_BIND or OMP_PLACES */
    int  ranks;                         /* PLACE_SHARED: that may run on one of its CPUs, itself included; else 1 */
    int  cores, cpus;                   /* that it may run on; PLACE_SHARED: with the others */
    bool crosses;                       /* other masks meet its own in part */
    struct { int allowed, cores, cpus, domains; } node;     /* cores that this job may use; that some rank may run on, and more of those */
} CpuPlace;

/* Finds and takes the place of this rank.  bind: may PLACE_DIVIDED be?  Collective over g->node. */
void place_open(CpuPlace *p, const Grid *g, bool bind);
/* Threads for that place: its cores, divided by the ranks that share them; at least 1. */
int  place_threads(const CpuPlace *p);

/* What this process may run on.  OMP_PROC_BIND ties the main thread to a part of that before main begins: its places are the rest. */
CpuMask mask_own(void);
/* This machine, or hwloc's description of another ("pack:2 core:16 pu:2").  Local. */
void machine_read(Machine *m, const char *synthetic);
/* The places of n ranks with these masks, and in mask what each is bound to.  Local. */
void place_plan(const Machine *m, bool bind, int n, CpuMask *mask, CpuPlace *place);
