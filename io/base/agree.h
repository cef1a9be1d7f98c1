/*
 * agree.h -- no rank returns an error past a collective: all ranks learn whether somebody failed
 *
 * Collective over comm.  With MPI_COMM_NULL a process speaks for itself alone.
 * Tests   tests/io/h5/test_h5.c
 */
#pragma once
#include <mpi.h>

#include "io/base/err.h"

/* Where it is set: this rank begins to wait for the others, or has ended.  Launch tells the watchdog. */
extern void (*agree_waits)(MPI_Comm comm, bool begins);

/* True if all ranks bring ok; else every e holds the error of the lowest rank that failed. */
bool err_agree(MPI_Comm comm, bool ok, Err *e);
