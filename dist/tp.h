/*
 * tp.h -- stands behind core's door between tensor-parallel ranks
 *
 * Tests: tests/dist/test_grid.c
 */
#pragma once
#include "core/par.h"
#include "dist/grid.h"

/* sum and max are collective over g->tp; TP_ALONE where that is one rank.  The grid must outlive the door.  Local. */
Tp tp_door(const Grid *g);
