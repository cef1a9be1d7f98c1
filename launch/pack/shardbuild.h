/*
 * shardbuild.h -- collects samples into one rank's part of a shard
 *
 * Buffers grow as samples come.  Local, but for shardbuild_codes, which is collective over the model's tp ranks.
 */
#pragma once
#include "core/asvr.h"
#include "dist/watch.h"
#include "io/set/shard.h"
#include "launch/pack/source.h"

typedef struct { char *at; size_t used, cap; } Growing;

typedef struct {
    const ShardMeta *meta;
    ShardPart        part;
    Growing          pixels, codes, image_start, token_start, tokens, labels, answers, answer_start, task;
} ShardBuild;

void shardbuild_begin(ShardBuild *b, const ShardMeta *meta);
void shardbuild_add(ShardBuild *b, const PackSample *p);
/* Visual codes of all pictures so far, by the model's tower and codebooks; tells the watchdog of each batch. */
void shardbuild_codes(ShardBuild *b, Model *m, Tape *t, Watch *w);
/* Valid until the next call on b. */
const ShardPart *shardbuild_get(ShardBuild *b);
void shardbuild_free(ShardBuild *b);
