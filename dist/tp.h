/*
 * tp.h -- stands behind core's door to other ranks: sums over tp, weights on their way from dp
 *
 * A sum in two phases is cut into a piece for each rank:
 *
 *     exchange    every rank gets its piece from all (all-to-all), and adds them up in the order of ranks
 *     collect     every rank gets everybody's piece (all-gather)
 *
 * So each sends 2 (R-1)/R of the floats, as in a ring, and the bits depend neither on MPI's algorithm nor on where an element lies.
 * Between the phases somebody must call: every start and wait, and need, looks after all that is under way.  Exchanges start in the order of
 * the model, collections in the same one: on a communicator of their own, since how far an exchange has got differs among ranks.
 *
 * Tests: tests/dist/test_grid.c
 */
#pragma once
#include "core/par.h"
#include "dist/grid.h"

/* sum and max are collective over g->tp, or nothing where that is one rank; need waits for what g->coming names.  The grid must
   outlive the door, and keeps the sums under way.  Local. */
Tp tp_door(Grid *g);

/* What is counted of a sum of n floats in two phases, on rank `rank` of so many.  Local. */
void tp_sum_cost(int64_t *calls, int64_t *bytes, int64_t n, int rank, int ranks);
