/*
 * shardfile.h -- one shard as HDF5 describes it: what the index is made from, and verify of a single shard looks at
 *
 * Believes nothing: format, version, shapes, caps and sizes are checked before anything is allocated.  Local; HDF5: main
 * thread only.  Malformed: EXIT_DATA with file and dataset; a failing disk: EXIT_IO.
 * Tests   tests/io/set/test_damage.c
 */
#pragma once
#include "io/set/frame.h"
#include "io/set/shard.h"

typedef struct {
    ShardArray     is;
    int64_t        per, n;              /* rows per chunk, chunks */
    const H5Chunk *chunk;               /* (n) */
} Stored;

typedef struct {
    char      *path;
    int        fd;
    int64_t    bytes;                   /* of the file */
    ShardMeta  meta;
    uint64_t   fingerprint;             /* as the writer noted it */
    Stored     array[SHARD_ARRAYS];
    H5Chunk   *chunk;                   /* of all arrays, one after the other */
    int64_t    chunks;
    int64_t   *image_start, *token_start, *answer_start;     /* (samples+1); the last NULL unless eval */
} ShardFile;

/* Opens and checks one file.  On failure the caller still closes f. */
bool shard_file_open(ShardFile *f, const char *path, Err *e);
/* The same without the start arrays. */
bool shard_file_tables(ShardFile *f, const char *path, Err *e);
void shard_file_close(ShardFile *f);
