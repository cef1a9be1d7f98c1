/*
 * root.h -- a folder that files may lie below, and what leads out of it
 *
 * The root is the folder as the user names it.  A path that a record names becomes
 *
 *     "a//b/./c.png"     ROOT/a/b/c.png      "." and empty parts say nothing; "x/../" is taken out as it is written
 *     "/data/a.png"      below ROOT as it is written, or by its real path; "file:///data/a.png" likewise
 *     "../a.png"         refused, and so are addresses ("https://...", "s3://...") and "data:..."
 *
 * Links below the root are followed wherever they lead; without follow_links the real path has to lie below the root's.
 * Local.  Tests: tests/io/source/test_root.c, tests/fuzz/fuzz_record.c
 */
#pragma once
#include <limits.h>

#include "io/base/err.h"

typedef struct {
    char given[PATH_MAX];               /* as it was named, without / at its end; "" with `none`, or for "/" */
    char full[PATH_MAX], real[PATH_MAX];
    bool none, follow_links;            /* none: no file may be named */
} Root;

/* folder NULL or "": none.  EXIT_DATA: there is no such folder. */
bool root_open(Root *r, const char *folder, bool follow_links, Err *e);

/* The path of the regular file that `named` means, and its size.  EXIT_DATA with e->got = named, e->where is the caller's. */
bool root_file(const Root *r, const char *named, char path[PATH_MAX], int64_t *size, Err *e);
