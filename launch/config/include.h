/*
 * include.h -- a configuration file and its @includes as one text that remembers where each line came from
 *
 *     @include "model.cfg"          alone on a line, the name relative to the file that says it
 *
 * libconfig's own @include takes names relative to one folder for all files and answers a loop with "nesting
 * too deep"; and libconfig 1.5 wraps integers beyond 31 bits in silence, so each integer gets the suffix L here.
 * At most 1 MiB in all; a file that includes itself is an error that prints the way round.
 * Local.  Tests: tests/launch/config.sh
 */
#pragma once
#include "io/base/err.h"

enum { INCLUDE_DEPTH = 16, INCLUDE_FILES = 64, INCLUDE_BYTES = 1 << 20 };

typedef struct {
    char  *text;                            /* ends in NUL */
    size_t size, room;
    struct { int file, line; } *origin;     /* of each line of text */
    int    lines, line_room;
    char  *file[INCLUDE_FILES];
    int    files;
} Included;

/* EXIT_CONFIG where a file is missing, too large, not text, or includes itself. */
bool include_read(Included *in, const char *path, Err *e);
void include_free(Included *in);
/* "file:line" of line `line` (from 1) of the text. */
void include_where(const Included *in, int line, char *out, size_t size);
