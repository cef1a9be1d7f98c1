/*
 * rqtok.h -- the residual quantizer: features to codes, and how its codebooks learn
 *
 *     r0 = z;   c_k = argmin_j |r_k - E_k[j]|^2  (ties to the lowest j);   r_(k+1) = r_k - E_k[c_k]
 *
 * The codebooks learn by exponential moving averages of what falls on each code, and a code that nothing
 * falls on starts again from a vector of the batch.  What a step gathers (how often each code was chosen,
 * the sum of its vectors, one candidate vector for each code) lies in the *gradients* of the three tensors,
 * so the same reduction as for every gradient adds it up over ranks.  A candidate is owned by one sample of
 * the global batch, drawn by (seed, step, depth, code): the result does not depend on the number of ranks.
 *
 * Distributed over tp: each codebook by its codes, Sl on a rank, with their averages and what is gathered.  Every rank looks
 * among its own; of the ranks' winners the nearest is the code, the lowest of those equally near as floats.  Its vector
 * comes as a vocabulary-parallel embedding's: zero rows from the ranks that lack it, and a sum.
 *
 * Dims    Q depth   S codebook size   Cv width   N = I P vectors
 * Source  RQ-VAE, arXiv:2203.01941; DualToken, arXiv:2503.14324; docs/MATH.md
 * Tests   tests/core/test_rq.c, tests/dist/test_model_tp.c
 */
#pragma once
#include "core/arena.h"
#include "core/param.h"

enum { MAX_DEPTH = 16 };

typedef struct {
    const char *part;                              /* "codes", "app_codes": what its tensors' names begin with */
    int    Q, S, Cv;
    bool   means;                                  /* the moving averages are there: to learn, and in whole checkpoints */
    bool   shared;                                 /* one codebook serves all depths */
    float *table[MAX_DEPTH];                       /* (Sl,Cv) */
    float *count[MAX_DEPTH], *sum[MAX_DEPTH];      /* (Sl) (Sl,Cv) moving averages */
    int    first, last;
} Codes;

typedef struct {
    float   *r;                                    /* (N,Cv) residuals */
    int32_t *code;                                 /* (Q,N) depth-major */
    int32_t *local;                                /* (N) codes of one depth, counted from this rank's first */
    float   *best, *bid;                           /* (N) distances, and what ranks bid with; NULL with one rank */
    float   *left;                                 /* (N,Cv) the residuals of depths 1 .. Q added up, or NULL: not wanted */
} CodesTape;

/* What a step did to the codebooks (one if shared). */
typedef struct {
    int     books, used[MAX_DEPTH];                /* codes that were chosen in the step */
    double  perplexity[MAX_DEPTH];                 /* exp of the entropy of how often: S if all alike, 1 if only one */
    int64_t restarts;                              /* codes that started again */
} CodesUse;

/* Where a micro-batch stands in its step, for the drawing of candidates. */
typedef struct {
    uint64_t seed;
    int64_t  step, global_batch, first;            /* first: index in the global batch of the first sample */
} CodesDraw;

void codes_params(Codes *w, Binder *b);
/* left: does t->left belong to it, the gradient of sum_k |r_k|^2 / 2 with the codes held? */
void codes_tape(CodesTape *t, Arena *a, const Codes *w, int64_t rows, bool left, const Tp *tp);
/* out (N,Cv) = the vectors of code (N) at depth k, zero rows where another rank has them: their sum over tp is whole.
   local (N) is work space.  Local. */
void codes_embed(float *out, const Codes *w, int k, const int32_t *code, int32_t *local, int64_t N, const Tp *tp);
/* t->code from features x (N,Cv), which may be t->r, and t->r, what is left in the end: x - t->r is the quantized x.
   energy[k], k = 0 .. Q: the |r|^2 left after k depths, energy[0] = |x|^2 (NULL: not wanted).  Collective over tp. */
void codes_quantize(CodesTape *t, double *energy, const Codes *w, const float *x, int64_t N, Tp *tp);
/* As codes_quantize, and gathers statistics and candidates into the gradients dw.  Collective over tp. */
void codes_gather(Codes *dw, CodesTape *t, double *energy, const Codes *w, const float *x, const int32_t *image_start,
                  int B, int P, const CodesDraw *draw, Tp *tp);
/* Moves the codebooks by what was gathered (reduced over dp).  Collective over tp. */
void codes_update(CodesUse *use, Codes *w, const Codes *dw, float decay, Tp *tp);
