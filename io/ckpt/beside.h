/*
 * beside.h -- the small files of a run that belong to a checkpoint: listed with their hashes, compared with the list
 *
 *     RUN/hf/config.json      "hf/config.json", bytes, XXH64
 *
 * An import keeps in RUN/hf what a checkpoint has no place for; an export trusts these files as much as the tensors.  All
 * files of the folder are listed, in the order of their names, but those whose name begins with a dot.
 *
 * Local, for one rank.  Errors  another file, one more or one less than the list has: EXIT_DATA; the disk's: EXIT_IO
 * Tests   tests/io/ckpt/test_manifest.c, tests/launch/hf.sh
 */
#pragma once
#include "io/base/err.h"

enum { CKPT_FILE = 256 };

typedef struct {
    char     name[CKPT_FILE];       /* "hf/config.json", below RUN */
    int64_t  bytes;
    uint64_t xxh64;
} CkptFile;

/* A name of two parts, neither of which leads anywhere else. */
bool beside_named(const char *name);
/* What lies in RUN/folder; *list to be freed. */
bool beside_list(const char *run, const char *folder, CkptFile **list, int *n, Err *e);
/* Are the files of RUN those of the list, and no others in its folder?  An empty list has nothing to compare. */
bool beside_check(const char *run, const CkptFile *list, int n, Err *e);
