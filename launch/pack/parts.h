/*
 * parts.h -- collects samples into one rank's part of a shard
 *
 * Buffers grow as samples come.  Local, but for parts_codes, which is collective over the model's tp ranks.
 */
#pragma once
#include "core/asvr.h"
#include "io/set/shard.h"
#include "launch/pack/source.h"

typedef struct { char *at; size_t used, cap; } Growing;

typedef struct {
    const ShardMeta *meta;
    ShardPart        part;
    Growing          pixels, codes, image_start, token_start, tokens, labels, answers, answer_start, task;
} PartBuilder;

void parts_begin(PartBuilder *b, const ShardMeta *meta);
void parts_add(PartBuilder *b, const PackSample *p);
/* Visual codes of all pictures so far, by the model's tower and codebooks. */
void parts_codes(PartBuilder *b, Model *m);
/* Valid until the next call on b. */
const ShardPart *parts_get(PartBuilder *b);
void parts_free(PartBuilder *b);
