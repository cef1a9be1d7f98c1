#include "dist/grid.h"

#include <omp.h>
#include <stdlib.h>
#include <unistd.h>

#include "dist/comm.h"

void grid_open(Grid *g, MPI_Comm world, int tp)
{
    g->coming = NULL;
    g->rank = comm_rank(world);
    g->size = comm_size(world);
    CHECK(tp > 0 && g->size % tp == 0, "%d ranks do not divide into tensor-parallel groups of %d", g->size, tp);
    g->tp_size = tp;
    g->dp_size = g->size / tp;
    g->tp_rank = g->rank % tp;
    g->dp_rank = g->rank / tp;
    g->world = comm_split(world, 0, g->rank);
    g->dp = comm_split(g->world, g->tp_rank, g->dp_rank);
    g->tp = comm_split(g->world, g->dp_rank, g->tp_rank);
    g->node = comm_split_node(g->world);
    comm_axis(g->world, AXIS_WORLD);
    comm_axis(g->dp, AXIS_DP);
    comm_axis(g->tp, AXIS_TP);
    g->node_rank = comm_rank(g->node);
    g->node_size = comm_size(g->node);
    MPI_Comm near = comm_split_node(g->tp);
    g->tp_apart = comm_agree(g->world, comm_size(near) < tp);
    comm_free(&near);
}

void grid_close(Grid *g)
{
    comm_free(&g->node);
    comm_free(&g->tp);
    comm_free(&g->dp);
    comm_free(&g->world);
}

static void mask_set(CpuMask *m, long cpu)
{
    if (cpu >= 0 && cpu < MASK_CPUS)
        CPU_SET(cpu % CPU_SETSIZE, &m->part[cpu / CPU_SETSIZE]);
}

/* OMP_PROC_BIND ties the main thread to a part of that before main begins: the places know the rest. */
CpuMask mask_own(void)
{
    CpuMask m = { 0 };
    if (sched_getaffinity(0, sizeof m, (cpu_set_t *)(void *)&m))
        for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++)
            mask_set(&m, cpu);
    for (int i = 0; i < omp_get_num_places(); i++) {
        const int n = omp_get_place_num_procs(i);
        int *cpu = malloc((size_t)n * sizeof *cpu + 1);
        CHECK(cpu, "no memory for a place of %d processors", n);
        omp_get_place_proc_ids(i, cpu);
        for (int k = 0; k < n; k++)
            mask_set(&m, cpu[k]);
        free(cpu);
    }
    return m;
}

int mask_threads(const CpuMask *mask, int ranks, int me)
{
    const unsigned char *mine = (const unsigned char *)&mask[me];
    int cpus = 0, sharers = 0;
    for (size_t i = 0; i < sizeof *mask; i++)
        cpus += __builtin_popcount(mine[i]);
    for (int r = 0; r < ranks; r++) {
        const unsigned char *theirs = (const unsigned char *)&mask[r];
        bool meet = r == me;
        for (size_t i = 0; i < sizeof *mask && !meet; i++)
            meet = mine[i] & theirs[i];
        sharers += meet;
    }
    return cpus > sharers ? cpus / sharers : 1;
}

int grid_threads(const Grid *g)
{
    const CpuMask mine = mask_own();
    CpuMask *all = malloc((size_t)g->node_size * sizeof *all);
    int64_t *bytes = malloc((size_t)g->node_size * sizeof *bytes);
    CHECK(all && bytes, "no memory for the masks of %d ranks", g->node_size);
    for (int r = 0; r < g->node_size; r++)
        bytes[r] = sizeof mine;
    comm_gather_bytes(g->node, all, &mine, bytes);
    const int threads = mask_threads(all, g->node_size, g->node_rank);
    free(bytes);
    free(all);
    return threads;
}
