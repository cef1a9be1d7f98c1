/* golden_case.h -- losses and gradients of a model held against those that another implementation computed in float64 */
#pragma once
#include <math.h>
#include <string.h>

#include "tests/core/model_case.h"
#include "tests/core/op_values.h"

enum { DIRECTIONS = 3 };

typedef struct { const char *name; int64_t count; double norm, along[DIRECTIONS]; } GoldenTensor;
typedef struct {
    double loss, text, contrast, visual[3];
    const GoldenTensor *gradients;                 /* ends with a NULL name */
    const int *codes;                              /* (I,P,Q), where the quantizer finds them */
    double logits[9];                              /* of each sequence's last row, of the first pieces */
} Golden;

/* Float against double: rounding errs by about 1e-7 a sum; measured 6e-7 of a tensor's gradient, 3e-6 where a scalar's
   gradient cancels.  The smallest mistakes of a model, an epsilon of 1e-5 for 1e-6, err by 2.2e-5 and more; a tanh-gelu for
   an exact one by 3e-4; a missing term by 1e-3 to 1. */
static const double TOLERANCE = 2e-5;

static inline void assert_close(const char *what, const char *name, double got, double want, double size)
{
    const double error = fabs(got - want) / size;
    if (!(error <= TOLERANCE))
        fail_msg("%s of %s is %.9g, the other model says %.9g: off by %.2e", what, name, got, want, error);
}

static inline double along(const float *g, int64_t n, const char *name, int k)
{
    double dot = 0, norm = 0;
    for (int64_t e = 0; e < n; e++) {
        const double d = rng_normal(100 + (uint64_t)k, rng_stream(name), (uint64_t)e);
        dot += d * g[e];
        norm += d * d;
    }
    return dot / sqrt(norm);
}

static inline const GoldenTensor *golden_of(const Golden *want, const Param *p)
{
    for (const GoldenTensor *t = want->gradients; t->name; t++)
        if (strcmp(t->name, p->name) == 0)
            return t;
    fail_msg("the other model has no %s", p->name);
    return NULL;
}

/* A gradient that vanishes by construction (the bias of keys, which softmax does not feel) is held against all the others. */
static inline void compare_gradients(const Model *m, const Golden *want)
{
    double whole = 0;
    int expected = 0, found = 0;
    for (const GoldenTensor *t = want->gradients; t->name; t++, expected++)
        whole += t->norm * t->norm;
    for (int i = 0; i < m->table.n; i++) {
        const Param *p = &m->table.p[i];
        if (p->grad < 0)
            continue;
        const GoldenTensor *t = golden_of(want, p);
        const float *g = m->grads + p->grad;
        const double size = t->norm > 1e-9 * sqrt(whole) ? t->norm : sqrt(whole);
        assert_int_equal(p->count, t->count);
        assert_close("norm of the gradient", p->name, sqrt(op_sumsq(&op, g, p->count)), t->norm, size);
        for (int k = 0; k < DIRECTIONS; k++)
            assert_close("component of the gradient", p->name, along(g, p->count, p->name, k), t->along[k], size);
        found++;
    }
    assert_int_equal(found, expected);
}
