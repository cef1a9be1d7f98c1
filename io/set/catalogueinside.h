/*
 * catalogueinside.h -- what catalogue.c, reader.c and shardverify.c share; nobody else includes it
 */
#pragma once
#include "io/set/catalogue.h"

typedef struct {
    const Index *index;
    int          i;                     /* its number there */
    const int   *task;                  /* of its set's tasks their numbers here; NULL: it asks nothing */
    int64_t      first;                 /* number of its first sample here */
    char        *path;
} File;

struct Shards {
    int        sets, n, split;
    Index    **set;                     /* (sets) */
    int64_t   *set_first, *share;       /* (sets+1): numbers of the sets' first samples; (sets): of a mix, positions in a cycle */
    struct { uint8_t set; uint16_t before; } *cycle;    /* (MIX_CYCLE) of a mix: whose the position is, and how many of his were before */
    File      *file;                    /* (n) */
    int      **task;                    /* (sets) as of the sets' files */
    ShardMeta  meta;                    /* counts of all files */
    int64_t    max_tokens, max_images, max_answer;      /* of one sample */
    bool       first_image;        /* alone, of each sample */
    int64_t    stored_bytes;            /* of the largest stored chunk */
    int64_t    raw_bytes[SHARD_ARRAYS]; /* of the largest unpacked chunk of each array */
    int64_t    row_bytes[SHARD_ARRAYS]; /* of a row, in all files */
};

/* Opens a shard's file and asks whether it is the one that the index means; -1 with the error. */
int shard_file_of(const File *f, Err *e);
/* How many tasks it names. */
int shards_tasks(const ShardMeta *m);
/* The samples of an index, which now belongs to the result; NULL with the error, and the index is closed. */
Shards *shards_of(Index *x, int split, Err *e);
