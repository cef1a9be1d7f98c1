/* ref_act.c -- gelu, SwiGLU and plain elementwise ops */
#include "core/ref/ref.h"

#include <math.h>

static const double SQRT_2_PI = 0.79788456080286535588;        /* sqrt(2 / pi) */
static const double SQRT_1_2  = 0.70710678118654752440;
static const double CUBIC     = 0.044715;

static const double QUICK     = 1.702;

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double gelu(double x, int kind)
{
    if (kind == GELU_QUICK)
        return x * sigmoid(QUICK * x);
    if (kind == GELU_ERF)
        return 0.5 * x * (1 + erf(x * SQRT_1_2));
    return 0.5 * x * (1 + tanh(SQRT_2_PI * (x + CUBIC * x * x * x)));
}

static double gelu_slope(double x, int kind)
{
    if (kind == GELU_QUICK)
        return sigmoid(QUICK * x) * (1 + QUICK * x * (1 - sigmoid(QUICK * x)));
    if (kind == GELU_ERF)
        return 0.5 * (1 + erf(x * SQRT_1_2)) + 0.5 * SQRT_2_PI * x * exp(-0.5 * x * x);
    double t = tanh(SQRT_2_PI * (x + CUBIC * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * SQRT_2_PI * (1 + 3 * CUBIC * x * x);
}

void ref_gelu_fwd(float *out, const float *x, int64_t n, int kind)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)gelu(x[i], kind);
}

void ref_gelu_bwd(float *dx, float *act, const float *dout, const float *x, int64_t n, int kind)
{
    for (int64_t i = 0; i < n; i++) {
        const float d = dout[i], xi = x[i];
        if (dx)
            dx[i] = (float)(d * gelu_slope(xi, kind));
        if (act)
            act[i] = (float)gelu(xi, kind);
    }
}

void ref_swiglu_fwd(float *out, const float *gate, const float *up, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(gate[i] * sigmoid(gate[i]) * up[i]);
}

void ref_swiglu_bwd(float *dgate, float *dup, float *act, const float *dout, const float *gate, const float *up, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double g = gate[i], u = up[i], d = dout[i], s = sigmoid(g);
        if (dgate)
            dgate[i] = (float)(d * u * s * (1 + g * (1 - s)));
        if (dup)
            dup[i] = (float)(d * g * s);
        if (act)
            act[i] = (float)(g * s * u);
    }
}

void ref_add_fwd(float *out, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

void ref_scale(float *x, int64_t n, float factor)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= factor;
}

void ref_zero(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = 0;
}

void ref_copy(float *out, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i];
}
