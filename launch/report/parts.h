/*
 * parts.h -- what the time of a step is made of, for a curve and a table
 *
 *     whole = t_step + t_ckpt (the save before it)        rest = whole - data - forward - backward - reduce - optim - ckpt
 *
 * Local.  Tests: tests/launch/report.sh
 */
#pragma once
#include "launch/report/columns.h"

enum { TIME_DATA, TIME_FORWARD, TIME_BACKWARD, TIME_REDUCE, TIME_OPTIM, TIME_CKPT, TIME_REST, TIME_PARTS };
extern const int TIME_COLUMN[TIME_REST];        /* of columns.h */

/* (n) each, to be freed; false where no step has a time.  What is not finite counts as nothing. */
bool parttime_arrays(const Columns *c, double **whole, double **rest);
