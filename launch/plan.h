/*
 * plan.h -- what `asvr plan` knows of a parameter by its name: the line it counts in, and the rows that go through it
 *
 * Flops come from the parameter table alone: a weight (out, in) costs 2 out in for every row that goes through it,
 * once forward, once for its own gradient if it learns, and once for the gradient of its input if backward computes
 * that.  Attention is added: 4 D flops a head and a pair of rows that see each other, 2.5 times that backward.
 * Local.
 *
 * Source  the counts are those of core/prof.h: matrix products, attention, nearest codes
 * Tests   tests/launch/plan.sh (published counts; flops against those of `asvr bench`)
 */
#pragma once
#include "core/asvr.h"

typedef struct {
    const char *part, *word;       /* a name up to its first dot, and how it goes on; # stands for a number */
    const char *label;             /* "" has no line of its own */
    int         rows;              /* which rows go through it (planflops.c) */
    bool        passes;            /* backward computes the gradient of its input, too */
} Group;

/* Of any parameter of a model. */
const Group *group_of(const Param *p);

/* Of one sample: a picture, and text up to max_len rows, every token of it with a label. */
typedef struct { double forward, step; } Flops;
/* Stages pretrain and instruct. */
Flops plan_flops(const Model *m);
