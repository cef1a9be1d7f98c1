/*
 * tp.h -- stands behind core's door to other ranks: sums over tp, weights on their way from dp
 *
 * A sum is cut into a piece for each rank:
 *
 *     exchange    every rank gets its piece from all (all-to-all), and adds them up along the tree of core/join.h
 *     collect     every rank gets everybody's piece (all-gather)
 *
 * So each sends 2 (R-1)/R of the floats, as in a ring, and the bits depend neither on MPI's algorithm nor on where an element lies.  Ranks
 * are neighbours in the tree: a sum whose leaves lie on 2^k ranks has the same bits for each k.
 *
 * Where ranks keep shares of rows a scatter is the exchange alone, a gather the collection, and the pieces are those rows.
 *
 * In two phases somebody must call between them: every start and wait, and need, looks after all that is under way.  Exchanges start in the
 * order of the model, collections in the same one: on a communicator of their own, since how far an exchange has got differs among ranks.
 * A sum that is waited for at once goes in pieces of TP_PIECE floats; of a short one every rank gets all addends, and adds them up itself.
 *
 * Tests: tests/dist/test_grid.c
 */
#pragma once
#include "core/par.h"
#include "dist/grid.h"

enum { TP_PIECE = 1 << 18, TP_SHORT = 1 << 15 };       /* floats; short: those of all ranks together */
static inline bool tp_sum_short(int64_t n, int ranks) { return n * ranks <= TP_SHORT; }

/* sum and max are collective over g->tp, or nothing where that is one rank; need waits for what g->coming names.  The grid must
   outlive the door, and keeps the sums under way.  blocks: the leaves of a sum over a split dimension, a power of two that tp divides; 0:
   sums go by ranks (linear.h).  Dies if they do not divide.  Local. */
Tp tp_door(Grid *g, int blocks);

/* What is counted of a sum of n floats in two phases, or in one piece, on rank `rank` of so many; and of its halves.  Local. */
void tp_sum_cost(int64_t *calls, int64_t *bytes, int64_t n, int rank, int ranks);
void tp_scatter_cost(int64_t *calls, int64_t *bytes, int64_t n, int64_t each, int rank);
void tp_gather_cost(int64_t *calls, int64_t *bytes, int64_t n, int64_t each, int rank, int ranks);
