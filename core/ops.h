/*
 * ops.h -- all arithmetic on tensors goes through this one table
 *
 * `op` is filled with the complete reference (core/ref: naive loops, double sums) and overlaid with the fast CPU ops (core/cpu): non-NULL
 * members win.  Nobody but the ops dereferences tensor memory.
 *   arguments   outputs, inputs, weights, sizes, scalars
 *   gradients   d...: of weights (dw, db) accumulate (+=), of activations (dx, dq, ...) overwrite (=), or accumulate where add says so
 *   NULL        a NULL output gradient is not computed; a NULL bias is no bias
 *   weights     (out, in); a tensor (N,C) is dense and row-major
 *   numbers     a result that is one number is written, not returned: another backend may have it elsewhere
 *   sequences   several sequences lie packed in one (N,.) tensor; start[b] .. start[b+1] are the rows of b
 *   bits        equal inputs give equal bits, for any number of threads
 *   leaves      of a dimension that is split over tp (linear.h): each by itself, joined along the tree (join.h); 0: as is fastest
 * Local.  Ops cannot fail.  In place only where it says so.  Tests: tests/core/test_ops*.c
 */
#pragma once
#include "core/operands.h"
#include "core/opslist.h"

typedef struct {
    const char *name;                                                                      /* ---- linear: out = x w^T + b ---- */
    void (*linear_fwd)(float *out /*(N,O)*/, const float *x /*(N,I)*/, const Linear *w, int64_t N);    /* w->add: out += */
    void (*linear_dx)(float *dx, const LinearTerm *term, int terms, int64_t N, bool add);  /* dx = sum of dout w over the terms (linear.h) */
    void (*linear_dw)(Linear *dw, const float *dout, const float *x, int64_t N), (*linear_pack)(Linear *w, float *room /*(LINEAR_PANEL,I)*/);    /* of w and of b; packed, where it lies (linear.h) */
    void (*linear_rows)(float *out /*(N,I)*/, const Linear *w, const int32_t *id, int64_t N);    /* rows of w, as embed_fwd gives them; w may be packed */
    /* c (M,N) = alpha op(a) op(b) + beta c (ignored if beta is 0);  op(a) (M,K), op(b) (K,N): ta, tb: transposed; ld: floats a row.  gram: c (M,M) = op(a) op(a)^T, dense */
    void (*product)(float *c, int ldc, const float *a, int lda, bool ta, const float *b, int ldb, bool tb, int64_t M, int N, int K, float alpha, float beta);
    void (*gram)(float *c, const float *a, bool ta, int M, int K);
    /* ---- normalisation ----  out may be x, dx may be dout;  add_...: sum = a + b, and its norm; both may be a or b;  leaf: dw and dbias sum so many rows by themselves, MAX_LEAVES leaves at most; 0: all */
    void (*rmsnorm_fwd)(float *out, float *rstd /*(N)*/, const float *x, const float *w /*(C)*/, int64_t N, int C, float eps);
    void (*add_rmsnorm_fwd)(float *sum, float *out, float *rstd, const float *a, const float *b, const float *w, int64_t N, int C, float eps);
    void (*rmsnorm_bwd)(float *dx, float *dw, const float *dout, const float *x, const float *rstd, const float *w, int64_t N, int C, int64_t leaf, bool add);
    void (*rmsnorm_dw)(float *dw /*(groups,C)*/, const float *dout, const float *x, const float *rstd, int64_t N, int H, int C, int groups);     /* rows (N,H): dw[g] of H/groups heads */
    void (*layernorm_fwd)(float *out, float *mean, float *rstd, const float *x, const float *w, const float *bias, int64_t N, int C, float eps);
    void (*add_layernorm_fwd)(float *sum, float *out, float *mean, float *rstd, const float *a, const float *b, const float *w, const float *bias, int64_t N, int C, float eps);
    void (*layernorm_bwd)(float *dx, float *dw, float *dbias, const float *dout, const float *x, const float *mean, const float *rstd, const float *w, int64_t N, int C, int64_t leaf, bool add);
    /* out = x / max(|x|, eps) per row; norm = |x|; dx may be dout */
    void (*l2norm_fwd)(float *out, float *norm /*(N)*/, const float *x, int64_t N, int C, float eps);
    void (*l2norm_bwd)(float *dx, const float *dout, const float *out, const float *norm, int64_t N, int C, float eps);
    /* ---- elementwise ----  Backward gives what forward gave, too, if asked for: act, which may be NULL.  Each result may be any operand. */
    void (*gelu_fwd)(float *out, const float *x, int64_t n, int kind);
    void (*gelu_bwd)(float *dx, float *act, const float *dout, const float *x, int64_t n, int kind);
    void (*swiglu_fwd)(float *out, const float *gate, const float *up, int64_t n);         /* silu(gate) * up */
    void (*swiglu_bwd)(float *dgate, float *dup, float *act, const float *dout, const float *gate, const float *up, int64_t n);
    void (*add_fwd)(float *out, const float *a, const float *b, int64_t n);                /* out may be a or b */
    void (*scale)(float *x, int64_t n, float factor), (*blend)(float *y, const float *x, int64_t n, float a, float b);   /* in place; y <- a x + b y */
    void (*fill)(float *x, int64_t n, float value), (*zero)(float *x, int64_t n), (*copy)(float *out, const float *x, int64_t n);
    void (*add_rows_fwd)(float *x, const float *w /*(T,C)*/, const int32_t *pos, int64_t N, int C);          /* x[n] += w[pos[n]]; in place */
    void (*add_rows_bwd)(float *dw, const float *dout, const int32_t *pos, int64_t N, int C);                /* dw[pos[n]] += dout[n] */
    /* ---- rows ----  embed: out[n] = table[id[n]]; ids outside [0, rows) give a zero row (another tp rank holds them). */
    void (*embed_fwd)(float *out, const float *table /*(rows,C)*/, const int32_t *id, int64_t N, int C, int rows), (*embed_bwd)(float *dtable, const float *dout, const int32_t *id, int64_t N, int C, int rows);
    void (*gather)(float *out /*(n,C)*/, const float *x, const int32_t *row /*(n)*/, int64_t n, int C);
    void (*scatter)(float *x, const float *in /*(n,C)*/, const int32_t *row, int64_t n, int C);      void (*scatter_add)(float *x, const float *in, const int32_t *row, int64_t n, int C);     /* x[row[i]] = in[i], or += */
    void (*local_ids)(int32_t *local, const int32_t *id, int64_t N, int first);                      /* id - first; of negative ones -1; local may be id */
    /* ---- attention over packed sequences, H query heads of D, K kv heads (H % K == 0) ----
       q (Nq,H,D), k v (Nk,K,D), att (Nq,H,D), lse (Nq,H) = log sum exp of the scores, scaled by 1/sqrt(D).
       CAUSAL: query i of a sequence with tq queries and tk keys sees keys j <= i + tk - tq.  leaves > K: a kv head's query heads are leaves / K groups, whose dk and dv join. */
    void (*attention_fwd)(float *att, float *lse, const float *q, const float *k, const float *v, int B, const int32_t *qstart, const int32_t *kstart, int H, int K, int D, int mask);
    void (*attention_bwd)(float *dq, float *dk, float *dv, const float *datt, const float *att, const float *lse, const float *q, const float *k, const float *v, int B, const int32_t *qstart, const int32_t *kstart, int H, int K, int D, int mask, int leaves);
    /* Causal attention over depth: tensors are (Q,N,H,D), each of the N rows is a sequence of Q depths; prob (N,H,Q,Q) */
    void (*depth_attention_fwd)(float *att, float *prob, const float *q, const float *k, const float *v, int Q, int64_t N, int H, int D);
    void (*depth_attention_bwd)(float *dq, float *dk, float *dv, const float *datt, const float *prob, const float *q, const float *k, const float *v, int Q, int64_t N, int H, int D);
    /* Rotary embedding in place (pairs as Hugging Face's: d with d + D/2), angle pos * freq[d]; sign +1 forward, -1 backward */
    void (*rope)(float *x /*(N,H,D)*/, const int32_t *pos /*(N)*/, int64_t N, int H, int D, const double *freq /*(D/2)*/, int sign);
    /* ---- pictures, uint8 (.,size,size,3), resized and cut into s x s tiles: [tile0, tile0+tiles) of them (resize.h) ----
       -> patches (tiles*P, 3*patch*patch), (c,y,x), in `colours`; P = (tile/patch)^2, row-major */
    void (*patches)(float *out, const uint8_t *pixels, int tile0, int tiles, int size, int scaled, int tile, int patch, int kind, const Colours *colours);
    /* Stitches the tiles' rows x (tiles, side*side, C) to (s side)^2 a picture; out (.,wide)[at, at+C) += means of s x s blocks */
    void (*area_mean)(float *out, const float *x, int tile0, int tiles, int s, int side, int C, int wide, int at);
    /* ---- losses ----  xent: vocabulary-parallel softmax cross-entropy (xent.h); this rank holds columns [v0, v0+Vl), in leaves (0: one). */
    void (*xent_max)(float *max /*(N)*/, const float *z /*(N,Vl)*/, int64_t N, int Vl);
    void (*xent_sum)(float *sum, float *target, const float *z, const float *max, const int32_t *y, int64_t N, int Vl, int v0, int leaves);    /* sum[n] = sum_v exp(z[n,v] - max[n]);  target[n] = z[n, y[n]-v0] where it is here, else 0 */
    void (*xent_bwd)(float *z, const float *max, const float *sum, const int32_t *y, int64_t N, int Vl, int v0, float scale);    /* z <- (exp(z - max) / sum - [v0 + v == y]) * scale, in place; y NULL: without the second term */
    /* Class y stands for the distribution p[y] over the classes id[y]; over those that are here,
       target[n] = sum_i p[y,i] z[n, id[y,i]-v0],  and, in place,  z[n, id[y,i]-v0] -= p[y,i] * scale */
    void (*xent_soft_target)(float *target, const float *z, const int32_t *y, const XentSoft *soft, int64_t N, int Vl, int v0, int leaves);
    void (*xent_soft_bwd)(float *z, const int32_t *y, const XentSoft *soft, int64_t N, int Vl, int v0, float scale);
    void (*xent_loss)(double *loss, const float *max, const float *sum, const float *target, int64_t N);     /* sum_n max + log sum - target, in double */
    /* Sigmoid contrastive loss of cosines z (B,B): logit = z exp(*logscale) + *bias, label +1 on the diagonal, else -1;
       *loss = -sum_ij log sigmoid(label * logit).  If dlogscale: z <- d loss / d z * factor, in place; *dlogscale, *dbias += theirs * factor. */
    void (*sigmoid_contrast)(double *loss, float *z, float *dlogscale, float *dbias, const float *logscale, const float *bias, int B, float factor);
    void (*mse)(double *loss, float *dx, const float *x /*(N,C)*/, const float *want, int64_t N, int C, float scale);    /* *loss = sum_n mean_c (x - want)^2; dx = its gradient * scale; dx may be x */
    /* ---- diffusion ----  out[n,c] = rng_normal(seed, stream[n], key[n] C + c) (rng.h), rounded to float: equal bits in every backend */
    void (*noise)(float *out, const uint64_t *stream, const int64_t *key, int64_t N, int C, uint64_t seed);
    void (*noise_mix)(float *out, const float *x, const float *noise, const int32_t *row, const double *kept, int64_t N, int C);    /* out[n] = sqrt(kept[n]) x[row[n]] + sqrt(1 - kept[n]) noise[n] */
    /* ---- residual quantization ----  e (S,C): a codebook, or of one split over tp this rank's; codes outside [0, S) are other ranks'
       code[n] = argmin_j |x_n - e_j|^2, ties to the lowest j;  x (N,C);  dist (N), may be NULL: |x_n - e_code|^2, NaN as inf;
       of the nearest codes of several leaves (0: one) the nearest by dist, the lowest of those that are equal as floats: as among ranks */
    void (*nearest)(int32_t *code, float *dist, const float *x, const float *e, int64_t N, int C, int S, int leaves);
    void (*nearest_bid)(float *bid, const float *best, const int32_t *code, int64_t N, int first);    /* bid[n] = -(first + code[n]) where it was best[n], else -inf: among ranks the largest wins, the lowest of the nearest codes */
    void (*nearest_won)(int32_t *code, const float *bid, int64_t N);                       /* code[n] = -bid[n] */
    /* id (S,m): each code, then the others that are nearest to it, ties to the lowest; d (S,m): |e_s - e_id|^2;  m <= min(S,32) */
    void (*nearest_m)(int32_t *id, float *d, const float *e /*(S,C)*/, int S, int C, int m);
    void (*soft_targets)(float *p /*(S,m)*/, int S, int m, float tau);  /* <- exp(-p / (tau mean of column 1)) / its row's sum, in place */
    void (*residual)(float *x, const float *e, const int32_t *code, int64_t N, int C, int S);    /* x[n] -= e[code[n]]; other ranks': x[n] = 0 */
    void (*code_stats)(float *count, float *sum, const float *x, const int32_t *code, int64_t N, int C, int S);  /* at code[n]: += 1, += x[n] */
    void (*code_count)(double *total, double *chosen, float *count, const float *n, int S, float decay);     /* EMA; *total: its sum, *chosen: that of n */
    /* EMA: count (S) <- d count + (1-d) n, sum (S,C) <- d sum + (1-d) m, e = sum / smoothed count (docs/MATH.md), total > 0: of all `codes` */
    void (*code_update)(float *e, float *sum, const float *count, const float *m, int S, int C, float decay, float eps, double total, int codes);
    /* Codes whose moving count is below 1 start again from their candidate (S,C), if it is more than zero and rounding: e = sum =
       candidate, count = 1.  n (S): how often each was chosen.  *restarts: how many did; *used = #(n > 0). */
    void (*code_restart)(int64_t *restarts, int *used, float *e, float *count, float *sum, const float *candidate, const float *n, int S, int C);
    /* Codes of some rows, out (Q,n): of code (Q,N), and the first Q of those of given (N,all); row NULL: of the first n */
    void (*take_codes)(int32_t *out, const int32_t *code, const int32_t *row, int64_t n, int Q, int64_t N);
    void (*given_codes)(int32_t *out, const uint16_t *given, const int32_t *row, int64_t n, int Q, int all);
    void (*entropy)(double *out, const float *n, int S, double total);      /* -sum p log p of p = n / total; 0 where nothing was counted */
    /* An id: of the largest logit (ties to the lowest) at temperature 0, else drawn from softmax(z / temperature) by 0 <= u < 1 */
    void (*pick)(int32_t *id, const float *z, int V, float temperature, double u);
    /* ---- parameters ----  x (rows,cols): element (r,c) is element first + r stride + c of the whole tensor (param.h) */
    void (*draw)(float *x, int64_t rows, int64_t cols, int64_t first, int64_t stride, int kind, double size, uint64_t seed, uint64_t stream);
    void (*hash)(uint64_t *sum, const float *x, int64_t rows, int64_t cols, int64_t first, int64_t stride, uint64_t stream);     /* bits_sum (bits.h) */
    /* ---- optimizer ----  sumsq: a fixed summation order; inf/NaN pass through.  sumsq_blocks: out[k] = sumsq of block k of x (n): `block` elements each,
       but the first, which has `first` (1 .. block), and the last; split: block <= 256, out (.,3): parts whose exact sum (exact.h) is of any blocks the same */
    void (*sumsq)(double *out, const float *x, int64_t n), (*sumsq_blocks)(double *out, const float *x, int64_t n, int block, int first, bool split);
    /* x[to] += x[from] (n), one addition after the other; out = x[0], may be one of them; what x holds is used up */
    void (*sum_tree)(float *out, float *const *x, const Addition *add, int additions, int64_t n);
    /* Fixed-point sums, whole numbers of 2^-FIXED_BITS: no order of additions enters.  FIXED_LOST plus anything is FIXED_LOST, and becomes NaN.
       add: out = sum + x, each x to the nearest, ties to even, and lost unless |x| < limit <= FIXED_MOST;  sum NULL: 0, out may be sum */
    void (*fixed_add)(int64_t *out, const int64_t *sum, const float *x, int64_t n, float limit);
    void (*fixed_join)(int64_t *out, const int64_t *a, const int64_t *b, int64_t n), (*fixed_round)(float *out, const int64_t *sum, int64_t n);    /* out = a + b, may be one of them; to the nearest float, once */
    void (*to_bf16)(uint16_t *out, const float *x, int64_t n), (*from_bf16)(float *out, const uint16_t *x, int64_t n);     /* 16 bits on the wire: to the nearest, ties to even; exact */
    /* AdamW, decoupled decay, step counts from 1; g is multiplied by gscale first */
    void (*adamw)(float *w, float *m, float *v, const float *g, int64_t n, float lr, float beta1, float beta2, float eps, float decay, int64_t step, float gscale);
} Ops;
extern Ops op; extern const Ops OPS_REF /* complete */;
const Ops *vectors_ops(void);           /* core/cpu for the widest vectors that this processor has (core/vectors.h); some members are NULL */
#define OPS_CPU (*vectors_ops())
/* Fills `op`: reference, overlaid with `fast` (may be NULL).  threads: ours; OpenBLAS gets one in each.  ops_threads: those alone. */
void ops_use(const Ops *fast, int threads), ops_threads(int threads);
void ops_overlay(const Ops *some);      /* its members that are not NULL take the place of those in `op` */
