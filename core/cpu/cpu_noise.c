/* cpu_noise.c -- noise by seed and key, its mixture with clean rows, mean squared error */
#include "core/cpu/cpu.h"

#include "core/rng.h"

enum { COSTLY = PARALLEL / 16 };        /* a normal number costs as much as many elements of a copy */

void cpu_fill(float *x, int64_t n, float value)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        x[i] = value;
}

/* The bits of the reference: what noise a seed gives must not depend on the backend. */
void cpu_noise(float *out, const uint64_t *stream, const int64_t *key, int64_t N, int C, uint64_t seed)
{
#pragma omp parallel for if (N * C >= COSTLY)
    for (int64_t n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            out[n * C + c] = (float)rng_normal(seed, stream[n], (uint64_t)key[n] * (uint64_t)C + (uint64_t)c);
}

void cpu_noise_mix(float *out, const float *x, const float *noise, const int32_t *row, const double *kept, int64_t N, int C)
{
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        const float a = (float)sqrt(kept[n]), b = (float)sqrt(1 - kept[n]);
        const float *clean = x + (int64_t)row[n] * C, *dirt = noise + n * C;
        float *to = out + n * C;
#pragma omp simd
        for (int c = 0; c < C; c++)
            to[c] = a * clean[c] + b * dirt[c];
    }
}

/* The range is cut into pieces by its length alone, so the order of summation does not depend on the threads. */
void cpu_mse(double *loss, float *dx, const float *x, const float *want, int64_t N, int C, float scale)
{
    enum { PIECES = 256 };
    double part[PIECES] = { 0 };
    const int64_t n = N * C, piece = max64(4096, ceil_div(n, PIECES)), pieces = ceil_div(n, piece);
    const float slope = 2.f * scale / (float)C;
#pragma omp parallel for if (n >= PARALLEL)
    for (int64_t p = 0; p < pieces; p++) {
        const int64_t end = min64(n, (p + 1) * piece);
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = p * piece; i < end; i++) {
            const double off = (double)x[i] - (double)want[i];
            sum += off * off;
        }
        part[p] = sum;
#pragma omp simd
        for (int64_t i = dx ? p * piece : end; i < end; i++)           /* dx may be x: after the sum */
            dx[i] = (x[i] - want[i]) * slope;
    }
    double sum = 0;
    for (int64_t p = 0; p < pieces; p++)
        sum += part[p];
    *loss = sum / C;
}
