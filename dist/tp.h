/*
 * tp.h -- stands behind core's door to other ranks: sums over tp, weights on their way from dp
 *
 * Tests: tests/dist/test_grid.c
 */
#pragma once
#include "core/par.h"
#include "dist/grid.h"

/* sum and max are collective over g->tp, or nothing where that is one rank; need waits for what g->coming names.  The grid must
   outlive the door.  Local. */
Tp tp_door(const Grid *g);
