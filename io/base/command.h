/*
 * command.h -- what another program says, within a time limit
 *
 * For programs of the batch system, which may be absent, or hang when its controller does.  Local.
 * Tests: tests/io/base/test_command.c
 */
#pragma once
#include <stddef.h>

/* Runs argv[0], looked for on PATH, with these variables (NULL: ours), no standard input and no standard error, and ends it after so
   many seconds.  out: the first cap - 1 bytes of what it prints, as text.  Its exit status, 128 + the signal that ended it, or -1:
   it could not be started, or the time was over (errno: ENOENT, ETIMEDOUT, ...). */
int command_read(char *const argv[], char *const env[], double seconds, char *out, size_t cap);
