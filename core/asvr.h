/*
 * asvr.h -- the whole model: which parts a stage needs, forward, backward, the losses
 *
 *     contrast    vision and text tower, sigmoid contrastive loss
 *     tokenizer   the residual quantizer learns on the vision tower's features, or with a copy of it (distill.h)
 *     pretrain    image rows and text through the decoder:
 *     instruct      loss = text / n_text + visual_weight / Q sum_k visual[k] / n_visual
 *                 (both kinds of codes: two such terms; denoising: the mean squared error in their place)
 *
 * Sums are divided by the targets of the *global* batch (the caller counts them first), so the result does
 * not depend on how samples fell on micro-batches and ranks.
 *
 *     model_open(&m, &conf, &tp);                  weights by seed; the arenas are measured, then allocated
 *     tape_open(&t, &m);                           room of one micro-batch under way (tape.h)
 *     model_count(&m, &t, &batch, &targets);       for each micro-batch; the caller sums targets over ranks
 *     model_forward(&m, &t, &batch, &targets, &losses);   losses are added up
 *     model_backward(&m, &t, &batch, door);        adds to the gradients
 *
 * Distributed over tp: every rank calls the same with the same batch, holds its pieces of the tensors (param.h) and gets
 * the same losses, to the bit; what is split is said in each module's header.
 *
 * Source  ASVR, arXiv:2506.09040; docs/MATH.md
 * Tests   tests/core/test_model.c (finite differences of every parameter), tests/golden (PyTorch),
 *         tests/dist/test_model_tp.c (in pieces = whole), tests/core/test_need.c (weights are asked for before they are read)
 */
#pragma once
#include "core/batch.h"
#include "core/conf.h"
#include "core/tape.h"

typedef struct {
    Vision    vision, tower;                   /* tower: the codes' own, where they have one */
    Pool      pool;
    TextTower text;
    Contrast  contrast;
    Projector projector;
    Llama     decoder;
    Codes     codes[BRANCHES];
    RqHead    head[BRANCHES];
    Denoiser  denoiser;
} Modules;

typedef struct Model {
    ModelConf c;
    Tp       *tp;
    unsigned  parts;
    Params    table;
    Modules   w, dw;                           /* weights and, the same type, gradients */
    float    *weights, *grads;                 /* flat */
    Arena     weight_arena, grad_arena, soft_arena;    /* the last: soft targets and rooms of low-rank pairs */
    int       feature_layers, code_layers[BRANCHES];   /* blocks run for the features and for the codes */
    RqHeadSoft soft[BRANCHES];                 /* computed once, read by all micro-batches */
} Model;

/* The parts that a configuration's stage needs. */
unsigned model_parts(const ModelConf *c);
bool     model_has(const Model *m, unsigned part);
/* Can the model lie on tp >= 1 tensor-parallel ranks?  If not, `why` (cap bytes, 512 hold any) is one sentence: the first
   size that does not divide, and the numbers of ranks up to 64 among which all do. */
bool     model_divides(const ModelConf *c, int tp, char *why, size_t cap);
/* Number of kinds of codes that rows learn: their visual losses are added. */
int      model_branches(const Model *m);
/* Does the codes' own tower learn by what it pools to, too? */
bool     model_pools(const ModelConf *c);
/* Declares everything and measures the arenas: no memory is taken.  False if a part of `trainable` is not in the
   model.  To be closed. */
bool model_measure(Model *m, const ModelConf *c, Tp *tp);
/* model_measure, then allocates, lays out and initialises everything. */
bool model_open(Model *m, const ModelConf *c, Tp *tp);
/* After model_measure: tensors get addresses where nothing is, lists memory.  For ops that look at no tensor (opscount.h). */
void model_nowhere(Model *m);
/* Initial values of all weights by the seed, where c.empty left them zero. */
void model_init(Model *m);
/* From here on this model only goes forward, and its weights are those it has: they are turned, where they lie, into what products read fastest
   (linear.h); the table no longer says where an element is.  No bit of a result changes.  Local. */
void model_pack(Model *m);
void model_close(Model *m);
/* Adds the batch's targets and tokens to n_text, n_visual, pairs and tokens.  Local. */
void model_count(Model *m, Tape *t, const Batch *b, Losses *targets);
/* Adds the batch's losses to `sum`.  global: targets of the whole global batch.
   With c.train the gradients of the LM head and of the visual heads, these whole, are computed on the way.  Collective over tp. */
void model_forward(Model *m, Tape *t, const Batch *b, const Losses *global, Losses *sum);
/* Adds the gradients of the tape's last forward; g may be NULL.  With g it is the step's last pass: what forward passes give is final, too. */
void model_backward(Model *m, Tape *t, const Batch *b, const OnGrad *g);
/* The scalar a stage minimises, from sums and targets of the global batch. */
double model_loss(const Model *m, const Losses *sum);
/* Visual loss by depth (tokenizer: share of the energy left), the appearance codes' after the semantic ones': how many. */
int    model_visual_depths(const Model *m, const Losses *sum, double out[BRANCHES * MAX_DEPTH]);
double model_visual_loss(const Model *m, const Losses *sum);       /* unweighted: mean over depths, sum over kinds of codes */
/* Fills t->codes[.].code, (Q, I P) depth-major, of I <= max_images pictures; projected rows (I P, C), for pack and chat.
   Valid until the tape's next call.  Collective over tp. */
void model_codes(Model *m, Tape *t, const uint8_t *pixels, int I);
const float   *model_image_rows(Model *m, Tape *t, const uint8_t *pixels, int I);
