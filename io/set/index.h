/*
 * index.h -- the index of a data set: one file that says everything about its shards, written last
 *
 *     asvr-set 1 0123456789abcdef 0000004242 0000000012  \n  64 bytes: version, hash, bytes of the JSON, number of blocks
 *     { ... }                                        JSON: what was packed and how, one entry a shard
 *     \n...                                          up to a multiple of INDEX_BLOCK
 *     blocks of INDEX_BLOCK bytes                    the tables, zeros behind the last
 *     uint64 per block                               its XXH64
 *
 * The hash on the first line is XXH64 of everything up to the first block and of the blocks' hashes: it names the data set,
 * wherever the files lie.  Tables of a shard, from its "tables" on (bytes from the first block, little endian):
 *
 *     chunks        (chunks of all arrays, in their order) { int64 offset, int64 size, uint64 xxh64 } of the stored bytes
 *     rest          (rest)                                 the same, of all bytes between and around the chunks
 *     image_start   int64 (samples+1)      token_start  int64 (samples+1)      answer_start  int64 (samples+1), evaluation only
 *
 * and at "held_out" the record numbers that were drawn for evaluation, int64.  Shards lie beside the index under names that
 * hold a hash of their bytes, so a new pack never writes over what an older index speaks of.
 *
 * Opening reads the first line, the JSON and the blocks' hashes; tables are read block by block when a sample asks, and each
 * block is checked as it comes.  So opening costs the same for any number of samples, resident memory does not grow, and the
 * page cache holds one copy for all ranks of a node (docs/DECISIONS.md says why it is not mapped).
 *
 * Local.  An Index may be shared by threads, an IndexReader belongs to one.  Malformed: EXIT_DATA; a failing disk: EXIT_IO.
 * Tests   tests/io/set/test_index.c, tests/launch/set.sh
 */
#pragma once
#include "io/set/shard.h"

enum { INDEX_VERSION = 1, INDEX_BLOCK = 16 << 10, INDEX_NAME = 64 };
enum { SPLIT_TRAIN, SPLIT_VAL, SPLITS };
enum { INDEX_KINDS = 3 };                                    /* records without, with one, with several pictures */

extern const char *const split_names[SPLITS];                /* "train", "val" */

/* A run of stored bytes. */
typedef struct { int64_t offset, size; uint64_t xxh64; } IndexPiece;

typedef struct {
    char    *name;                          /* beside the index; of version 1 a whole path */
    int      split;
    int64_t  samples, images, tokens, answers;
    int64_t  bytes;                         /* of the file */
    uint64_t fingerprint, stored;           /* of the content; of the file's bytes */
    int64_t  fingerprint_at;                /* where the file itself says it, 16 hex digits: is it this file? */
    int64_t  per[SHARD_ARRAYS];             /* rows a chunk, 0 where there is no chunk */
    int64_t  chunks[SHARD_ARRAYS], rest;    /* pieces */
    int64_t  tables;                        /* where its tables begin */
    int64_t  max_tokens, max_images, max_answer;     /* of one sample */
    int64_t  max_stored;                    /* bytes of the largest stored chunk */
} IndexShard;

typedef struct {
    char       *path, *folder;
    uint64_t    hash;                       /* the data set's name; 0: of version 1, see shards_glob */
    ShardMeta   meta;                       /* counts of all shards; eval, tasks and baseline are those of SPLIT_VAL */
    char       *options;                    /* JSON: how it was packed, no paths among it */
    int         n;
    IndexShard *shard;                      /* (n), training first, each split in the order of its samples */
    int64_t     held, held_out;             /* record numbers, and where they begin */
    int64_t     kinds[SPLITS][INDEX_KINDS];
    int         fd;                         /* -1: the tables are in memory */
    char       *memory;
    int64_t     first, blocks, used, cap;   /* file offset of the first block; used, cap: bytes in memory */
    uint64_t   *block_hash;
} Index;

Index *index_open(const char *path, Err *e);                 /* NULL on failure */
void   index_close(Index *x);
/* The path of shard i, in a buffer of the caller's. */
bool   index_shard_path(const Index *x, int i, char *path, size_t cap, Err *e);
/* Layout of shard i's arrays. */
void   index_layout(const Index *x, int i, ShardArray array[SHARD_ARRAYS]);

/* ---- tables ---- */

typedef struct IndexReader IndexReader;
IndexReader *index_reader_open(void);
void         index_reader_close(IndexReader *r);
/* n bytes of the tables at `at`, copied to out. */
bool index_read(IndexReader *r, const Index *x, int64_t at, void *out, int64_t n, Err *e);
/* Chunk number c of array k, and the same as frame.h wants it. */
bool index_chunk(IndexReader *r, const Index *x, int i, int k, int64_t c, H5Chunk *out, Err *e);
/* Where in the tables the starts of a shard lie: which = 0 images, 1 tokens, 2 answers. */
int64_t index_starts(const IndexShard *s, int which);

/* ---- writing ---- */

/* An index of no shards, in memory. */
Index *index_new(const char *path);
/* Describes the shard at `path` by its own HDF5 metadata and appends it to x under `name`; NULL: under
   "train-00000-HASH.h5", by its split, `number` and bytes.  Shards must agree in what is common.  Main thread. */
bool   index_add(Index *x, const char *path, const char *name, int split, int64_t number, Err *e);
/* Writes it to x->path, durable on return, and sets x->hash. */
bool   index_write(Index *x, Err *e);
void   index_append(Index *x, const void *bytes, int64_t n);  /* to the tables */

/* Every byte of the index, or of shard i, is what was written: reads all blocks, or all pieces.  `part` of `parts`: a share
   of the work, for several ranks.  bytes counts what was read. */
bool   index_verify(const Index *x, int part, int parts, int64_t *bytes, Err *e);
bool   index_verify_shard(const Index *x, int i, int part, int parts, int64_t *bytes, Err *e);
