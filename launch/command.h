/*
 * command.h -- runs a program, takes what it prints, and waits no longer than it may
 *
 * Local, before or without MPI: it forks.  Tests: tests/launch/{status,submit}.sh
 */
#pragma once
#include <stddef.h>

enum { COMMAND_NONE = -1 /* there is no such program */, COMMAND_LATE = -2 /* ended by us */ };

/* argv[0] is looked for in PATH; NULL ends it.  What it prints on stdout and stderr goes to out and err, cut to their size.  Its exit
   code, 128 + the signal that ended it, or one of the above. */
int command_run(char *const argv[], double seconds, char *out, size_t out_cap, char *err, size_t err_cap);
