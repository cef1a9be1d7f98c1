/*
 * globs.h -- "shards/{00000..00099}.tar", "train-*.parquet": the files that a text names
 *
 *     the text as it is, where such a file exists (so brackets in a name harm nothing); else
 *     {a,b}  {007..123}     each of them, in that order; with zeros in front where the first has them
 *     *  ?  [...]           what matches, in the order of bytes
 *     a folder              its files with the suffix, in the order of bytes
 *
 * A name without * that is not there is an error, as is a text that matches nothing: EXIT_DATA.  Local.
 * Tests: tests/io/source/test_packed.c
 */
#pragma once
#include "io/base/files.h"

typedef struct { char **path; int64_t n, cap; } Globs;

/* suffix: see above; NULL: a folder is taken as it is. */
bool globs_find(Globs *g, const char *text, const char *suffix, Err *e);
void globs_free(Globs *g);
/* The folder that all lie in; how many bytes of each path name it, the / behind it included. */
int64_t globs_root(const Globs *g, char root[PATH_ROOM]);
