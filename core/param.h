/*
 * param.h -- the table that describes every parameter
 *
 * One function per module names its tensors with param(...) and is run three times: to declare them (no
 * memory), to bind the module's pointers to the weights, and to bind a second module's pointers to the
 * gradients.  Initial values, tensor-parallel slices, weight decay, freezing, checkpoints and the report
 * read this table; nothing else enumerates tensors.
 *
 *     Params t = {0};   Binder b = binder_declare(&t, tp);    llama_params(&w, &b);
 *     params_seal(&t, trainable);                             offsets are known
 *     b = binder_weights(&t, weights);  llama_params(&w, &b);
 *     b = binder_grads(&t, grads);      llama_params(&dw, &b);    NULL where a tensor has no gradient
 *
 * A tensor is (rows, cols), a linear's weight is (out, in), a vector is (rows, 1).  `split` is the dim that
 * tensor-parallel ranks divide: 0 column-parallel (rows), 1 row-parallel (cols), -1 replicated.  A piece may be held by
 * several neighbouring ranks, its `copies`: all tp ranks hold a replicated tensor, and COPIES(c) says that the pieces of a
 * split one are tp / c, each on c ranks in a row (kv heads where there are fewer of them than ranks).  What is counted or
 * written once for each piece is done by the rank that speaks for it, the first of those.
 * Names begin with the part ("decoder.3.attn.wq" belongs to "decoder"); parts are what stages freeze.
 * Local.  Tests: tests/core/test_param.c
 */
#pragma once
#include "core/lora.h"
#include "core/par.h"
#include "core/slice.h"

enum {
    INIT_ZERO = 0, INIT_ONE = 1, INIT_NORMAL = 2 /* std 0.02 */, INIT_FAN_IN = 3 /* uniform +-1/sqrt(cols) */,
    INIT_UNIT = 4 /* std 1 */, INIT_MASK = 15,
    DECAY = 16,     /* weight decay applies */
    MUON  = 32,     /* a matrix of the hidden layers: Muon may own it */
    LORA  = 128,    /* a linear's weight beside which a low-rank pair may stand (lora.h) */
    BASED = 256,    /* set while a run lives: its values lie in a checkpoint that this run's stand on, and are not saved again */
    STATE = 64      /* learned by averages, not by gradient: its "gradient" is what the averages take in (rqtok.h) */
};

/* Among the flags of a split tensor: each piece lies on c neighbouring tp ranks; without it on one. */
#define COPIES(c) ((unsigned)(c) << 16)

enum { PARAM_NAME = 64 };

typedef struct {
    char     name[PARAM_NAME];
    int      rows, cols, split;
    int      copies;                /* neighbouring tp ranks that hold the same piece */
    unsigned flags;
    float    constant;              /* added to the initial value; 0 but for scalars like the logit scale */
    int64_t  count;                 /* elements here (of this tp rank's piece) */
    int64_t  offset;                /* in the flat weights */
    int64_t  grad;                  /* in the flat gradients, or -1: frozen */
} Param;

typedef struct {
    Param  *p;
    int     n, cap;
    int64_t weights, grads;         /* elements of the two flat buffers */
    int     tp_rank, tp_size, leaves;       /* of a Tp */
    Lora    lora;                           /* of the pairs beside linears' weights; rank 0: none.  The table stays where it is while they are used */
} Params;

typedef struct {
    Params *table;
    float  *base, *room;
    int     next, pass;
} Binder;

Binder binder_declare(Params *t, const Tp *tp);
Binder binder_weights(Params *t, float *weights);
Binder binder_grads(Params *t, float *grads);
/* As binder_weights, of weights that are final: linears with leaves become panels (linear.h).  room (LINEAR_PANEL, the longest row). */
Binder binder_pack(Params *t, float *weights, float *room);
/* Declares or binds one tensor; NULL while declaring and where it has no gradient. */
float *param(Binder *b, int rows, int cols, int split, unsigned flags, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
/* The weight of a linear layer, (O,I), with the share of O and I that is here, and its pair if it is one of lora's targets; a bias is one more
   param() line. */
Linear param_linear(Binder *b, int O, int I, int split, unsigned flags, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* A linear whose weight is a tensor (O,I) that was bound before, split by its rows: w, NULL where that is. */
Linear param_tied(Binder *b, float *w, int O, int I);
/* As param, INIT_ZERO, but starting from `value`. */
float *param_constant(Binder *b, float value, const char *name);

/* trainable: comma- or space-separated parts.  Lays out the flat buffers; false if a part is not in the table. */
bool  params_seal(Params *t, const char *trainable);
void  params_free(Params *t);
/* Initial values of tensor i by (seed, name, global index): the same on any grid. */
void  params_init(const Params *t, int i, float *weights, uint64_t seed);
int   params_find(const Params *t, const char *name);              /* index or -1 */
Slice param_slice(const Params *t, int i);                         /* this rank's piece; 2 dims, 1 for vectors */
bool  params_speak(const Params *t, int i);                        /* does this rank speak for its piece of tensor i? */
bool  param_in_part(const Param *p, const char *part);
/* A number for the bits of this rank's piece of tensor i: equal where two ranks hold the same. */
uint64_t params_hash(const Params *t, const float *weights, int i);
/* A 64-bit sum over tensors of (name, element index, bits), independent of order and grid: add over tp ranks (each
   piece is counted by the rank that speaks for it).  want: which tensors, NULL for all. */
uint64_t params_fingerprint(const Params *t, const float *weights, bool (*want)(const Param *p));
