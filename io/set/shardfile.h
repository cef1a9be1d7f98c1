/*
 * shardfile.h -- one open shard: what catalogue.c, reader.c and shardverify.c share; nobody else includes it
 */
#pragma once
#include "io/set/catalogue.h"
#include "io/set/frame.h"

typedef struct {
    ShardArray     is;
    int64_t        per, n;              /* rows per chunk, chunks */
    const H5Chunk *chunk;               /* (n) */
} Stored;

typedef struct {
    char      *path;
    int        fd;
    int64_t    bytes, first;            /* size of the file; number of its first sample in the catalogue */
    ShardMeta  meta;
    uint64_t   fingerprint;             /* as the writer noted it */
    Stored     array[SHARD_ARRAYS];
    H5Chunk   *chunk;                   /* of all arrays, one after the other */
    int64_t   *image_start, *token_start, *answer_start;     /* (samples+1); the last NULL unless eval */
} ShardFile;

struct Shards {
    int        n;
    ShardFile *file;
    ShardMeta  meta;                    /* counts of all files */
    int64_t    max_tokens, max_images, max_answer;      /* of one sample */
    int64_t    stored_bytes;            /* of the largest stored chunk */
    int64_t    raw_bytes[SHARD_ARRAYS]; /* of the largest unpacked chunk of each array */
};

/* Opens and checks one file.  On failure the caller still closes f. */
bool shard_file_open(ShardFile *f, const char *path, Err *e);
void shard_file_close(ShardFile *f);
/* A catalogue of the given files. */
Shards *shards_of(char *const *path, int n, Err *e);
