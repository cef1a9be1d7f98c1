/*
 * shard.h -- a data shard: one HDF5 file of samples, written by any number of ranks
 *
 *     /pixels       uint8  (I, image, image, 3)   one chunk = whole images, about 32 KiB, as `store` says
 *     /codes        uint16 (I, P, depth)          where a tokenizer was given to pack: Q semantic codes, then, where it
 *                                                 has them, Q appearance codes; P = (image / scales / patch)^2
 *     /image_start  int64  (N+1)                  images of sample i: rows image_start[i] .. image_start[i+1]
 *     /tokens       int32  (M)                    IMAGE_TOKEN stands where an image's P rows go
 *     /labels       int32  (M)                    the token that this position itself must learn, or IGNORE
 *     /token_start  int64  (N+1)
 *     /answers      uint8  (bytes)                UTF-8, with /answer_start int64 (N+1) and /task int32 (N):
 *                                                 evaluation shards only; an answer is the one right text, or JSON
 *                                                 (launch/eval/judge.h); task -1, without an answer: losses alone
 *     /hash         (dataset, row, offset, size, xxh64) of every stored chunk of all of the above
 *     attributes    format "asvr-shard", version 2, samples, images, tokens, image, patch, depth, text_model,
 *                   codes_model (16 hex digits), template, source, fingerprint; tasks, baseline when evaluation;
 *                   store where pixels are not raw (store.h), scales where it is not 1, appearance_model where there are such codes
 *
 * All datasets are chunked and packed with zstd (filter 32015), so /hash covers every value; one
 * without elements is stored contiguous and has no entry.  HDF5's own metadata carry checksums.
 *
 * Example: two samples, one of them with an image, P = 4, tokens "1 -200 7 2" and "1 9 2":
 *     samples 2  images 1  tokens 7  image_start 0 1 1  token_start 0 4 7
 *
 * Version 1 knew no `store` and had larger chunks; it is read as it is.
 *
 * Fingerprint: of the content, not of the bytes, so it is equal for any number of ranks and any version of zstd:
 * per dataset the sum over its rows of XXH64(row, seed = index of the row), then XXH64 of those sums and of the
 * attributes.  Addition commutes, so ranks add what they hold.
 *
 * Tests   tests/io/set/test_shard.c (1 to 4 ranks), tests/io/set/test_damage.c
 */
#pragma once
#include "io/h5/h5.h"
#include "io/set/store.h"

enum { SHARD_TASKS = 4096, SHARD_BASELINE = 8192 /* bytes */ };
enum { SHARD_VERSION = 2, SHARD_LEVEL = 3, DELTA_LEVEL = 1 /* of differences: more finds less (docs/PERF.md) */ };

typedef struct {
    int64_t  samples, images, tokens;       /* counted by the writer, filled in by readers */
    int      image, patch, scales, depth;   /* image = scales times what the tower sees; depth 0: no codes */
    int      store;                         /* how pixels are stored: STORE_... of store.h */
    bool     eval;
    uint64_t text_model, codes_model, appearance_model;
    char     template_[16], source[32];
    char     tasks[SHARD_TASKS];            /* eval only: names, comma separated */
    char     baseline[SHARD_BASELINE];      /* eval only: most frequent training answers, '\n' separated, in task order */
} ShardMeta;

/* P: patches of a picture, a remainder at its edges is dropped. */
static inline int64_t shard_patches(const ShardMeta *m)
{
    const int64_t side = m->image / m->scales / m->patch;
    return side * side;
}

/* What one rank contributes. */
typedef struct {
    int64_t         samples, images, tokens;
    const uint8_t  *pixels;                 /* (images, image, image, 3), as meta.store says */
    const uint16_t *codes;                  /* (images, P, depth) when depth > 0 */
    const int64_t  *image_start, *token_start;      /* (samples+1), local, from 0 */
    const int32_t  *tokens_, *labels;       /* (tokens) */
    const char     *answers;                /* eval only, as the next two */
    const int64_t  *answer_start;           /* (samples+1), from 0 */
    const int32_t  *task;                   /* (samples) */
} ShardPart;

/* Writes the ranks' parts one after the other to path.tmp, reads every chunk back through the loader's way,
   compares with what is in memory, adds the hashes, and renames to path when all of it is on the disk.  On
   failure no file is left.  Collective over comm; agreed error: EXIT_IO. */
bool shard_write(MPI_Comm comm, const char *path, const ShardMeta *m, const ShardPart *mine, Err *e);

/* ---- the layout, said once for the writer and the readers ---- */

enum { SHARD_PIXELS, SHARD_CODES, SHARD_IMAGE_START, SHARD_TOKENS, SHARD_LABELS, SHARD_TOKEN_START,
       SHARD_ANSWERS, SHARD_ANSWER_START, SHARD_TASK, SHARD_ARRAYS };

extern const char *const shard_array_names[SHARD_ARRAYS];

typedef struct {
    const char *name;                       /* NULL when a shard of this kind does not have it */
    int         type, dims;
    int64_t     size[SLICE_DIMS];           /* global shape; size[0] = rows */
    int64_t     row_bytes;
} ShardArray;

/* Local.  answer_bytes matters for eval only. */
void     shard_layout(const ShardMeta *m, int64_t answer_bytes, ShardArray array[SHARD_ARRAYS]);
/* Local.  The sum over n rows that lie at `rows` and are number `first` and following of their dataset. */
uint64_t shard_row_sum(const ShardArray *a, const void *rows, int64_t first, int64_t n);
uint64_t shard_fingerprint(const ShardMeta *m, const uint64_t sum[SHARD_ARRAYS]);
