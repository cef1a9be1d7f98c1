/*
 * tape.h -- what one micro-batch under way needs: buffers, and what its backward pass finds of its forward pass
 *
 * A model (asvr.h) holds weights and their gradients, a tape everything that depends on the batch.  So a model has as many micro-batches
 * under way at once as it has tapes, in any order:
 *
 *     tape_open(&a, &m);   tape_open(&b, &m);
 *     model_forward(&m, &a, ...);    model_forward(&m, &b, ...);
 *     model_backward(&m, &a, ...);   model_backward(&m, &b, ...);
 *
 * Between a forward pass and its backward pass the tape serves no other call, model_count among them.  The gradients are one sum: each
 * pass adds to it in its turn, and forward passes do, too (asvr.h); the order of these turns is the order of additions.
 *
 * Dims    N rows of sequences   I pictures   P patches   Cv width of the tower   Cf = scales Cv   C width of the decoder   Q depth
 * Tests   tests/core/test_tapes.c (two under way = each alone), tests/core/test_recompute.c (how long)
 */
#pragma once
#include "core/conf.h"
#include "core/denoise.h"
#include "core/llama.h"
#include "core/projector.h"
#include "core/rqhead.h"
#include "core/scales.h"
#include "core/siglip.h"
#include "core/splice.h"

typedef struct {
    Arena         arena;
    Splice        splice;
    VisionTape    vision, tower;
    PoolTape      pool;
    TextTape      text;
    ContrastTape  contrast;
    ProjectorTape projector;
    LlamaTape     decoder;
    RqHeadTape    head[BRANCHES];
    CodesTape     codes[BRANCHES];
    DenoiseTape   denoiser;
    ScalesWork    scales;
    XentWork      xent;
    float   *feat, *dfeat;                     /* (I P,Cf) features, and their gradient */
    float   *pooled;                           /* (I,Cv) what an own tower of the codes is to pool to, or NULL */
    float   *clean;                            /* (I P,Cv) features of the codes' layer, what denoising aims at */
    float   *rows, *drows;                     /* (N,C) image or target rows on their way */
    float   *dh;                               /* (N,C) gradient of the hidden rows */
    float   *g, *dg;                           /* (I P,C) rows with a visual target */
    float   *z;                                /* (I P,Cv) their clean features */
    int32_t *local, *code;                     /* (N) work; (Q, I P) codes of the visual targets */
    int64_t  visual_rows;                      /* of the last forward */
    int64_t  head_rows;                        /* rows with a visual target that share a head's tape */
} Tape;

struct Model;
/* Measures the arena of a tape for a model that is measured or open: no memory is taken.  Local, as all of these; to be closed. */
void tape_measure(Tape *t, const struct Model *m);
/* tape_measure, then allocates and lays out.  Of a bare model (conf.h) it is empty. */
void tape_open(Tape *t, const struct Model *m);
/* After tape_measure: tensors get addresses where nothing is, lists memory (model_nowhere). */
void tape_nowhere(Tape *t, const struct Model *m);
void tape_close(Tape *t);
/* What a run with one tape has beside weights and gradients: the tape, and the tables that all tapes share (soft targets). */
size_t tape_bytes(const Tape *t, const struct Model *m);
