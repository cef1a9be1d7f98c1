/* cpu_act.c -- elementwise ops: one pass each, limited by memory */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"

/* The tanh gelu is x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3). */
static inline float gelu_gate(float x)
{
    return simd_sigmoid(1.59576912f * x * madd(0.044715f * x, x, 1.f));
}

static inline float gelu_tanh_slope(float x)
{
    const float s = gelu_gate(x), twice_du = 1.59576912f * madd(3.f * 0.044715f * x, x, 1.f);
    return madd(x * s * (1.f - s), twice_du, s);
}

static inline float gelu_erf(float x)
{
    float cdf, pdf;
    simd_normal(&cdf, &pdf, x);
    return x * cdf;
}

static inline float gelu_erf_slope(float x)
{
    float cdf, pdf;
    simd_normal(&cdf, &pdf, x);
    return madd(x, pdf, cdf);
}

static inline float gelu_quick_slope(float x)
{
    const float s = simd_sigmoid(1.702f * x);
    return madd(1.702f * x * s, 1.f - s, s);
}

void cpu_gelu_fwd(float *out, const float *x, int64_t n, int kind)
{
    if (kind == GELU_TANH) {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++)
            out[i] = x[i] * gelu_gate(x[i]);
    } else if (kind == GELU_QUICK) {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++)
            out[i] = x[i] * simd_sigmoid(1.702f * x[i]);
    } else {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++)
            out[i] = gelu_erf(x[i]);
    }
}

void cpu_gelu_bwd(float *dx, const float *dout, const float *x, int64_t n, int kind)
{
    if (!dx)
        return;
    if (kind == GELU_TANH) {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++)
            dx[i] = dout[i] * gelu_tanh_slope(x[i]);
    } else if (kind == GELU_QUICK) {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++)
            dx[i] = dout[i] * gelu_quick_slope(x[i]);
    } else {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++)
            dx[i] = dout[i] * gelu_erf_slope(x[i]);
    }
}

void cpu_swiglu_fwd(float *out, const float *gate, const float *up, int64_t n)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        out[i] = gate[i] * simd_sigmoid(gate[i]) * up[i];
}

void cpu_swiglu_bwd(float *dgate, float *dup, const float *dout, const float *gate, const float *up, int64_t n)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++) {
        const float g = gate[i], s = simd_sigmoid(g), silu = g * s, d = dout[i];
        if (dgate)
            dgate[i] = d * up[i] * madd(silu, 1.f - s, s);
        if (dup)
            dup[i] = d * silu;
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
