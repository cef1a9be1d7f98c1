/*
 * op_check.h -- one table of ops x shapes drives the gradient check of the reference and the test of a fast backend
 *
 *   check_fast     any Ops against the reference: outputs, gradients, accumulation, NULL gradients, equal bits
 *   check_slopes   the reference against central differences: op_slope.h
 */
#pragma once
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/op_case.h"

/* Gradients before bwd: what accumulates starts from known numbers, the rest from NaN. */
static inline void preset(Job *j)
{
    for (int k = 0; k < j->inputs; k++)
        if (j->dx[k] && j->adds[k])
            fill(j->dx[k], j->nx[k], (uint64_t)(50 + k));
        else
            for (int64_t i = 0; j->dx[k] && i < j->nx[k]; i++)
                j->dx[k][i] = NAN;
}

static inline void run_job(const OpCase *c, const Ops *o, Job *j)
{
    c->fwd(o, j);
    preset(j);
    c->bwd(o, j);
}

/*
 * Relative error of a fast result in the 2-norm.  Sums here have up to 1e3 terms of order 1, so float sums in any order
 * err by about sqrt(1e3) * 6e-8 = 2e-6 of their norm; exp and tanh by polynomials add as much.  One wrong element among
 * 1e5 would err by 3e-3.  Results that vanish by cancellation are judged against the size 1 of their terms.
 */
static const double FAST_TOLERANCE = 1e-5;

static inline void assert_near(const char *name, const char *what, const float *got, const float *want, int64_t n)
{
    double error = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        error += pow((double)got[i] - want[i], 2);
        norm += pow(want[i], 2);
    }
    if (!(sqrt(error) <= FAST_TOLERANCE * (sqrt(norm) + sqrt((double)n))))
        fail_msg("%s: %s differs by %.2e, its norm is %.2e (%lld elements)", name, what, sqrt(error), sqrt(norm), (long long)n);
}

/* got and want hold the results of the same call. */
static inline void assert_jobs_near(const char *name, const Job *got, const Job *want)
{
    char what[32];
    for (int k = 0; k < want->outputs; k++) {
        snprintf(what, sizeof what, "output %d", k);
        assert_near(name, what, got->y[k], want->y[k], want->ny[k]);
    }
    for (int k = 0; k < want->inputs; k++) {
        if (got->x[k] && memcmp(got->x[k], want->x[k], (size_t)want->nx[k] * sizeof(float)))
            fail_msg("%s: input %d was changed", name, k);
        snprintf(what, sizeof what, "gradient of input %d", k);
        if (got->dx[k])
            assert_near(name, what, got->dx[k], want->dx[k], want->nx[k]);
    }
}

/* fast against the reference, with all gradients, with each one NULL in turn, and twice for equal bits. */
static inline void check_fast(const OpCase *c, const Shape *s, const Ops *fast)
{
    char name[64];
    snprintf(name, sizeof name, "%s, shape %d", c->name, (int)(s - c->shape));
    Job want = job(c, s), got = job(c, s), again = job(c, s);
    run_job(c, &OPS_REF, &want);
    run_job(c, fast, &got);
    run_job(c, fast, &again);
    assert_jobs_near(name, &got, &want);
    for (int k = 0; k < got.inputs; k++)
        if (got.dx[k] && memcmp(got.dx[k], again.dx[k], (size_t)got.nx[k] * sizeof(float)))
            fail_msg("%s: the gradient of input %d has other bits when computed again", name, k);
    for (int k = 0; k < got.inputs; k++) {
        float *kept = got.dx[k];
        got.dx[k] = NULL;
        run_job(c, fast, &got);
        assert_jobs_near(name, &got, &want);
        got.dx[k] = kept;
    }
    job_free(&want), job_free(&got), job_free(&again);
}

/* The backend as the program uses it: the reference, overlaid. */
static inline void check_all_fast(const OpCase *c, int n)
{
    ops_use(&OPS_CPU, 2);
    for (int i = 0; i < n; i++)
        for (int s = 0; s < c[i].shapes; s++)
            check_fast(&c[i], &c[i].shape[s], &op);
}
