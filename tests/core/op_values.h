/* op_values.h -- ops that write one number, as values: for tests */
#pragma once
#include "core/ops.h"

static inline double op_sumsq(const Ops *o, const float *x, int64_t n)
{
    double out;
    o->sumsq(&out, x, n);
    return out;
}

static inline double op_mse(const Ops *o, float *dx, const float *x, const float *want, int64_t N, int C, float scale)
{
    double loss;
    o->mse(&loss, dx, x, want, N, C, scale);
    return loss;
}

static inline double op_xent_loss(const Ops *o, const float *max, const float *sum, const float *target, int64_t N)
{
    double loss;
    o->xent_loss(&loss, max, sum, target, N);
    return loss;
}

static inline double op_sigmoid_contrast(const Ops *o, float *z, float *dlogscale, float *dbias, const float *logscale, const float *bias,
                                         int B, float factor)
{
    double loss;
    o->sigmoid_contrast(&loss, z, dlogscale, dbias, logscale, bias, B, factor);
    return loss;
}

static inline double op_entropy(const Ops *o, const float *n, int S, double total)
{
    double out;
    o->entropy(&out, n, S, total);
    return out;
}

static inline int op_pick(const Ops *o, const float *z, int V, float temperature, double u)
{
    int32_t id;
    o->pick(&id, z, V, temperature, u);
    return id;
}
