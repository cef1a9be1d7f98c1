/*
 * operands.h -- what ops take besides plain tensors and lists: words, a linear's weight, colours, soft targets
 *
 * Local.  Tests: tests/core/test_ops*.c
 */
#pragma once
#include "core/base.h"
#include "core/linear.h"

enum { GELU_TANH, GELU_ERF, GELU_QUICK };   /* kinds of gelu: tanh approximation (SigLIP), exact erf (projector, head), x sigmoid(1.702 x) (CLIP) */
enum { DRAW_NORMAL, DRAW_UNIFORM };          /* of deviation `size`;  in +-1 / size: rng_normal, rng_uniform of (seed, stream, element) */
enum { FIXED_BITS = 50 };           /* fixed_...: a sum is a whole number of 2^-FIXED_BITS */
#define FIXED_LOST INT64_MIN        /* or this, where an addend was too large or no number */
#define FIXED_MOST 0x1p12f          /* addends whose sizes add up to no more are in range, by a factor of two: roundings, of a limit, too, have room */
enum { FULL = 0, CAUSAL = 1 };      /* attention masks */

typedef struct { float div[3], sub[3]; } Colours;       /* a value v of a picture becomes v / div - sub, by colour */
typedef struct { int to, from; } Addition;              /* of buffers (sum_tree) */
typedef struct { int m; const int32_t *id; const float *p; } XentSoft;      /* (V,m): what each class stands for */
