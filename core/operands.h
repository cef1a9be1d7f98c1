/*
 * operands.h -- what ops take besides plain tensors and lists: words, a linear's weight, colours, soft targets
 *
 * Local.  Tests: tests/core/test_ops*.c
 */
#pragma once
#include "core/base.h"
#include "core/linear.h"

enum { GELU_TANH, GELU_ERF, GELU_QUICK };   /* kinds of gelu: tanh approximation (SigLIP), exact erf (projector, head), x sigmoid(1.702 x) (CLIP) */
enum { FULL = 0, CAUSAL = 1 };      /* attention masks */

typedef struct { float div[3], sub[3]; } Colours;       /* a value v of a picture becomes v / div - sub, by colour */
typedef struct { int m; const int32_t *id; const float *p; } XentSoft;      /* (V,m): what each class stands for */
