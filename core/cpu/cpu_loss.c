/* cpu_loss.c -- the three passes of the vocabulary-parallel cross-entropy */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"
#include "core/join.h"

void cpu_xent_max(float *max, const float *z, int64_t N, int Vl)
{
#pragma omp parallel for if (N * Vl >= PARALLEL)
    for (int64_t n = 0; n < N; n++)
        max[n] = simd_max(z + n * Vl, Vl);
}

/* sum_v exp(row[v] - m): float sums over BLOCK columns, double sums over blocks.  Compiled once: one order for each number of columns. */
static __attribute__((noinline)) float exponentials(const float *row, float m, int V)
{
    enum { BLOCK = 512 };
    double total = 0;
    for (int b = 0; b < V; b += BLOCK) {
        const int end = (int)min64(V, b + BLOCK);
        float s = 0;
#pragma omp simd reduction(+ : s)
        for (int v = b; v < end; v++)
            s += simd_exp(row[v] - m);
        total += s;
    }
    return (float)total;
}

void cpu_xent_sum(float *sum, float *target, const float *z, const float *max, const int32_t *y, int64_t N, int Vl, int v0, int leaves)
{
    const int parts = leaves > 1 ? leaves : 1, wide = Vl / parts;
    ASSERT(parts <= MAX_LEAVES && Vl % parts == 0);
#pragma omp parallel for if (N * Vl >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        const float *row = z + n * Vl;
        float part[MAX_LEAVES];
        for (int k = 0; k < parts; k++)
            part[k] = exponentials(row + k * wide, max[n], wide);
        sum[n] = join_f32(part, parts);
        target[n] = y[n] >= v0 && y[n] < v0 + Vl ? row[y[n] - v0] : 0.f;
    }
}

void cpu_xent_bwd(float *z, const float *max, const float *sum, const int32_t *y, int64_t N, int Vl, int v0, float scale)
{
#pragma omp parallel for if (N * Vl >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        float *row = z + n * Vl;
        const float m = max[n], factor = scale / sum[n];
#pragma omp simd
        for (int v = 0; v < Vl; v++)
            row[v] = simd_exp(row[v] - m) * factor;
        if (y && y[n] >= v0 && y[n] < v0 + Vl)
            row[y[n] - v0] -= scale;
    }
}

void cpu_xent_loss(double *loss, const float *max, const float *sum, const float *target, int64_t N)
{
    *loss = 0;
    for (int64_t n = 0; n < N; n++)
        *loss += (double)max[n] + log((double)sum[n]) - (double)target[n];
}
