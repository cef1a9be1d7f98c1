/* cpu_act.c -- elementwise ops: one pass each, limited by memory */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"

#include <string.h>

/* Value and slope of each kind of gelu.  The tanh gelu is x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3). */
static inline void gelu_tanh(float *value, float *slope, float x)
{
    const float s = simd_sigmoid(1.59576912f * x * madd(0.044715f * x, x, 1.f));
    *value = x * s;
    *slope = madd(x * s * (1.f - s), 1.59576912f * madd(3.f * 0.044715f * x, x, 1.f), s);
}

static inline void gelu_quick(float *value, float *slope, float x)
{
    const float s = simd_sigmoid(1.702f * x);
    *value = x * s;
    *slope = madd(1.702f * x * s, 1.f - s, s);
}

static inline void gelu_erf(float *value, float *slope, float x)
{
    float cdf, pdf;
    simd_normal(&cdf, &pdf, x);
    *value = x * cdf;
    *slope = madd(x, pdf, cdf);
}

void cpu_gelu_fwd(float *out, const float *x, int64_t n, int kind)
{
    if (kind == GELU_TANH) {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++) {
            float value, slope;
            gelu_tanh(&value, &slope, x[i]);
            out[i] = value;
        }
    } else if (kind == GELU_QUICK) {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++) {
            float value, slope;
            gelu_quick(&value, &slope, x[i]);
            out[i] = value;
        }
    } else {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++) {
            float value, slope;
            gelu_erf(&value, &slope, x[i]);
            out[i] = value;
        }
    }
}

void cpu_gelu_bwd(float *dx, float *act, const float *dout, const float *x, int64_t n, int kind)
{
    if (!dx && act)
        cpu_gelu_fwd(act, x, n, kind);
    if (!dx)
        return;
    if (kind == GELU_TANH) {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++) {
            float value, slope;
            gelu_tanh(&value, &slope, x[i]);
            dx[i] = dout[i] * slope;
            if (act)
                act[i] = value;
        }
    } else if (kind == GELU_QUICK) {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++) {
            float value, slope;
            gelu_quick(&value, &slope, x[i]);
            dx[i] = dout[i] * slope;
            if (act)
                act[i] = value;
        }
    } else {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++) {
            float value, slope;
            gelu_erf(&value, &slope, x[i]);
            dx[i] = dout[i] * slope;
            if (act)
                act[i] = value;
        }
    }
}

void cpu_swiglu_fwd(float *out, const float *gate, const float *up, int64_t n)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        out[i] = gate[i] * simd_sigmoid(gate[i]) * up[i];
}

void cpu_swiglu_bwd(float *dgate, float *dup, float *act, const float *dout, const float *gate, const float *up, int64_t n)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++) {
        const float g = gate[i], u = up[i], s = simd_sigmoid(g), silu = g * s, d = dout[i];
        if (dgate)
            dgate[i] = d * u * madd(silu, 1.f - s, s);
        if (dup)
            dup[i] = d * silu;
        if (act)
            act[i] = silu * u;
    }
}

void cpu_add_fwd(float *out, const float *a, const float *b, int64_t n)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

void cpu_scale(float *x, int64_t n, float factor)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        x[i] *= factor;
}

void cpu_zero(float *x, int64_t n)
{
    if (n > 0)
        memset(x, 0, (size_t)n * sizeof *x);
}

void cpu_copy(float *out, const float *x, int64_t n)
{
    if (n > 0)
        memcpy(out, x, (size_t)n * sizeof *x);
}
