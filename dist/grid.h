/*
 * grid.h -- the process grid: world = dp x tp, tp fastest
 *
 *     rank = dp_rank * tp_size + tp_rank
 *
 * The ranks of a tp group hold one replica of the model in pieces and see the same micro-batch; they are
 * neighbours in world, so a launcher that fills nodes puts them on one node.  The ranks of a dp group hold
 * the same piece and see different data.  `node` holds the ranks that share memory with this one.
 *
 * Tests: tests/dist/test_grid.c
 */
#pragma once
#include <mpi.h>
#include <stdbool.h>

#include "dist/levels.h"

typedef struct {
    MPI_Comm world, dp, tp, node;                  /* own communicators: no message of others strays in */
    MPI_Comm tp_collect;                           /* tp again: what is started there has an order of its own (tp.h) */
    int rank, size, dp_rank, dp_size, tp_rank, tp_size, node_rank, node_size;
    bool tp_apart;                                 /* some tp group lies on several nodes: each block's sums cross the network */
    struct TpSums *sums;                           /* over tp, under way (tp.h), or NULL */
    Levels levels;                                 /* of replicas: first those of a node, where all nodes have as many, neighbours */
    struct ZeroWeights *coming;                    /* weights under way between replicas (zero.h), or NULL */
} Grid;

/* Collective over world.  Dies unless tp divides the number of ranks.  From here on long ops let MPI move (core/meanwhile.h). */
void grid_open(Grid *g, MPI_Comm world, int tp);
void grid_close(Grid *g);                          /* collective over world */
