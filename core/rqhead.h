/*
 * rqhead.h -- the visual head: a depth transformer from one hidden row to Q code distributions
 *
 *     e0  = p2 gelu_erf(p0 g + b0) + b2                          from the hidden row g (C)
 *     s_k = sum_(j<=k) E_j[c_j];   u_k = in s_k + b              teacher-forced codes, frozen codebooks
 *     x   = (e0, u_0, .., u_(Q-2))                               a sequence of Q depths
 *     L times:  r = RMSNorm2(x + attention(RMSNorm1(x)))         causal over depth; r is also the FFN's residual
 *               x_k = r_k + w2_k gelu_erf(w1_k r_k)              its own FFN weights for each depth
 *     logits_k = head_k RMSNorm(x_k) + b_k                       (S) for each depth
 * or, tied,
 *     y_k = tie RMSNorm(x_k) + tb;   logits_k[j] = <y_k, E_k[j]> / sqrt(Cv) + b_k[j]     tie (Cv,E) serves all depths
 *
 * With soft = tau > 0 the target c of depth k is, in training, the distribution over the m = min(8,S) codes nearest to it
 *     p_i ~ exp(-|E_k[c] - E_k[i]|^2 / (tau a_k)),   a_k = mean over codes of |E_k[j] - its nearest other code|^2
 * and the loss is the cross-entropy with p.  Without gradients (evaluation) targets are c alone: losses compare.
 *
 * Tensors are depth-major, (Q,M,.): each depth is one dense matrix.  Only the M rows with a visual target are
 * computed, and the logits of one depth's chunk of rows live at once (xent.h).
 * Distributed over tp: p0 column-, p2 row-parallel, attention by heads, FFN by its inner width, code heads by codebook
 * (code-parallel loss); tied, a rank's piece of the codebook is its rows.  `in` and `tie` (E x Cv, small beside a code
 * head of S rows) are replicated: their inputs and outputs are needed whole on every rank.
 *
 * Dims    C model width  E head width  H heads  L layers  Q depth  S codes  Cv codebook width  M target rows
 * Source  ASVR, arXiv:2506.09040; docs/MATH.md
 * Tests   tests/core/test_rqhead.c, test_model.c (finite differences), tests/golden (PyTorch)
 */
#pragma once
#include "core/encoder.h"
#include "core/rqtok.h"
#include "core/xent.h"

enum { SOFT_CODES = 8 };

typedef struct {
    int   C, E, H, L, Q, S, Cv;
    float eps;
    bool  tied;                                    /* logits are products with the frozen codebooks */
    float soft;                                    /* tau; 0: each target is one code */
} RqHeadDims;

typedef struct {
    float *norm1, *norm2;
    Linear wq, wk, wv, wo;
    Linear w1[MAX_DEPTH], w2[MAX_DEPTH];           /* (2E,E) (E,2E) for each depth */
    int    first, last;
} RqHeadBlock;

typedef struct {
    RqHeadDims  d;
    const char *part;                              /* "head", "app_head": what its tensors' names begin with */
    Linear      p0, p2, in;
    float      *norm;
    Linear      head[MAX_DEPTH];                   /* (S,E); tied: a bias, and the codebook in the weight's place */
    Linear      tie;                               /* (Cv,E), if tied */
    int         first, front_last, tail_first, last;
    RqHeadBlock block[16];
} RqHead;

typedef struct {
    float *rstd1, *q, *k, *v, *att, *prob;         /* (QM) (QM,El) x 4 (M,Hl,Q,Q) */
    float *sum, *rstd2, *res, *pre;                /* (QM,E) (QM) (QM,E) (QM,2E/tp) */
    float *out;                                    /* (QM,E) */
} RqHeadLayerTape;

typedef struct {
    float *pre, *act, *emb, *x;                    /* (M,El) (M,El) ((Q-1)M,Cv) (QM,E) */
    float *rstd, *normed, *dnormed;                /* (QM) (QM,E) (QM,E) */
    RqHeadLayerTape layer[16];
    float *norm, *hid, *dq, *dk, *dv, *datt, *dnorm, *dx, *room;     /* room (QM,E): of sums, NULL: one rank */
    int32_t *local;                                /* (M) work */
    float   *y, *dy;                               /* tied: (M,Cv) of one depth */
    XentWork xent;
} RqHeadTape;

/* Tables of the soft targets, computed at the first forward pass that learns; no micro-batch changes them. */
typedef struct {
    int32_t *near[MAX_DEPTH];                      /* (S,m); all depths with one codebook use the first */
    float   *p[MAX_DEPTH];                         /* (S,m) */
    float   *whole;                                /* (S,Cv) a codebook put together for them; NULL with one rank */
    bool     ready;
} RqHeadSoft;

void rqhead_params(RqHead *w, Binder *b);
/* Nothing without soft targets. */
void rqhead_soft(RqHeadSoft *s, Arena *a, const RqHeadDims *d, const Tp *tp);
/* The tape is free between a call of backward and the next forward. */
void rqhead_tape(RqHeadTape *t, Arena *a, const RqHeadDims *d, int64_t rows, const Tp *tp);
/* g (M,C) hidden rows, code (Q,M).  loss[k] += sum over rows of the cross-entropy of depth k.  With dw given the code
   heads' gradients, times scale, are computed on the way, and targets are soft if asked for: the codebooks must have
   their final values before the first such call.  Collective over tp. */
void rqhead_forward(double *loss, RqHead *dw, RqHeadTape *t, RqHeadSoft *soft, const RqHead *w, const Codes *codes,
                    const float *g, const int32_t *code, int64_t M, float scale, Tp *tp);
/* After rqhead_forward with dw: dg (M,C), overwritten; the gradients add up over calls. */
void rqhead_backward(float *dg, RqHead *dw, RqHeadTape *t, const RqHead *w, const float *g, int64_t M, Tp *tp);
