/*
 * tar.h -- the members of a tar file: where in the file the bytes of each lie
 *
 *     header   512 bytes: name, size, checksum, kind; then the member's bytes, filled up to 512
 *     end      a block of zeros
 *
 * Read are ustar (with its prefix), GNU's long names, pax's path and size, sizes in base 256.  Nothing is believed: a checksum
 * that does not match, a size beyond the file's end, a file that ends without its end mark are EXIT_DATA with the byte.
 * Compressed ones are refused by name, as are sparse members.  Nothing but headers is read.
 *
 * Local.  Tests: tests/io/source/test_tar.c, tests/fuzz/fuzz_tar.c
 */
#pragma once
#include "io/base/files.h"

enum { TAR_BLOCK = 512 };

typedef struct {
    char    name[PATH_ROOM];       /* without a leading "./" */
    bool    file;                  /* else a folder, a link, a device */
    int64_t at, bytes;             /* where its bytes begin */
    int64_t header;                /* where the member begins */

    char    path[PATH_ROOM];
    int     fd;
    int64_t size, next;            /* of the tar; where the next header lies */
} Tar;

bool tar_open(Tar *t, const char *path, Err *e);
/* 1: a member; 0: the end; -1: damaged, and so is every later call. */
int  tar_next(Tar *t, Err *e);
void tar_close(Tar *t);
