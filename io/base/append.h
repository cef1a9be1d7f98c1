/*
 * append.h -- a file that grows by whole records, through a full disk that must not end a training run
 *
 * A record is in the file whole or not at all: what a full disk took half of is taken back.  Records that cannot be written wait
 * in memory, 64 KiB of them at most, and go before the next one that can; what is more is lost.  Waiting, and losing, are said once
 * on stderr, and again only after all could be written.
 * Local; one writer a file.  Tests: tests/io/base/test_log.c, tests/io/base/test_events.c
 */
#pragma once
#include "io/base/err.h"

typedef struct Append Append;

/* Opens to append; flags: further ones of open, as O_CREAT.  name: what messages call it; must outlive the Append.  NULL: EXIT_IO. */
Append *append_open(const char *path, int flags, const char *name, Err *e);
/* n bytes that belong together; those of a full disk wait. */
void append_record(Append *a, const void *bytes, size_t n);
/* What was written so far is durable. */
void append_sync(Append *a);
int  append_fd(const Append *a);
/* Tries what waits once more, syncs. */
void append_close(Append *a);
