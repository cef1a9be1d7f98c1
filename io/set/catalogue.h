/*
 * catalogue.h -- the shards of a data set, opened once and read at random
 *
 * shards_open believes nothing: format, version, shapes, caps and sizes are checked before anything is
 * allocated, and all files must agree.  After it no HDF5 is needed: a reader takes the bytes of a chunk at
 * their file address, checks their hash and unpacks them (io/set/frame.h), with a few unpacked chunks kept.
 *
 * Samples are numbered over all files, in the order of the sorted file names.  Local.  shards_open and
 * shards_verify use HDF5: main thread only; a ShardReader belongs to one thread, a Shards may be shared.
 * Malformed data are EXIT_DATA and name file, dataset and byte offset; a failing disk is EXIT_IO.
 *
 * Tests   tests/io/set/test_shard.c, tests/io/set/test_damage.c
 */
#pragma once
#include "io/set/shard.h"

typedef struct Shards Shards;

/* NULL when nothing matches, a file is not whole, or files disagree in image, patch, depth, models, template. */
Shards *shards_open(const char *glob, Err *e);
void    shards_close(Shards *s);

const ShardMeta *shards_meta(const Shards *s);           /* counts are totals over the files */
int64_t shards_max_tokens(const Shards *s);              /* of one sample */
int     shards_max_images(const Shards *s);              /* of one sample */
/* Which file holds the sample, for messages. */
const char *shards_path(const Shards *s, int64_t sample);

typedef struct {
    int             n_tokens, n_images;
    const int32_t  *tokens, *labels;        /* (n_tokens) */
    const uint8_t  *pixels;                 /* (n_images, image, image, 3) */
    const uint16_t *codes;                  /* (n_images, P, Q), NULL without codes */
    const char     *answer;                 /* not terminated; NULL outside evaluation shards */
    int             answer_len, task;       /* task -1 outside evaluation shards */
} Sample;                                   /* valid until the reader's next call */

typedef struct ShardReader ShardReader;

ShardReader *reader_open(const Shards *s, Err *e);
void         reader_close(ShardReader *r);
/* From now on tokens and labels >= vocab and codes >= codebook are malformed data; 0 = not checked. */
void         reader_limits(ShardReader *r, int vocab, int codebook);
/* Fills *out.  Checks besides the hashes: one IMAGE_TOKEN per image, no other negative token, labels. */
bool         reader_sample(ShardReader *r, int64_t sample, Sample *out, Err *e);

/* Reads every chunk of one file, also compares HDF5's chunk index with /hash, and gives the fingerprint. */
bool shards_verify(const char *path, uint64_t *fingerprint, Err *e);
