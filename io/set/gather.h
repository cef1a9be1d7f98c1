/*
 * gather.h -- samples one by one become a Batch: the one place where the arrays of a micro-batch are laid out
 *
 * Local.  Everything is allocated by gather_open; pages that are never used are never touched.
 * Tests   tests/io/set/test_loader.c
 */
#pragma once
#include "core/batch.h"
#include "io/set/catalogue.h"

/* What a batch may hold, and how large its rows are. */
typedef struct {
    int     samples, images;
    int64_t tokens, image_bytes, image_codes;      /* of the batch; bytes of a picture; codes of a picture */
} GatherRoom;

typedef struct {
    GatherRoom room;
    int32_t   *tokens, *labels, *token_start, *image_start;
    uint8_t   *pixels;
    uint16_t  *codes;
    int64_t   *sample;
    Batch      batch;
} Gather;

/* Room for so many of the shards' samples, whole, with so many pictures. */
GatherRoom gather_room(const Shards *s, int samples, int images);
int64_t    gather_bytes(const GatherRoom *room);
void gather_open(Gather *g, const GatherRoom *room);
void gather_close(Gather *g);
void gather_clear(Gather *g);
/* False, and nothing done, when it is full. */
bool gather_add(Gather *g, const Sample *s, int64_t number);
const Batch *gather_batch(Gather *g);
