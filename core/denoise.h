/*
 * denoise.h -- the denoising visual head: from an image's hidden rows to the noise on the features of its patches
 *
 *     x0    = LN(z), no affine                          frozen features z of the image, the target; no gradient
 *     t     = 1 + floor(1000 u)                         one for each image and draw
 *     abar  = f(t) / f(0), f(t) = cos^2(pi/2 (t/1000 + s) / (1 + s)), s = 0.008
 *             no step keeps less than 1/1000 of the one before: abar(1000) = abar(999) / 1000
 *     x_t   = sqrt(abar) x0 + sqrt(1 - abar) eps        eps normal, one number for each patch, draw and channel
 *     y     = in x_t + b + cond g + b' + time(t)        g the patch's own hidden row
 *     time  = t2 gelu_erf(t1 wave(t) + b1) + b2         wave = (cos(t w_j), sin(t w_j)), w_j = 10000^(-2j/E), j < E/2
 *     y     = L encoder blocks (encoder.h)              each image's rows see each other, forwards and backwards
 *     hat   = out LN(y) + b''                           out = 0 at the start: the loss begins at 1
 *     loss  = sum over rows of the mean over draws and channels of (hat - eps)^2
 *
 * ROSS conditions each block by adaLN; here the condition is added once, to the tokens, and the blocks that see the
 * whole image spread it.  Draws lie image by image: row draws * start[i] + k * (start[i+1] - start[i]) + p is draw k
 * of row start[i] + p, so each (image, draw) is one packed sequence.
 *
 * Noise depends on the seed, the step, the draw and the patch's key alone, never on ranks or micro-batches:
 *     eps[key,k,c] = rng_normal(seed, a, key Cv + c)    a = rng_bits(seed, rng_stream("denoise.noise"), step draws + k)
 *     u[key,k]     = rng_uniform(seed, b, key)          b = rng_bits(seed, rng_stream("denoise.time"),  step draws + k)
 * with the key of the image's first row for u.
 *
 * Distributed over tp: the blocks as encoder.h, the other layers are small and computed on every rank.
 *
 * Dims    C decoder width   Cv feature width   E head width (even)   F ffn   H heads   L layers   M rows of n images
 * Source  ROSS, arXiv:2410.09575, section 3; cosine schedule: arXiv:2102.09672, section 3.2; DDPM: arXiv:2006.11239
 * Tests   tests/core/test_denoise.c
 */
#pragma once
#include "core/encoder.h"

enum { DENOISE_STEPS = 1000 };

typedef struct { int C, Cv, E, F, H, L, draws; float eps; } DenoiseDims;

typedef struct {
    DenoiseDims d;
    Encoder     enc;
    Linear      in, cond, time1, time2, out;       /* (E,Cv) (E,C) (E,E) (E,E) (Cv,E) */
    float      *norm, *norm_b;                     /* (E) (E) */
    int         first, front_last, tail_first, last;
} Denoiser;

/* S = n draws sequences of R = M draws rows. */
typedef struct {
    int32_t  *time, *start;                        /* (S) the steps t; (S+1) */
    int32_t  *source, *sequence;                   /* (R) the row of g, the sequence, of each row */
    int64_t  *key;                                 /* (R) */
    uint64_t *stream;                              /* (R) of the noise */
    double   *kept, *freq;                         /* (R) abar of each row; (E/2) of the waves */
    float    *one, *mean, *rstd, *x0;              /* (Cv) (M) (M) (M,Cv) */
    float    *noise, *noisy, *hat;                 /* (R,Cv) eps, x_t, its estimate and then the loss's gradient */
    float    *cond;                                /* (M,E) */
    float    *wave, *pre, *act, *emb, *dpre;       /* (S,E) of the time MLP */
    float    *norm_mean, *norm_rstd, *normed;      /* (R) (R) (R,E) */
    float    *dnormed, *dx;                        /* (R,E) */
    EncoderTape enc;
} DenoiseTape;

typedef struct { uint64_t seed; int64_t step; } NoiseDraw;

/* abar of 0 <= t <= DENOISE_STEPS: the share of the features' variance that step t keeps. */
double denoise_kept(int t);

void denoise_params(Denoiser *w, Binder *b);                           /* the part "denoiser" */
/* rows, images: the most that a call may have.  Fixes nothing but memory.  Local. */
void denoise_tape(DenoiseTape *t, Arena *a, const Denoiser *w, int64_t rows, int images, const Tp *tp);
/* g (M,C) hidden rows, z (M,Cv) features of the same patches, rows of n images packed: start (n+1), start[n] = M.
   key (M): numbers each patch in the global batch.  An image may have lost rows at its end, or all.
   Returns the loss.  With dw (pointers NULL where frozen) denoise_backward may follow, whose gradients are those of
   the loss times `scale`.  Collective over tp. */
double denoise_forward(Denoiser *dw, DenoiseTape *t, const Denoiser *w, const float *g, const float *z, int64_t M, int n,
                       const int32_t *start, const int64_t *key, const NoiseDraw *draw, float scale, Tp *tp);
/* After denoise_forward with dw: dg (M,C), overwritten.  door may be NULL.  Collective over tp. */
void denoise_backward(float *dg, Denoiser *dw, DenoiseTape *t, const Denoiser *w, const float *g, int64_t M, int n,
                      Tp *tp, const OnGrad *door);
