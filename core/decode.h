/*
 * decode.h -- generation: prompts with pictures, then a token at a time, from a cache of keys and values of several sequences
 *
 *     decode_start(&d, slot);
 *     decode_add(&d, slot, tokens, n, image_rows);   IMAGE_TOKEN takes the next P rows of image_rows
 *     decode_pass(&d);                               all that was added goes through the decoder at once
 *     while ((t = decode_pick(&d, 0, temperature, u)) != eos)        of the first one that was added
 *         decode_add(&d, slot, &t, 1, NULL), decode_pass(&d);
 *
 * A pass takes something of several sequences: prompts, or parts of them, and single tokens.  Its products have a
 * row for each, so weights are read once for all; each row attends to its own sequence only.  With leaves (linear.h) no row's bits depend on what goes beside it.
 *
 * Collective over tp; every rank adds and picks the same.
 * Tests   tests/core/test_decode.c (a token at a time, and among others, = the whole sequence at once)
 */
#pragma once
#include "core/asvr.h"

typedef struct {
    Model     *m;
    Arena      arena;
    LlamaCache cache;
    float     *images;                         /* (rows,C) rows of pictures on their way to the cache's tape */
    float     *last, *part, *logits;           /* (slots,C) (slots,Vl) (slots,V) of the last pass, a row for each piece; part: NULL, one rank */
    int32_t   *id, *pos, *end, *local;         /* (rows) (rows) (slots) last rows of the pieces; (rows) */
    int        pieces;                         /* of the last pass */
} Decode;

/* slots: sequences at once.  max_len: rows a sequence may have.  rows: of a pass, as many as the slots and those of the longest piece, or more.
   The model is one opened with train = false, or one whose weights nobody changes meanwhile. */
void decode_open(Decode *d, Model *m, int slots, int max_len, int rows);
/* What decode_open takes.  Local. */
size_t decode_bytes(const Model *m, int slots, int max_len, int rows);
void decode_close(Decode *d);
/* The sequence in a slot is empty, or has its first `len` rows only. */
void decode_start(Decode *d, int slot);
void decode_cut(Decode *d, int slot, int len);
/* Rows of n tokens. */
int  decode_rows(const Decode *d, const int32_t *tokens, int n);
/* Rows that were added since the last pass. */
int  decode_waiting(const Decode *d);
/* Will go with the next pass; once for each slot.  False, and nothing done, if its rows do not fit the sequence or the pass, or there are none. */
bool decode_add(Decode *d, int slot, const int32_t *tokens, int n, const float *image_rows);
void decode_pass(Decode *d);
/* The next token of what was added as the i'th to the last pass, by its logits. */
int  decode_pick(const Decode *d, int i, float temperature, double u);
