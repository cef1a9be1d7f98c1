#include "dist/grid.h"

#include <stdlib.h>

#include "dist/comm.h"

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
