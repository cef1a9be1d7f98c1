/*
 * meanwhile.h -- what somebody wants done now and then while a long op computes
 *
 * Nobody but us makes MPI move, and a product may take tens of milliseconds: messages under way would stand still for as long.  So ops that
 * run tile by tile call this between two tiles, on the thread that called the op.  dist sets it (comm_progress); here it does nothing.
 * What is set may not call an op: it is inside one.
 *
 * Local.  Tests: tests/core/test_threads.c, tests/dist/test_comm.c
 */
#pragma once
#include <omp.h>

extern void (*meanwhile)(void);

/* Behind a tile, from whichever thread of the team computed it.  In a region inside another one every thread is number 0. */
static inline void tile_done(void)
{
    if (omp_get_thread_num() == 0 && omp_get_level() <= 1)
        meanwhile();
}
