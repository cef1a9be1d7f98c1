/*
 * gather.h -- samples read one by one, collected into a Batch
 *
 * Local.  Everything is allocated by gather_open.
 */
#pragma once
#include "core/batch.h"
#include "io/set/catalogue.h"

typedef struct {
    int       cap, images_cap, depth;
    size_t    picture, codes_row;          /* bytes of a picture, of a picture's codes */
    int64_t   tokens_cap;
    int32_t  *tokens, *labels, *token_start, *image_start;
    uint8_t  *pixels;
    uint16_t *codes;
    int64_t  *sample;
    Batch     batch;
} Gather;

void gather_open(Gather *g, const Shards *s, int samples, int images, int depth);
void gather_close(Gather *g);
void gather_clear(Gather *g);
/* False, and nothing done, when it is full. */
bool gather_add(Gather *g, const Sample *s, int64_t number);
const Batch *gather_batch(Gather *g);
