/* cpu_optim.c -- passes of optimizer and reduction over flat ranges */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"
#include "core/half.h"

/* The range is cut into pieces by its length alone, so the order of summation does not depend on the threads. */
void cpu_sumsq(double *out, const float *x, int64_t n)
{
    enum { PIECES = 256 };
    double part[PIECES] = { 0 };
    const int64_t piece = max64(4096, ceil_div(n, PIECES)), pieces = ceil_div(n, piece);
#pragma omp parallel for if (n >= PARALLEL)
    for (int64_t p = 0; p < pieces; p++) {
        const int64_t end = min64(n, (p + 1) * piece);
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = p * piece; i < end; i++)
            sum += (double)x[i] * (double)x[i];
        part[p] = sum;
    }
    double sum = 0;
    for (int64_t p = 0; p < pieces; p++)
        sum += part[p];
    *out = sum;
}

/* Each column is added up in the order of its rows, whatever columns are asked for. */
void cpu_sumsq_columns(double *out, const float *x, int64_t rows, int cols, int ld)
{
    enum { WIDE = 64 };
#pragma omp parallel for if (rows * cols >= PARALLEL)
    for (int c0 = 0; c0 < cols; c0 += WIDE) {
        const int wide = (int)min64(WIDE, cols - c0);
        double sum[WIDE] = { 0 };
        for (int64_t r = 0; r < rows; r++) {
            const float *row = x + r * ld + c0;
#pragma omp simd
            for (int c = 0; c < wide; c++)
                sum[c] += (double)row[c] * (double)row[c];
        }
        for (int c = 0; c < wide; c++)
            out[c0 + c] = sum[c];
    }
}

void cpu_blend(float *y, const float *x, int64_t n, float a, float b)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        y[i] = madd(a, x[i], b * y[i]);
}

void cpu_to_bf16(uint16_t *out, const float *x, int64_t n)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++) {
        const uint32_t bits = simd_bits(x[i]), even = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        const uint32_t nan = bits >> 16 | (bits & 0x7f0000 ? 0 : 0x40);
        out[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? nan : even);
    }
}

void cpu_from_bf16(float *out, const uint16_t *x, int64_t n)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        out[i] = simd_from_bits(bf16_widen(x[i]));
}

void cpu_adamw(float *w, float *m, float *v, const float *g, int64_t n, float lr, float beta1, float beta2, float eps,
               float decay, int64_t step, float gscale)
{
    const float keep = 1.f - lr * decay;
    const float rate = (float)(lr / (1.0 - pow(beta1, (double)step)));
    const float unbias = (float)(1.0 / sqrt(1.0 - pow(beta2, (double)step)));
    const float new1 = 1.f - beta1, new2 = 1.f - beta2;
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++) {
        const float d = g[i] * gscale, m1 = madd(beta1, m[i], new1 * d), v1 = madd(beta2, v[i], new2 * d * d);
        m[i] = m1;
        v[i] = v1;
        w[i] = madd(w[i], keep, -rate * m1 / madd(sqrtf(v1), unbias, eps));
    }
}
