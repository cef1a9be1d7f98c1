/*
 * readways.h -- the two ways to a shard's pixels, timed: as training reads them, and as HDF5 does
 *
 *     independent   each rank its chunks: pread, XXH64, zstd, by threads; no HDF5
 *     collective    H5Dread of all ranks at once through MPI-IO and the zstd filter
 *
 * Both give stored rows (store.h), dense.  Collective over comm, agreed.
 * Tests   tests/io/set/test_index.c compares the bytes of both
 */
#pragma once
#include "io/set/catalogue.h"

typedef struct { double independent, collective, bytes; } ReadWays;     /* unpacked bytes a second of all ranks; bytes read each way */

/* Reads pixels of the first shard that has some, `most` bytes at the most, each way once the page cache has them. */
bool read_ways(MPI_Comm comm, const Shards *s, int threads, int64_t most, ReadWays *out, Err *e);
