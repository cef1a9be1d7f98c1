/*
 * batch.h -- one micro-batch, equal on all ranks of a tensor-parallel group
 *
 * Text of all sequences lies packed: sequence b is tokens[token_start[b] .. token_start[b+1]).  IMAGE_TOKEN
 * stands where the P rows of the next image of that sequence go.  labels[j] is the token that position j
 * itself must learn (unshifted, as in Hugging Face) or IGNORE; the loss pairs position j with labels[j+1].
 */
#pragma once
#include "core/base.h"

typedef struct {
    int             B, I;            /* sequences, images */
    int64_t         M;               /* tokens */
    const int32_t  *tokens;          /* (M) */
    const int32_t  *labels;          /* (M) */
    const int32_t  *token_start;     /* (B+1) */
    const int32_t  *image_start;     /* (B+1): images of sequence b */
    const uint8_t  *pixels;          /* (I, size, size, 3) */
    const uint16_t *codes;           /* (I, P, Q or 2 Q), or NULL where the shards have none */
    const int64_t  *sample;          /* (B) global sample ids, for messages */
    int64_t         step, first, global_batch;   /* whatever is drawn in a step is drawn by these: first = index in the
                                        global batch of the first sequence */
} Batch;
