/*
 * op_case.h -- a row of the table of ops x shapes: how to make an op's operands, how to call it
 *
 *     make   lays out inputs, outputs and index arrays of one shape      fwd, bwd   call the op of a given backend
 *
 * Operands are separate exact allocations, so that the address sanitizer sees a step outside.  A new op is three
 * small functions and one table row; op_check.h turns the row into tests.
 */
#pragma once
#include <math.h>
#include <stdlib.h>

#include "core/ops.h"
#include "core/rng.h"

typedef struct {
    int   N, C, O, S, H, K, D, Q, kind, B;
    int   tq[8], tk[8];                             /* lengths of B packed sequences */
    float eps;
    bool  bare;                                     /* without bias */
    bool  add;                                      /* dx += */
} Shape;

enum { OPERANDS = 4 };
typedef struct {
    Shape    s;
    int      inputs, outputs;
    float   *x[OPERANDS], *dx[OPERANDS];            /* inputs and their gradients */
    int64_t  nx[OPERANDS];
    bool     adds[OPERANDS];                        /* the gradient accumulates */
    float   *y[OPERANDS], *dy;                      /* y[0] is what dy belongs to, the others are kept for bwd */
    int64_t  ny[OPERANDS];
    int32_t *index[2];
} Job;

typedef struct {
    const char *name;
    void (*make)(Job *j);
    void (*fwd)(const Ops *o, Job *j);
    void (*bwd)(const Ops *o, Job *j);
    const Shape *shape;
    int shapes;
} OpCase;

#define SHAPES(...) (const Shape[]){ __VA_ARGS__ }, (int)(sizeof((const Shape[]){ __VA_ARGS__ }) / sizeof(Shape))

/* About normal, but a quarter away from 0: |x| and 1/|x| bend too sharply there for any difference quotient. */
static inline void fill(float *x, int64_t n, uint64_t stream)
{
    for (int64_t i = 0; i < n; i++) {
        double u = rng_normal(7, stream, (uint64_t)i);
        x[i] = (float)(u < 0 ? 0.75 * u - 0.25 : 0.75 * u + 0.25);
    }
}

static inline float *buffer(int64_t n)
{
    float *x = malloc((size_t)n * sizeof *x + (n == 0));
    for (int64_t i = 0; i < n; i++)
        x[i] = NAN;                                 /* whoever reads before writing is caught */
    return x;
}

enum { ADD = true, SET = false };                   /* how the gradient of an input is written */

static inline void input(Job *j, int64_t n, bool adds)
{
    int k = j->inputs++;
    j->x[k] = buffer(n), j->dx[k] = buffer(n), j->nx[k] = n, j->adds[k] = adds;
    fill(j->x[k], n, (uint64_t)k);
}

static inline void no_input(Job *j) { j->inputs++; }

static inline void output(Job *j, int64_t n)
{
    j->y[j->outputs] = buffer(n), j->ny[j->outputs] = n;
    if (j->outputs++ == 0)
        fill(j->dy = buffer(n), n, 100);
}

/* n integers in [low, high) */
static inline void indices(Job *j, int k, int64_t n, int low, int high)
{
    j->index[k] = malloc((size_t)n * sizeof(int32_t) + 1);
    for (int64_t i = 0; i < n; i++)
        j->index[k][i] = low + (int32_t)rng_below(high - low, 7, (uint64_t)(200 + k), (uint64_t)i);
}

static inline Job job(const OpCase *c, const Shape *s)
{
    Job j = { .s = *s };
    c->make(&j);
    return j;
}

static inline void job_free(Job *j)
{
    for (int k = 0; k < OPERANDS; k++)
        free(j->x[k]), free(j->dx[k]), free(j->y[k]);
    free(j->dy), free(j->index[0]), free(j->index[1]);
}
