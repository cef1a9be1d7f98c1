/*
 * splice.h -- where image rows sit among text tokens, and which rows have what to learn
 *
 * A sequence of tokens  t0 IMAGE t1 t2  becomes the rows  t0 p0 .. p(P-1) t1 t2, cut at max_len.  Then
 *
 *     text target     row(j) - 1 learns labels[j], for every text token j with a label and a row before it
 *     visual target   row(p) - shift learns the codes of patch p, for every patch whose row was not cut off;
 *                     shift 0 as in the released code, 1 as in the paper's equation (2)
 *
 * Integers only, and the same on all tp ranks; the model moves tensor rows by these lists (ops gather, scatter).
 * A sample without image, and rows that were cut, have no visual target.
 *
 * Dims    N packed rows   P patches an image   text, vis: numbers of targets
 * Source  ASVR, arXiv:2506.09040, equation (2); docs/MATH.md
 * Tests   tests/core/test_splice.c
 */
#pragma once
#include "core/arena.h"
#include "core/batch.h"

typedef struct {
    int64_t  N;                    /* rows */
    int      B;
    int32_t *start;                /* (B+1) first row of each sequence */
    int32_t *id, *pos;             /* (N) token id or -1 for an image row; position in the sequence */
    int64_t  images;               /* image rows that exist: */
    int32_t *image_row, *image_src;/* (images) row in the sequence <- row of the features (I P) */
    int64_t  text;
    int32_t *text_row, *text_id;   /* (text) this row learns this token */
    int64_t  vis;
    int32_t *vis_row, *vis_src;    /* (vis) this row learns the codes of this patch (row of the codes (I P)) */
} Splice;

/* Room for B sequences of max_len rows and I images. */
void splice_layout(Splice *s, Arena *a, int B, int max_len, int I, int P);
/* Fills s.  Placeholders beyond the sequence's images are a bug of the caller (checked). */
void splice_build(Splice *s, const Batch *b, int P, int max_len, int shift);
