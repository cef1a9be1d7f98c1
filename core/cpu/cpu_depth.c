/* cpu_depth.c -- attention over the few depths of one position: too small for BLAS, direct loops */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"
#include "core/prof.h"

/* The rows of one (n, head) at depths 0, 1, ... lie `step` floats apart. */
static inline float dot(const float *a, const float *b, int D)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int d = 0; d < D; d++)
        sum += a[d] * b[d];
    return sum;
}

static inline void add_scaled(float *out, float factor, const float *x, int D)
{
#pragma omp simd
    for (int d = 0; d < D; d++)
        out[d] = madd(factor, x[d], out[d]);
}

static inline void clear(float *out, int D) { memset(out, 0, (size_t)D * sizeof *out); }

static void depths_fwd(float *att, float *prob, const float *q, const float *k, const float *v, int Q, int64_t step, int D)
{
    const float scale = 1.f / sqrtf((float)D);
    for (int i = 0; i < Q; i++) {
        float *p = prob + (int64_t)i * Q, *out = att + i * step, max = -INFINITY, sum = 0;
        for (int j = 0; j <= i; j++) {
            p[j] = dot(q + i * step, k + j * step, D) * scale;
            max = p[j] > max ? p[j] : max;
        }
        for (int j = 0; j <= i; j++)
            sum += p[j] = simd_exp(p[j] - max);
        clear(p + i + 1, Q - 1 - i);
        clear(out, D);
        for (int j = 0; j <= i; j++) {
            p[j] /= sum;
            add_scaled(out, p[j], v + j * step, D);
        }
    }
}

void cpu_depth_attention_fwd(float *att, float *prob, const float *q, const float *k, const float *v, int Q, int64_t N, int H, int D)
{
    const int64_t step = N * H * D;
    prof_gemm(N * H, Q * (Q + 1), D);
#pragma omp parallel for if (Q * step >= PARALLEL)
    for (int64_t row = 0; row < N * H; row++) {
        const int64_t at = row * D;
        depths_fwd(att + at, prob + row * Q * Q, q + at, k + at, v + at, Q, step, D);
    }
}

typedef struct { float *dq, *dk, *dv; const float *datt, *prob, *q, *k, *v; } Depths;

static void depths_bwd(Depths t, int Q, int64_t step, int D)
{
    const float scale = 1.f / sqrtf((float)D);
    float ds[Q];
    for (int i = 0; i < Q; i++) {
        const float *p = t.prob + (int64_t)i * Q, *da = t.datt + i * step;
        float delta = 0;
        for (int j = 0; j <= i; j++) {
            ds[j] = dot(da, t.v + j * step, D);
            delta += p[j] * ds[j];
        }
        for (int j = 0; j <= i; j++)
            ds[j] = p[j] * (ds[j] - delta) * scale;
        if (t.dq)
            clear(t.dq + i * step, D);
        if (t.dk)
            clear(t.dk + i * step, D);
        if (t.dv)
            clear(t.dv + i * step, D);
        for (int j = 0; j <= i; j++) {
            if (t.dq)
                add_scaled(t.dq + i * step, ds[j], t.k + j * step, D);
            if (t.dk)
                add_scaled(t.dk + j * step, ds[j], t.q + i * step, D);
            if (t.dv)
                add_scaled(t.dv + j * step, p[j], da, D);
        }
    }
}

void cpu_depth_attention_bwd(float *dq, float *dk, float *dv, const float *datt, const float *prob, const float *q,
                             const float *k, const float *v, int Q, int64_t N, int H, int D)
{
    const int64_t step = N * H * D;
    prof_gemm(N * H, 2 * Q * (Q + 1), D);
#pragma omp parallel for if (Q * step >= PARALLEL)
    for (int64_t row = 0; row < N * H; row++) {
        const int64_t at = row * D;
        const Depths t = { dq ? dq + at : NULL, dk ? dk + at : NULL, dv ? dv + at : NULL, datt + at,
                           prob + row * Q * Q, q + at, k + at, v + at };
        depths_bwd(t, Q, step, D);
    }
}
