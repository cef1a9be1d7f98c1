/*
 * limits.h -- what this machine gives at best, measured now: the rates that an op's is held against
 *
 * A product's limit is one matrix product of that very shape by the BLAS itself, cut once along its longer side for the threads.
 * Everything else's is a copy whose source and destination are together as large as what the op touches:
 * what fits a cache is held against the cache.  The best of several runs.
 *
 * Local; memory is taken and given back.  Tests: tests/launch/waterfall.sh
 */
#pragma once
#include "core/base.h"

/* Floats that limits_sgemm needs for such a product. */
int64_t limits_room(int64_t M, int64_t N, int64_t K);
/* Flops per second of c (M,N) = op(a) op(b), with ta and tb as of op.product; in room of so many floats, whose values become small numbers. */
double limits_sgemm(float *room, int64_t M, int64_t N, int64_t K, bool ta, bool tb, int threads);
/* Bytes per second, read and written, of a copy that touches about so many. */
double limits_copy(int64_t bytes, int threads);
/* Bytes per second of reading so many, once through: what a product of few rows with a large weight is held against. */
double limits_read(int64_t bytes, int threads);
