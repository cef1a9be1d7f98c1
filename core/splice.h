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
 * A sample without image, and rows that were cut, have no visual target.  A random share of the visual targets can be
 * kept; which ones depends on seed, step and the patch's place in the global batch alone.
 *
 * Dims    N packed rows   P patches an image   text, vis: numbers of targets
 * Source  ASVR, arXiv:2506.09040, equation (2); docs/MATH.md
 * Tests   tests/core/test_splice.c
 */
#pragma once
#include "core/batch.h"
#include "core/rows.h"

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
    int64_t *vis_key;              /* (vis) the patch's number in the global batch, for what is drawn */
    int      vis_images;           /* pictures with a visual target: */
    int32_t *vis_start;            /* (vis_images+1) first target of each */
} Splice;

/* Text targets that one sequence of n tokens would have, cut at max_len rows: what splice_build finds in it. */
int64_t splice_text_targets(const int32_t *tokens, const int32_t *labels, int64_t n, int P, int max_len);
/* Room for B sequences of max_len rows and I images. */
void splice_layout(Splice *s, Arena *a, int B, int max_len, int I, int P);
/* Fills s.  Placeholders beyond the sequence's images are a bug of the caller (checked). */
void splice_build(Splice *s, const Batch *b, int P, int max_len, int shift);
/* Keeps each visual target with probability `share`. */
void splice_share(Splice *s, float share, uint64_t seed, int64_t step);
