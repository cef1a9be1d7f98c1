/*
 * decode.h -- generation: a prompt with pictures, then one token at a time from a KV cache
 *
 *     decode_start(&d);
 *     decode_prompt(&d, tokens, n, image_rows);      IMAGE_TOKEN takes the next P rows of image_rows
 *     while ((t = decode_pick(&d, temperature, u)) != eos) decode_token(&d, t);
 *
 * Collective over tp; every rank picks the same token.
 * Tests   tests/core/test_decode.c (a token at a time = the whole sequence at once)
 */
#pragma once
#include "core/asvr.h"

typedef struct {
    Model     *m;
    Arena      arena;
    LlamaCache cache;
    float     *logits;                         /* (V) */
    int32_t   *id, *pos, *local;               /* (rows) */
    int        rows;
    int        last;                           /* row of the cache's h that the next token follows from */
} Decode;

/* max_len: rows a sequence may have.  The model is one opened with train = false. */
void decode_open(Decode *d, Model *m, int max_len);
/* What decode_open takes.  Local. */
size_t decode_bytes(const Model *m, int max_len);
void decode_close(Decode *d);
void decode_start(Decode *d);
/* False, and nothing done, if the prompt's rows do not fit. */
bool decode_prompt(Decode *d, const int32_t *tokens, int n, const float *image_rows);
int  decode_pick(Decode *d, float temperature, double u);
bool decode_token(Decode *d, int32_t token);
/* (V) logits of the next token, after a prompt or a token; all ranks hold all of them. */
const float *decode_logits(Decode *d);
