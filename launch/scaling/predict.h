/*
 * predict.h -- the time of a point before it runs, by the rates that small grids of the series gave (plan.h)
 *
 * The smallest grid alone, the smallest with replicas and the smallest with tp are measured first, with one micro-batch a step.
 * A point takes compute, the optimizer and what is left over from the one of its kind; where it has both axes, the reduction's rates come from
 * the one with replicas.  Threads that take turns on a core make everything as many times longer.
 *
 * What it cannot know: another number of nodes than the small grids had, and what else runs on the machine.
 * Local.  Tests: tests/launch/scaling.sh
 */
#pragma once
#include "launch/scaling/series.h"

/* Fills p->want and p->rates; leaves them empty where rates are missing. */
void predict(const Series *s, Point *p);
