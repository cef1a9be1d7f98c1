/*
 * siglip.h -- the vision tower (SigLIP's or CLIP's), the text tower, and the sigmoid contrastive loss that trains both
 *
 *     vision   x = patches(pixels) wp^T + bp + pos;  blocks;  features = the rows after `layers` blocks, no norm
 *     CLIP     x = LN([class; patches(pixels) wp^T] + pos);  blocks with the quick gelu;  features = the patches' rows: the
 *              class row in front of each picture's, which they all see, is the tower's own affair
 *     pooled   LN(x), one learned query attends to all patches, y + MLP(LN(y))          one row an image
 *     text     x = embed[id] + pos;  blocks;  LN;  the last token's row through a linear
 *     loss     -1/n sum_ij log sigmoid(l_ij (exp(scale) <v_i,t_j> + bias)),  l = +1 on the diagonal, else -1
 *
 * Each micro-batch is its own set of negatives, so the loss does not depend on the number of ranks.  A sequence without a picture
 * (data.on_bad = "skip" makes such of a malformed sample) is no pair: it is neither a mean's part nor a negative.
 * Distributed over tp: the blocks (encoder.h), the token embedding by vocabulary; patches, positions, pooling, the text's
 * last layer and the loss are replicated: each is small, and pooling is one query a picture.
 *
 * Dims    C width  R rows of a picture in the tower: P, and CLIP's class row  P = (image / patch)^2 patches, a remainder of the picture is dropped  I images
 * Source  SigLIP, arXiv:2303.15343; CLIP, arXiv:2103.00020; docs/MATH.md
 * Tests   tests/core/test_model.c (finite differences), tests/golden (PyTorch)
 */
#pragma once
#include "core/batch.h"
#include "core/encoder.h"
#include "core/ops.h"

/* Kinds of towers: model.vision.kind. */
enum { VISION_SIGLIP, VISION_CLIP, VISION_KINDS };

/* What a kind wants pictures in, and the dims of its blocks. */
extern const Colours VISION_COLOURS[VISION_KINDS];
EncoderDims vision_dims(int kind, int C, int F, int H, int L);

typedef struct {
    const char *part;                      /* "vision", "tokenizer": what its tensors' names begin with */
    int     kind, image, patch, P;
    Encoder enc;
    Linear  wp;                            /* (C, 3 patch^2) */
    float  *pos;                           /* (R,C) */
    float  *class, *pre_w, *pre_b;         /* (C) each, CLIP's alone; its wp has no bias */
    int     first, last;
} Vision;

typedef struct {                           /* attention pooling, needed by the contrast stage alone */
    float *ln_w, *ln_b, *probe, *ln2_w, *ln2_b;
    Linear wq, wk, wv, wo, w1, w2;
    int    first, last;
} Pool;

typedef struct {
    Encoder enc;
    int     V, max_len;
    float  *embed, *pos, *ln_w, *ln_b;     /* (V,C) (max_len,C) (C) (C) */
    Linear  proj;                          /* (Cv,C) */
    int     Cv, first, last, tail_first, tail_last;
} TextTower;

typedef struct { float *scale, *bias; int first, last; } Contrast;

typedef struct {
    EncoderTape enc;
    float      *patches, *work;            /* (I P, 3 patch^2) */
    int32_t    *start, *pos;               /* (I+1) (I R) */
    int32_t    *front, *row;               /* CLIP: (I R) 0 at a class row, else -1; (I P) where the patches' rows are */
    float      *embedded, *mean, *rstd;    /* (I R,C) (I R) (I R) before and of its first norm */
    float      *seen, *flow;               /* (I P,C) the patches' rows; (I R,C) gradient on its way through the blocks */
    int         at;                        /* the block that `flow` has come down to; -1: it has not set out */
} VisionTape;

typedef struct {
    float *norm, *mean, *rstd, *probes, *q, *k, *v, *att, *lse, *y, *norm2, *mean2, *rstd2, *pre, *act, *out;
    float *dq, *dk, *dv, *datt, *dy, *dprobe, *dnorm;
    int32_t *one, *keys;                   /* (I+1) 0 1 2 ... : one query an image, for P keys */
    int32_t *zeros;                        /* (I) */
} PoolTape;

typedef struct {
    EncoderTape enc;
    int32_t    *id, *pos, *start, *last;   /* rows of the captions, cut to max_len */
    int32_t    *local;                     /* ids in this rank's part of the vocabulary */
    int         B;
    int64_t     N;
    float      *norm, *mean, *rstd, *pooled, *out, *dpooled, *dx;
} TextTape;

typedef struct { float *v, *t, *vnorm, *tnorm, *z, *dv, *dt; } ContrastTape;

/* R: the rows of a picture in the tower. */
int    vision_rows(const Vision *w);
void   vision_params(Vision *w, Binder *b);
void   vision_tape(VisionTape *t, Arena *a, const Vision *w, int images, bool keep, int recompute, const Tp *tp);
/* Patches and position embeddings: fills the tower's input.  Sums nothing: as collective as tp->need. */
void   vision_embed(VisionTape *t, const Vision *w, const uint8_t *pixels, int I, Tp *tp);
/* The same of tiles, each a picture to the tower, of pictures of size x size resized to `scaled` (resize.h). */
void   vision_embed_tiles(VisionTape *t, const Vision *w, const uint8_t *pixels, int tile0, int tiles, int size, int scaled,
                          int kind, Tp *tp);
/* Runs blocks [from, to) and returns the features (I P, C) after them: SigLIP's lie on the tape, CLIP's are a copy, good
   until the next call.  vision_embed first.  Collective over tp. */
float *vision_forward(VisionTape *t, const Vision *w, int from, int to, int I, Tp *tp);
/* dx (I P, C), overwritten: gradient of the features.  CLIP's class row learns by what the patches' take from it. */
void   vision_backward(float *dx, Vision *dw, VisionTape *t, const Vision *w, int layers, int I, Tp *tp, const OnGrad *g);
/* Through blocks [from, to) only: where more is added to dx on the way. */
void   vision_backward_part(float *dx, Vision *dw, VisionTape *t, const Vision *w, int from, int to, int I, Tp *tp,
                            const OnGrad *g);

void   pool_params(Pool *w, Binder *b, const Vision *v);
void   pool_tape(PoolTape *t, Arena *a, const Vision *v, int images);
float *pool_forward(PoolTape *t, const Pool *w, const float *x, const Vision *v, int I, Tp *tp);  /* (I,C) */
void   pool_backward(float *dx, Pool *dw, PoolTape *t, const float *dout, const Pool *w, const float *x, const Vision *v, int I);

void   text_params(TextTower *w, Binder *b);
void   text_tape(TextTape *t, Arena *a, const TextTower *w, int sequences, int recompute, const Tp *tp);
/* Takes the text tokens (ids >= 0), at most max_len each, of the t->B sequences that have a picture; (t->B,Cv), t->B > 0. */
float *text_forward(TextTape *t, const TextTower *w, const Batch *batch, Tp *tp);
void   text_backward(TextTower *dw, TextTape *t, const float *dout, const TextTower *w, Tp *tp, const OnGrad *g);

void   contrast_params(Contrast *w, Binder *b);
void   contrast_tape(ContrastTape *t, Arena *a, int n, int Cv);
/* Sum over i,j of the loss; gradients times `factor` go to t->dv and t->dt (with respect to v and x) if dw is given. */
double contrast_loss(Contrast *dw, ContrastTape *t, const Contrast *w, const float *v, const float *x, int n, int Cv,
                     float factor, Tp *tp);
