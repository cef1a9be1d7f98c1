/*
 * fuzz.h -- what the fuzz targets share
 *
 * A target takes any bytes for what one parser reads, and holds the parser to the laws that its first comment names; a law
 * that is broken dies (CHECK), as a sanitizer's finding does.  One source, two mains: libFuzzer's (`make fuzz`), and
 * driver.c, which replays a corpus (`make test`).
 */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/base/files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LAW CHECK

/* A file in memory with these bytes; path names it.  The caller closes it. */
static inline int fuzz_file(const void *bytes, size_t n, char path[32])
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    CHECK(fd >= 0 && file_write(fd, bytes, n), "no file in memory");
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

/* An error has this code, says what, and where: `place` stands in it. */
static inline void fuzz_refused(const Err *e, int code, const char *place)
{
    LAW(e->code == code, "refused with %d, not %d: %s", e->code, code, e->what);
    LAW(e->what[0], "refused without a word");
    LAW(strstr(e->where, place), "\"%s\" is said of \"%s\", not of \"%s\"", e->what, e->where, place);
}
