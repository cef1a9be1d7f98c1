/*
 * command.h -- what another program says, within a time limit
 *
 * For programs of the batch system, which may be absent, or hang when its controller does.  Local.
 * Tests: tests/io/base/test_command.c
 */
#pragma once
#include <stddef.h>

enum { COMMAND_NONE = -1 /* it cannot be started: errno */, COMMAND_LATE = -2 /* the time was over, and it was ended */ };

/* Runs argv[0], looked for on PATH, with these variables (env NULL: ours), no standard input, and none of our signals, and ends it
   after so many seconds.  out, err: the first cap - 1 bytes of what it prints there, as text; err may be NULL.  Its exit status, 128 +
   the signal that ended it, or one of the above. */
int command_read(char *const argv[], char *const env[], double seconds, char *out, size_t cap, char *err, size_t err_cap);
