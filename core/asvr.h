/*
 * asvr.h -- the whole model: which parts a stage needs, forward, backward, the losses
 *
 *     contrast    vision and text tower, sigmoid contrastive loss
 *     tokenizer   frozen vision tower; the residual quantizer learns on its features
 *     pretrain    image rows and text through the decoder:
 *     instruct      loss = text / n_text + visual_weight / Q sum_k visual[k] / n_visual
 *
 * Sums are divided by the targets of the *global* batch (the caller counts them first), so the result does
 * not depend on how samples fell on micro-batches and ranks.
 *
 *     model_open(&m, &conf, &tp);                  weights by seed; the arenas are measured, then allocated
 *     model_count(&m, &batch, &targets);           for each micro-batch; the caller sums targets over ranks
 *     model_forward(&m, &batch, &targets, draw, &losses);   losses are added up
 *     model_backward(&m, &batch, door);         adds to the gradients
 *
 * Source  ASVR, arXiv:2506.09040; docs/MATH.md
 * Tests   tests/core/test_model.c (finite differences of every parameter), tests/golden (PyTorch)
 */
#pragma once
#include "core/batch.h"
#include "core/llama.h"
#include "core/projector.h"
#include "core/rqhead.h"
#include "core/siglip.h"
#include "core/splice.h"

typedef enum { STAGE_CONTRAST, STAGE_TOKENIZER, STAGE_PRETRAIN, STAGE_INSTRUCT } Stage;

typedef struct {
    Stage       stage;
    bool        train;                         /* gradients and a tape for the backward pass */
    bool        semantic;                      /* predict the codes of the image (else text alone) */
    bool        codes_given;                   /* batches carry codes: the quantizer is not run */
    const char *trainable;                     /* parts, e.g. "projector,head" */
    int         image, patch;
    EncoderDims vision, text;                  /* vision.L: all layers of the tower */
    int         select_layer, codes_layer;     /* from the end of the hidden states: -1 = after all, -2 = last but one */
    int         text_max_len, projector_layers;
    LlamaDims   decoder;
    int         codes_depth, codes_size;
    bool        codes_shared;
    int         head_width, head_layers, head_heads;
    float       visual_weight;
    int         visual_shift;
    int         micro_batch, max_images, max_len;   /* of one micro-batch: sequences, images; rows of a sequence */
    uint64_t    seed;
} ModelConf;

/* Sums over rows; all double, so that one reduction adds them up over ranks. */
typedef struct {
    double text, n_text;                       /* cross-entropy of text targets, and their number */
    double visual[MAX_DEPTH], n_visual;        /* of codes, by depth */
    double contrast, pairs;
    double energy[MAX_DEPTH + 1];              /* |z|^2 and what each depth of the quantizer leaves of it */
    double tokens;                             /* real tokens and image rows */
} Losses;

typedef struct {
    Vision    vision;
    Pool      pool;
    TextTower text;
    Contrast  contrast;
    Projector projector;
    Llama     decoder;
    RqHead    head;
    Codes     codes;
} Modules;

typedef struct {
    ModelConf c;
    Tp       *tp;
    Params    table;
    Modules   w, dw;                           /* weights and, the same type, gradients */
    float    *weights, *grads;                 /* flat */
    Arena     weight_arena, grad_arena, tape_arena;
    int       feature_layers, code_layers;     /* blocks run for the features and for the codes */
    Splice    splice;
    VisionTape    vision;
    PoolTape      pool;
    TextTape      text;
    ContrastTape  contrast;
    ProjectorTape projector;
    LlamaTape     decoder;
    RqHeadTape    head;
    CodesTape     codes;
    XentWork      xent;
    float   *feat, *dfeat;                     /* (I P,Cv) features and their gradient */
    float   *rows, *drows;                     /* (N,C) image or target rows on their way */
    float   *dh;                               /* (N,C) gradient of the hidden rows */
    float   *g, *dg;                           /* (I P,C) rows with a visual target */
    int32_t *local, *code;                     /* (N) work; (Q, I P) codes of the visual targets */
    int64_t  visual_rows;                      /* of the last forward */
} Model;

/* Declares, lays out and initialises everything.  False if a part of `trainable` is not in this stage's model. */
bool model_open(Model *m, const ModelConf *c, Tp *tp);
void model_close(Model *m);
/* Adds the batch's targets and tokens to n_text, n_visual, pairs and tokens.  Local. */
void model_count(Model *m, const Batch *b, Losses *targets);
/* Adds the batch's losses to `sum`.  global: targets of the whole global batch.  draw: tokenizer stage only.
   With c.train the gradients of the output heads are computed on the way.  Collective over tp. */
void model_forward(Model *m, const Batch *b, const Losses *global, const CodesDraw *draw, Losses *sum);
/* Adds the gradients of the last forward; g may be NULL. */
void model_backward(Model *m, const Batch *b, const OnGrad *g);
/* The scalar a stage minimises, from sums and targets of the global batch. */
double model_loss(const Model *m, const Losses *sum);
double model_visual_loss(const Model *m, const Losses *sum);       /* mean over depths, unweighted */
/* Codes (Q, I P) depth-major and projected rows (I P, C) of I <= max_images pictures, for pack and chat.
   Valid until the next call.  Collective over tp. */
const int32_t *model_codes(Model *m, const uint8_t *pixels, int I);
const float   *model_image_rows(Model *m, const uint8_t *pixels, int I);
