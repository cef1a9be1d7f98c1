/*
 * projector.h -- the MLP from vision width to model width
 *
 *     h1 = w1 x + b1;   h(i+1) = w(i+1) gelu_erf(h(i)) + b(i+1)          1 or more layers; 2 is LLaVA's mlp2x_gelu
 *
 * Distributed over tp: layers in pairs, the first column-, the second row-parallel with one tp->sum; the bias of the
 * second is replicated.  A last layer without a partner is replicated.
 *
 * Dims    Cv vision width   C model width   N image rows
 * Source  LLaVA-1.5, arXiv:2310.03744; docs/MATH.md
 * Tests   tests/core/test_model.c, tests/golden (PyTorch)
 */
#pragma once
#include "core/arena.h"
#include "core/param.h"

enum { PROJECTOR_MAX = 4 };

typedef struct {
    int    Cv, C, layers;
    Linear w[PROJECTOR_MAX];
    int    first, last;
} Projector;

typedef struct {
    float *pre[PROJECTOR_MAX], *act, *dact;        /* (N,C) each, (N,Cl) where column-parallel */
} ProjectorTape;

void   projector_params(Projector *w, Binder *b);
void   projector_tape(ProjectorTape *t, Arena *a, const Projector *w, int64_t rows);
/* Forward and backward are collective over tp. */
float *projector_forward(ProjectorTape *t, const Projector *w, const float *x, int64_t N, Tp *tp);        /* (N,C) */
/* dout (N,C) is used up; dx (N,Cv) may be NULL (frozen tower). */
void   projector_backward(float *dx, Projector *dw, ProjectorTape *t, float *dout, const Projector *w, const float *x,
                          int64_t N, Tp *tp, const OnGrad *g);
