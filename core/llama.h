/*
 * llama.h -- the decoder: embedding rows in, final-norm hidden rows out
 *
 *     x += wo attention(rope(wq n), rope(wk n), wv n),   n = RMSNorm(x)      causal, H query and K kv heads of D
 *                                                        qk_norm: rope(RMSNorm(wq n)), each head by itself, of k alike
 *     x += down (silu(gate n) * up n),                   n = RMSNorm(x)
 *     h  = RMSNorm(x)                                    logits = lm_head h; tied: lm_head is the embedding
 *
 * A tied embedding is one tensor with one gradient, to which the loss and the embedding both add: it is final after the latter.
 *
 * Distributed over tp: q, k, v, gate, up column-parallel, wo and down row-parallel (two sums a block, in stripes); with tp->sequence each rank
 * keeps its share of the rows of x and its norms (residual.h; shapes below name N rows of those, too);
 * embedding and LM head split by vocabulary.  With fewer kv heads than ranks each lies on size / K neighbours, whose
 * query heads share it; in backward they sum what they send it (one tp->sum more).  The weights of the q/k norms are all heads':
 * each rank's gradient of them is a part of the sum (one tp->sum of 2 D a block).  The LM head's loss is xent.h's.
 *
 * Dims    C width  F ffn  H heads  K kv heads  D of a head (C/H, or given)  L layers  V vocabulary  N packed rows of B sequences
 * Source  LLaMA, arXiv:2302.13971; GQA, arXiv:2305.13245; Qwen3, arXiv:2505.09388 (q/k norms);
 *         tied: arXiv:1608.05859
 * Tests   tests/core/test_model.c (finite differences), tests/golden (PyTorch, transformers)
 */
#pragma once
#include "core/encoder.h"
#include "core/rope.h"

enum { MAX_HEAD = 1024 };                          /* D at most */

typedef struct {
    int   C, F, H, K, L, V, D;                     /* D 0: C / H */
    float theta, eps;
    Rope  rope;
    bool  qkv_bias, qk_norm, tied;
} LlamaDims;

/* Size of a head. */
static inline int llama_head(const LlamaDims *d) { return d->D ? d->D : d->C / d->H; }

typedef struct {
    float *attn_norm, *q_norm, *k_norm, *ffn_norm;
    Linear wq, wk, wv, wo, gate, up, down;
    int    first, last;                              /* its params in the table */
} LlamaBlock;

typedef struct {
    LlamaDims  d;
    float     *embed, *norm;                       /* (V,C) (C) */
    Linear     lm_head;                            /* (V,C); tied: embed */
    int        p_embed, p_norm, p_lm_head;         /* the three in the table */
    double     freq[MAX_HEAD / 2];                 /* (D/2) of rope */
    LlamaBlock block[MAX_LAYERS];
} Llama;

/* Without keep the layers share all but k and v, and out is the tape's x.  What is recomputed the layers share, too. */
typedef struct {
    float *rstd1, *q, *k, *v, *att, *lse;          /* (N) (N,Hl D) (N,Kl D) (N,Kl D) (N,Hl D) (N,Hl) */
    float *qin, *kin, *rstdq, *rstdk;              /* (N,Hl D) (N,Kl D) (N,Hl) (N,Kl) before the q/k norms, or NULL */
    float *mid, *rstd2, *gate, *up;                /* (N,C) (N) (N,Fl) (N,Fl) */
    float *out;                                    /* (N,C) */
} LlamaLayerTape;

typedef struct {
    int    recompute;                              /* RECOMPUTE_... */
    float *x, *in;                                 /* (N,C) input rows, used up where this rank keeps a share of them: in */
    float *rstd, *h;                               /* (N) (N,C) hidden rows after the final norm; h may be x */
    LlamaLayerTape layer[MAX_LAYERS];
    float *norm, *act, *room;                      /* (N,C) (N,Fl) (N,C) shared by all layers; room: of sums, NULL: one rank.  What follows is for backward */
    float *dq, *dk, *dv, *datt, *dnorm, *dx;
    float *part;                                   /* (2,2,C) residual.h's, or NULL */
    float *dqin, *dkin, *dqk;                      /* (N,Hl D) (N,Kl D) (2,D) of the q/k norms, or NULL */
    float *held;                                   /* (2,K,N,D) dk and dv of all heads; NULL: none lies on two ranks */
} LlamaTape;

/* Growing sequences, for generation: a tape of `rows` rows without keep, whose layers' keys and values stay, (slots,cap) of them.  A pass
   appends to some of the sequences: piece i to that in slot[i], rows [start[2 i], start[2 i + 1]) of the tape. */
typedef struct {
    LlamaTape tape;
    float    *k, *v;                               /* (rows,Kl D) of a layer's new rows, on their way to its cache */
    int       slots, cap, rows, pieces;
    int32_t  *len, *slot;                          /* (slots) rows there are; which sequence a piece belongs to */
    int32_t  *start, *kstart;                      /* (2 slots) attention's: what lies in the cache between two pieces' keys has no queries */
} LlamaCache;

void llama_params(Llama *w, Binder *b);
void llama_tape(LlamaTape *t, Arena *a, const LlamaDims *d, int64_t rows, int recompute, const Tp *tp);
/* What llama_backward works with: nothing in it outlasts the call but the gradient that it returns. */
void llama_tape_backward(LlamaTape *t, Arena *a, const LlamaDims *d, int64_t rows, const Tp *tp);
/* out (N,C) = embedding rows; ids outside the vocabulary give zero rows.  `local` (N) is work space.  Collective over tp. */
void llama_embed(float *out, const Llama *w, const int32_t *id, int32_t *local, int64_t N, Tp *tp);
void llama_embed_backward(Llama *dw, const float *dout, const Llama *w, const int32_t *id, int32_t *local, int64_t N,
                          Tp *tp);
/* t->x -> t->h.  Collective over tp. */
void llama_forward(LlamaTape *t, const Llama *w, const Rows *r, Tp *tp);
/* dh (N,C): gradient of t->h; returns the gradient of t->x (in t->dx).  Uses the layers' tape up.  Collective over tp. */
float *llama_backward(Llama *dw, LlamaTape *t, const float *dh, const Llama *w, const Rows *r, Tp *tp, const OnGrad *g);

void llama_cache(LlamaCache *c, Arena *a, const LlamaDims *d, int slots, int cap, int rows, const Tp *tp);
/* The next pass appends n rows to the sequence in a slot, behind those of the pieces before; their first row in the tape. */
int  llama_piece(LlamaCache *c, int slot, int n);
/* Appends the pieces' rows, c->tape.x, to their sequences; c->tape.h = their hidden rows after the final norm.
   pos (N) holds their places in their sequences.  Collective over tp. */
void llama_extend(LlamaCache *c, const Llama *w, const int32_t *pos, Tp *tp);
