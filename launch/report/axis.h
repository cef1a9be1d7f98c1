/*
 * axis.h -- ends of an axis, its ticks at 1, 2 and 5 times a power of ten, and what is written beside them
 *
 * Local.  Tests: tests/launch/report.sh
 */
#pragma once
#include <stdbool.h>

enum { AXIS_TICKS = 24, AXIS_WORD = 32 };

typedef struct { double lo, hi; bool log; } Axis;       /* lo < hi, but where there is one value alone */

Axis axis_linear(double lo, double hi);
/* With some room above and below, but not across zero; lo may be hi, or both not finite: then 0 to 1. */
Axis axis_padded(double lo, double hi);
/* 0 < lo < hi */
Axis axis_log(double lo, double hi);
/* Where x lies: 0 at lo, 1 at hi. */
double axis_share(const Axis *a, double x);
/* About `wanted` ticks, or a few more, ascending; returns how many. */
int axis_ticks(const Axis *a, int wanted, double at[AXIS_TICKS]);
/* "0.02", "150", "12k", "3M", "5e-4" */
void axis_word(const Axis *a, double x, char out[AXIS_WORD]);
