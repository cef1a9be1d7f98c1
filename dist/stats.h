/*
 * stats.h -- min, mean and max over ranks, and who was the slowest
 *
 * Tests: tests/dist/test_comm.c
 */
#pragma once
#include <mpi.h>

typedef struct {
    double min, mean, max;
    int    argmax;             /* the lowest rank that has max */
} Stat;

/* x (n) finite -> out (n), equal on all ranks.  Collective over comm. */
void stats_gather(MPI_Comm comm, const double *x, int n, Stat *out);
