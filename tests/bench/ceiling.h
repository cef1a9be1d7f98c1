/*
 * ceiling.h -- how fast a loader could be at most: nothing but unpacking the chunks it needs, from memory
 *
 * Every stored chunk of the training shards lies in memory.  As many threads as the loader has take its micro-batches, unpack
 * the chunks that it would (each thread with as many slots for unpacked ones as io/set/reader.c), copy the rows of a sample into a
 * batch and undo store.h there.  No index, no read, no hash, no check, no queue.
 *
 * Local.  Dies on any error.
 */
#pragma once
#include "io/set/loader.h"

typedef struct Ceiling Ceiling;

Ceiling *ceiling_open(const char *set, const Shards *s, const LoaderConf *c);
void     ceiling_close(Ceiling *c);
/* Makes the micro-batches of the rank's steps [step, step + n); the sum of their hashes where asked for. */
uint64_t ceiling_run(Ceiling *c, int64_t step, int64_t n, bool hash);
uint64_t ceiling_hash(const Batch *b, int64_t image_bytes);
