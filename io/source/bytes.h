/*
 * bytes.h -- the bytes of a file one after the other, unpacked on the way where it is gzip or zstd
 *
 * What a file is its first bytes say, not its name.  Several gzip members or zstd frames behind each other are one text.
 * Memory is the window of the packer (at most 128 MiB for zstd) and two blocks.  A file that is damaged or cut off is
 * EXIT_DATA with the byte of the packed file.  Local.  Tests: tests/io/source/test_packed.c
 */
#pragma once
#include "io/base/err.h"

typedef struct Bytes Bytes;

Bytes  *bytes_open(const char *path, Err *e);
void    bytes_close(Bytes *b);
/* The next n bytes, fewer at the end only; -1 with e set. */
int64_t bytes_read(Bytes *b, void *to, int64_t n, Err *e);
/* Is it packed, and how: "gzip", "zstd"; "" where it is not. */
const char *bytes_packed(const Bytes *b);
