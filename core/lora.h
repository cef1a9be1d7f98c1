/*
 * lora.h -- low-rank adaptation: beside a frozen weight w two thin matrices learn
 *
 *     out = x w^T + b + s (x a^T) up^T        a (rank,I), up (O,rank), s = alpha / rank
 *     u   = s x a^T      dv = s dout up       da += dv^T x     dup += dout^T u     dx += dv a
 *
 * a starts uniform in +-1/sqrt(I), up at zero: the model begins as what it is adapted from.  Both are parameters of the part "lora", "lora.decoder.3.attn.wq.a"
 * and ".b", declared by param_linear behind w; they follow from the table as all do.  Without a pair each function is its op.
 *
 * Distributed over tp as w is: of what w splits each rank has its share, the rest is whole on all of them.
 *     column-parallel   a whole, up by rows: u is whole; dv is a sum over tp
 *     row-parallel      a by columns, up whole: u is a sum over tp; dv is whole
 * These sums are thin, (N,rank), and of leaves as all others (linear.h); what is whole is added once, by the first rank, before its first leaf.  So
 * neither out nor a gradient has bits that depend on tp.  u is computed again in backward; dv waits in the room from lora_dx to lora_dw.
 *
 * Dims    N rows   I in   O out   rank
 * Source  Hu et al., arXiv:2106.09685; the initial values are those of the peft library
 * Tests   tests/core/test_model.c (finite differences), test_lora.c (merged), tests/dist/test_model_tp.c (in pieces), tests/launch/lora.sh
 */
#pragma once
#include "core/arena.h"
#include "core/linear.h"
#include "core/par.h"

#define LORA_PART "lora"

/* Of all pairs of a model.  `at`, the rooms and tp are set before anything is computed. */
typedef struct Lora {
    int         rank;               /* 0: there are none */
    float       scale;              /* alpha / rank */
    const char *targets;            /* patterns (lora_is_target) */
    bool        based;              /* what does not learn lies in a checkpoint below the run's: for the plan of a save */
    Tp         *tp;
    int64_t     rows;               /* that the rooms hold */
    float      *u, *dv[LINEAR_TERMS];       /* (rows,rank) each; dv by the weight's place among its terms */
} Lora;

/* Is the weight "decoder.3.attn.wq" one that the patterns name?  Words with commas or spaces between: a whole name with * and ?, its last words
   ("attn.wq", "wq"), or Hugging Face's of a decoder's ("q_proj", ..., "down_proj"); an empty list names all. */
bool lora_is_target(const Lora *l, const char *name);
/* The rooms, of so many rows: twice, as a tape (arena.h). */
void lora_rooms(Lora *l, Arena *a, int64_t rows);

/* Does anything beside w's products learn from x? */
static inline bool linear_learns(const Linear *dw) { return dw->w || dw->a; }

/* op.linear_fwd.  Collective over tp where w has a pair. */
void lora_fwd(float *out, const float *x, const Linear *w, int64_t N);
/* op.linear_dx, overwriting.  silent: of terms behind these, whose part of dx other ranks bring; their dv comes from those, too.  Collective over tp. */
void lora_dx(float *dx, const LinearTerm *term, int terms, int silent, int64_t N);
/* op.linear_dw, and the gradients of w's pair behind a lora_dx in which w's was term number `at`.  Collective over tp. */
void lora_dw(Linear *dw, const float *dout, const float *x, const Linear *w, int at, int64_t N);
/* w += s up a; the pair stays as it is.  Local: each rank has what its share takes. */
void lora_merge(const Linear *w);
