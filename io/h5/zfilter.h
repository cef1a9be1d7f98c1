/*
 * zfilter.h -- the zstd filter of HDF5, number 32015, compatible with the registered plugin
 *
 * A chunk is one zstd frame that knows its content size; the one parameter is the level.  Files written here
 * are read by h5py with hdf5plugin and the other way round; a thread may read the stored bytes at their file
 * address and unpack them without HDF5 (io/set/frame.h).
 *
 * Local, main thread.  Source: registered filters of The HDF Group, 32015.  Tests: tests/io/h5/test_h5.c
 */
#pragma once
#include "core/base.h"

enum { ZFILTER = 32015 };

/* Makes the filter known to HDF5; further calls do nothing.  Dies when HDF5 refuses. */
void zfilter_register(void);
