/*
 * synthetic.h -- the random micro-batch that a benchmark computes again and again
 *
 * Each sample: one picture and text up to model.decoder.max_len rows, with bench.min_len from so many up to that, evenly; every token
 * supervised, with codes.  Replicas have different ones.  Local.
 */
#pragma once
#include "core/batch.h"
#include "launch/run.h"

typedef struct {
    int32_t  *tokens, *labels, *token_start, *image_start;
    uint8_t  *pixels;
    uint16_t *codes;
    int64_t  *sample;
    Batch     batch;
} Synthetic;

/* What the model is opened for. */
RunShape synthetic_shape(const Config *c);
/* P: patches a picture; rank: of the replica.  To be closed. */
void synthetic_open(Synthetic *s, const Config *c, int P, int rank);
void synthetic_close(Synthetic *s);
