/*
 * rope.h -- how far rotary embeddings turn from a position to the next
 *
 *     freq[d] = theta^(-2d/D), d < D/2;  the pair (d, d + D/2) is turned by pos * freq[d] (op.rope)
 *
 * A model that was trained on `original` positions is stretched to more by slower turns, w = 2 pi / freq a wave:
 *     linear    freq / factor
 *     llama3    freq / factor               of waves longer than original / low
 *               freq                        of waves shorter than original / high
 *               s freq + (1 - s) freq / factor   in between, s = (original / w - low) / (high - low)
 *
 * Dims    D of a head
 * Source  RoPE, arXiv:2104.09864; linear: arXiv:2306.15595; llama3: config.json of Llama 3.1, docs/MATH.md
 * Tests   tests/core/test_kinds.c (figures of transformers)
 */
#pragma once
#include "core/base.h"

enum { ROPE_PLAIN, ROPE_LINEAR, ROPE_LLAMA3 };

typedef struct { int kind; double factor, low, high; int original; } Rope;     /* low, high, original: llama3 alone */

/* freq (D/2).  r NULL: plain.  Local. */
void rope_freq(double *freq, int D, double theta, const Rope *r);
