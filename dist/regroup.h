/*
 * regroup.h -- Muon's matrices between the replicas: from flat shares (zero.h) to the blocks that are orthogonalised, and back
 *
 * A matrix of this tp rank, (rows, cols), of which each replica holds a range of elements, goes to
 *
 *     WHOLE   one owner: owners in turn, so that all of them receive at once
 *     ROWS    equal blocks of rows                       where tp does not split rows
 *     COLS    equal blocks of columns                    column-parallel matrices with tp > 1: with tp it makes one
 *                                                        ScaLAPACK block on the dp x tp grid, or its transpose
 *
 *     W (rows, cols), split 1, tp = 2, dp = 2:  ROWS     W split 0, tp = 2, dp = 2:  COLS
 *            tp 0   tp 1                                        dp 0   dp 1
 *         ┌──────┬──────┐                                    ┌──────┬──────┐
 *         │ dp 0 │ dp 0 │                                    │      │      │ tp 0
 *         ├──────┼──────┤                                    ├──────┼──────┤
 *         │ dp 1 │ dp 1 │                                    │      │      │ tp 1
 *         └──────┴──────┘                                    └──────┴──────┘
 *
 * Whole rows land where they lie in the flat gradient, whose elements beyond this rank's shares nobody needs any more; blocks of
 * columns in work space.  What is under way at once is bounded: some matrices a round, each round one exchange.
 *
 * Tests: tests/dist/test_regroup.c
 */
#pragma once
#include "dist/zero.h"

enum { WAY_NONE, WAY_WHOLE, WAY_ROWS, WAY_COLS };
typedef struct { int way, owner; } Target;         /* of a tensor; owner: of WAY_WHOLE */

/* A rectangle of this tp rank's piece; empty where rows or cols is 0. */
typedef struct { int row, rows, col, cols; } Block;

typedef struct Regroup Regroup;

/* The block of tensor i that a replica gets. */
Block    regroup_block(const Zero *z, const Target *t, int i, int replica);
/* All tensors i whose target[i] is not WAY_NONE; z and target must outlive it.  Local. */
Regroup *regroup_open(const Zero *z, const Target *target, MPI_Comm dp);
void     regroup_close(Regroup *x);
/* Where the block of tensor i is after regroup_gather. */
float   *regroup_at(const Regroup *x, int i, float *grads);
/* Shares -> blocks; blocks -> shares.  Collective over dp. */
void     regroup_gather(Regroup *x, float *grads);
void     regroup_return(Regroup *x, float *grads);
/* Bytes that regroup_open takes; bytes that this rank sends, there and back.  Local, without MPI. */
size_t   regroup_memory(const Zero *z, const Target *target);
/* Elements of blocks that lie in the flat gradient outside of this rank's shares.  Local, without MPI. */
int64_t  regroup_landed(const Zero *z, const Target *target);
int64_t  regroup_bytes(const Zero *z, const Target *target);
