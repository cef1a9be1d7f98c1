/*
 * encoder.h -- a stack of pre-norm transformer blocks that see everything: the towers of SigLIP and CLIP
 *
 *     x += wo attention(LN1(x)) + bo          bidirectional, H heads of C/H
 *     x += w2 gelu(w1 LN2(x) + b1) + b2       gelu: one of core/ops.h's kinds
 *
 * Distributed over tp: q, k, v, w1 column-parallel (heads, ffn), wo and w2 row-parallel: two sums a block, in stripes; with tp->sequence each
 * rank keeps its share of the rows of x and its norms (residual.h; shapes below name N rows of those, too).
 *
 * Dims    C width   F ffn   H heads   L layers   N packed rows of B sequences
 * Source  SigLIP, arXiv:2303.15343; docs/MATH.md
 * Tests   tests/core/test_model.c (finite differences), tests/golden (PyTorch)
 */
#pragma once
#include "core/arena.h"
#include "core/param.h"
#include "core/rows.h"

enum { MAX_LAYERS = 128 };

typedef struct { int C, F, H, L; float eps; int gelu; } EncoderDims;      /* gelu: GELU_... */

typedef struct {
    float *ln1_w, *ln1_b, *ln2_w, *ln2_b;
    Linear wq, wk, wv, wo, w1, w2;
    int    first, last;                              /* its params in the table */
} EncoderBlock;

typedef struct {
    EncoderDims  d;
    EncoderBlock block[MAX_LAYERS];
} Encoder;

typedef struct {
    float *mean1, *rstd1, *q, *k, *v, *att, *lse;  /* (N) (N) (N,Cl) x 4 (N,Hl) */
    float *mid, *mean2, *rstd2, *pre;              /* (N,C) (N) (N) (N,Fl) */
    float *out;                                    /* (N,C) */
} EncoderLayerTape;

typedef struct {
    int    recompute;                              /* RECOMPUTE_... */
    float *x, *in;                                 /* (N,C) the input, used up where this rank keeps a share of its rows: in */
    float *out;                                    /* (N,C) what the last forward returned; may be x */
    EncoderLayerTape layer[MAX_LAYERS];
    float *norm, *act, *room, *dq, *dk, *dv, *datt, *dnorm, *part;    /* shared by all layers; room: of sums, NULL: one rank; part: residual.h's, or NULL */
} EncoderTape;

/* The parameters of layers named PART.L.attn..., one function for declare, weights and gradients. */
void encoder_params(Encoder *w, Binder *b, const char *part);
/* rows = the most rows a call may have.  Without keep the layers share their buffers and there is no backward; what is recomputed
   (RECOMPUTE_...) they share, too. */
void encoder_tape(EncoderTape *t, Arena *a, const EncoderDims *d, int64_t rows, bool keep, int recompute, const Tp *tp);
/* Runs layers [from, to): t->x (from 0) or what an earlier call returned -> the output (N,C), returned, on the tape.  Collective over tp. */
float *encoder_forward(EncoderTape *t, const Encoder *w, int from, int to, const Rows *r, Tp *tp);
/* Back through layers [from, to): dx (N,C): gradient of their output on entry, of their input on return.  dw: NULL pointers
   where frozen.  Uses the layers' tape up.  Collective over tp. */
void encoder_backward(float *dx, Encoder *dw, EncoderTape *t, const Encoder *w, int from, int to, const Rows *r, Tp *tp,
                      const OnGrad *g);
