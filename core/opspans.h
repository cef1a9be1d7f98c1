/*
 * opspans.h -- while it is on, every call of an op is a span (prof.h); while it is off, it costs nothing
 *
 * Local, main thread only; prof_keep must have a ring meanwhile.  Tests: tests/core/test_prof.c
 */
#pragma once
#include "core/base.h"

/* Lays itself over `op`, or takes itself off again: on and off in turn. */
void ops_spans(bool on);
