/*
 * opspans.h -- the table of ops again, each call watched: a span of its name (prof.h), an entry of the sums (opsums.h), or both
 *
 * Laid over `op` while it is on; off, it costs nothing.  Bits are those of the ops themselves.  What OPS_COUNT writes into an op's
 * results the op overwrites.
 *
 * Local, main thread only; with OPS_SPANS prof_keep must have a ring meanwhile.  Tests: tests/core/test_prof.c
 */
#pragma once

enum { OPS_SPANS = 1, OPS_SUMS = 2 };

/* From here on: all of what is asked for; 0: the ops are themselves again. */
void ops_watch(unsigned what);
