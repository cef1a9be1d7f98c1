/*
 * falltable.h -- the waterfall of watched steps as a table and as a file (waterfall.h)
 *
 * A line is one op of one phase, of all its shapes.  `saved` is what its seconds are above the sum of its calls at their limits, never
 * below 0; of messages, and of what is in no op, it is all of it.  Lines come by what they save; `left` is the step's time without what
 * they and those above save, at last the ideal.
 *
 * Local.  Tests: tests/launch/waterfall.sh
 */
#pragma once
#include "core/opsums.h"
#include "dist/comm.h"
#include "launch/run.h"

typedef struct { double seconds; CommCount sent[AXES]; } FallPhase;
typedef struct Fall Fall;

/* sums (n) are those of `steps` steps, and, phases further by FALL_PHASES, of as many on one thread; phase, alone (FALL_PHASES). */
Fall *fall_open(const Run *r, const OpSum *sums, int n, const FallPhase *phase, const FallPhase *alone, int steps);
/* Measures each op's limit: seconds. */
void  fall_limits(Fall *f);
void  fall_print(const Fall *f);
/* RUN/waterfall.json, docs/FORMATS.md. */
bool  fall_write(const Fall *f, const char *run, Err *e);
void  fall_close(Fall *f);
