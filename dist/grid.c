#include "dist/grid.h"

#include <stdlib.h>

#include "core/meanwhile.h"
#include "dist/comm.h"

/* How many replicas lie on a node; 1 where nodes have different numbers of them, or they are no neighbours. */
static int near_of(const Grid *g)
{
    MPI_Comm near = comm_split_node(g->dp);
    const int n = comm_size(near), most = comm_agree(g->world, n);
    int first = g->dp_rank;
    comm_bcast(near, &first, sizeof first, 0);
    const bool odd = n != most || first % n || g->dp_rank != first + comm_rank(near);
    comm_free(&near);
    return comm_agree(g->world, odd) ? 1 : n;
}

void grid_open(Grid *g, MPI_Comm world, int tp)
{
    g->coming = NULL;
    g->sums = NULL;
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
    g->tp_collect = comm_split(g->tp, 0, g->tp_rank);
    g->node = comm_split_node(g->world);
    comm_axis(g->world, AXIS_WORLD);
    comm_axis(g->dp, AXIS_DP);
    comm_axis(g->tp, AXIS_TP);
    comm_axis(g->tp_collect, AXIS_TP);
    g->node_rank = comm_rank(g->node);
    g->node_size = comm_size(g->node);
    MPI_Comm near = comm_split_node(g->tp);
    g->tp_apart = comm_agree(g->world, comm_size(near) < tp);
    comm_free(&near);
    g->levels = levels_of(g->dp_size, near_of(g));
    meanwhile = comm_progress;
}

void grid_close(Grid *g)
{
    free(g->sums);
    comm_free(&g->node);
    comm_free(&g->tp_collect);
    comm_free(&g->tp);
    comm_free(&g->dp);
    comm_free(&g->world);
}
