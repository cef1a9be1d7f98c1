/*
 * catalogue.h -- the samples of one split of a data set, or of several that are mixed, read at random
 *
 *     shards_open("runs/a/index.set", SPLIT_TRAIN, e)           one data set
 *     shards_open("a/index.set:3, b/index.set:1", ...)          three samples of a for one of b
 *
 * Everything about a sample but its bytes comes from the index (index.h); a reader takes the stored bytes of a chunk at their
 * file address, checks their hash and unpacks them (frame.h), with a few unpacked chunks kept.  No HDF5.  A shard's file is
 * opened when it is first read, and is then asked whether it is the one that the index means.
 *
 * Samples are numbered over all sets in their order, and inside a set in the order of its shards.
 *
 * A mix is exact and without state: each MIX_CYCLE positions hold each set's share of them, in a drawn order that is the same in
 * each cycle; a set's own samples come in its own permutation, so each is seen once before any is seen twice.  A set without
 * a weight counts by its samples.
 *
 * For evaluation the tasks of all sets are joined: of one that several have the first that knows says the most frequent training answer.
 *
 * Local.  A ShardReader belongs to one thread, a Shards may be shared.  Malformed data are EXIT_DATA and name file, dataset and
 * byte offset; a failing disk is EXIT_IO.
 * Tests   tests/io/set/test_shard.c, tests/io/set/test_damage.c, tests/io/set/test_index.c
 */
#pragma once
#include "io/set/index.h"

enum { MIX_CYCLE = 4096 };

typedef struct Shards Shards;

/* NULL where an index is not whole, sets do not fit together, or there is no sample. */
Shards *shards_open(const char *sets, int split, Err *e);
/* Shards of version 1, which had no index: all that a glob names, their HDF5 metadata parsed.  Main thread. */
Shards *shards_glob(const char *glob, int split, Err *e);
void    shards_close(Shards *s);

const ShardMeta *shards_meta(const Shards *s);           /* counts are totals over the files */
int64_t shards_max_tokens(const Shards *s);              /* of one sample */
int     shards_max_images(const Shards *s);              /* of one sample */
/* From here on a sample has its first picture at most, and its text as it is.  Before a reader is opened. */
void    shards_first_image(Shards *s);
/* Names the data, wherever they lie: the index's hash; of a mix a hash of all and their shares; without an index (then
   shards_indexed is false) a hash of the shards' fingerprints. */
uint64_t shards_identity(const Shards *s);
bool     shards_indexed(const Shards *s);
/* What the data set is, as JSON, to be freed: { "data": hash, "sets": [ { "set": hash, "samples": ..., "options": { ... } } ] } */
char    *shards_about(const Shards *s);
/* Which sample is at a position of the stream. */
int64_t shards_pick(const Shards *s, uint64_t seed, int64_t position);
/* Are all files there, and those that the index means?  Opens each once. */
bool    shards_present(const Shards *s, Err *e);

typedef struct {
    int             n_tokens, n_images;
    const int32_t  *tokens, *labels;        /* (n_tokens) */
    const uint8_t  *pixels;                 /* (n_images, image, image, 3) */
    const uint16_t *codes;                  /* (n_images, P, Q), NULL without codes */
    const char     *answer;                 /* not terminated; NULL outside evaluation shards */
    int             answer_len, task;       /* task -1: nothing is asked; so outside evaluation shards */
} Sample;                                   /* valid until the reader's next call */

typedef struct ShardReader ShardReader;

ShardReader *reader_open(const Shards *s);
void         reader_close(ShardReader *r);
/* From now on tokens and labels >= vocab and codes >= codebook are malformed data; 0 = not checked. */
void         reader_limits(ShardReader *r, int vocab, int codebook);
/* Fills *out.  Checks besides the hashes: one IMAGE_TOKEN per image, no other negative token, labels. */
bool         reader_sample(ShardReader *r, int64_t sample, Sample *out, Err *e);

/* Reads every chunk of one file by itself, also compares HDF5's chunk index with /hash, and gives the fingerprint. */
bool shards_verify(const char *path, uint64_t *fingerprint, Err *e);
