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

/* Blocks are what a thread takes.  Inside of one no loop has a condition, else it would not be vectorised: what is not wanted goes to
   `none`. */
enum { BLOCK = 1024 };

static inline float *or_none(float *wanted, int64_t at, float *none) { return wanted ? wanted + at : none; }

static void gelu_values(float *out, const float *x, int n, int kind)
{
    if (kind == GELU_TANH) {
#pragma omp simd
        for (int i = 0; i < n; i++) {
            float value, slope;
            gelu_tanh(&value, &slope, x[i]);
            out[i] = value;
        }
    } else if (kind == GELU_QUICK) {
#pragma omp simd
        for (int i = 0; i < n; i++) {
            float value, slope;
            gelu_quick(&value, &slope, x[i]);
            out[i] = value;
        }
    } else {
#pragma omp simd
        for (int i = 0; i < n; i++) {
            float value, slope;
            gelu_erf(&value, &slope, x[i]);
            out[i] = value;
        }
    }
}

static void gelu_slopes(float *dx, float *act, const float *dout, const float *x, int n, int kind)
{
    if (kind == GELU_TANH) {
#pragma omp simd
        for (int i = 0; i < n; i++) {
            float value, slope;
            gelu_tanh(&value, &slope, x[i]);
            dx[i] = dout[i] * slope;
            act[i] = value;
        }
    } else if (kind == GELU_QUICK) {
#pragma omp simd
        for (int i = 0; i < n; i++) {
            float value, slope;
            gelu_quick(&value, &slope, x[i]);
            dx[i] = dout[i] * slope;
            act[i] = value;
        }
    } else {
#pragma omp simd
        for (int i = 0; i < n; i++) {
            float value, slope;
            gelu_erf(&value, &slope, x[i]);
            dx[i] = dout[i] * slope;
            act[i] = value;
        }
    }
}

void cpu_gelu_fwd(float *out, const float *x, int64_t n, int kind)
{
#pragma omp parallel for if (n >= PARALLEL)
    for (int64_t at = 0; at < n; at += BLOCK)
        gelu_values(out + at, x + at, (int)min64(BLOCK, n - at), kind);
}

void cpu_gelu_bwd(float *dx, float *act, const float *dout, const float *x, int64_t n, int kind)
{
#pragma omp parallel for if (n >= PARALLEL)
    for (int64_t at = 0; at < n; at += BLOCK) {
        float none[BLOCK];
        gelu_slopes(or_none(dx, at, none), or_none(act, at, none), dout + at, x + at, (int)min64(BLOCK, n - at), kind);
    }
}

void cpu_swiglu_fwd(float *out, const float *gate, const float *up, int64_t n)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        out[i] = gate[i] * simd_sigmoid(gate[i]) * up[i];
}

static void swiglu_slopes(float *dgate, float *dup, float *act, const float *dout, const float *gate, const float *up, int n)
{
#pragma omp simd
    for (int i = 0; i < n; i++) {
        const float g = gate[i], u = up[i], d = dout[i], s = simd_sigmoid(g), silu = g * s;
        dgate[i] = d * u * madd(silu, 1.f - s, s);
        dup[i] = d * silu;
        act[i] = silu * u;
    }
}

void cpu_swiglu_bwd(float *dgate, float *dup, float *act, const float *dout, const float *gate, const float *up, int64_t n)
{
#pragma omp parallel for if (n >= PARALLEL)
    for (int64_t at = 0; at < n; at += BLOCK) {
        float none[BLOCK];
        swiglu_slopes(or_none(dgate, at, none), or_none(dup, at, none), or_none(act, at, none), dout + at, gate + at, up + at,
                      (int)min64(BLOCK, n - at));
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
