/* cpu_optim.c -- passes of optimizer and reduction over flat ranges */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"

/* Four quarters at a time, since memory gives several streams faster than one; sixteen sums in each, where with fewer an addition would
   wait for the one before. */
static double squares(const float *x, int64_t n)
{
    enum { STREAMS = 4, SUMS = 16 };
    const int64_t quarter = n / STREAMS / SUMS * SUMS;
    double sum[STREAMS][SUMS] = { { 0 } }, all = 0;
    for (int64_t i = 0; i < quarter; i += SUMS)
        for (int k = 0; k < STREAMS; k++) {
            const float *from = x + k * quarter + i;
#pragma omp simd
            for (int l = 0; l < SUMS; l++)
                sum[k][l] += (double)from[l] * (double)from[l];
        }
    for (int64_t i = STREAMS * quarter; i < n; i++)
        sum[i % STREAMS][i / STREAMS % SUMS] += (double)x[i] * (double)x[i];
    for (int k = 0; k < STREAMS; k++)
        for (int l = 0; l < SUMS; l++)
            all += sum[k][l];
    return all;
}

/* The range is cut into pieces by its length alone, so the order of summation does not depend on the threads. */
void cpu_sumsq(double *out, const float *x, int64_t n)
{
    enum { PIECES = 256, LEAST = 4096 };
    if (n <= LEAST) {
        *out = squares(x, n);
        return;
    }
    double part[PIECES];
    const int64_t piece = max64(LEAST, ceil_div(n, PIECES)), pieces = ceil_div(n, piece);
#pragma omp parallel for if (n >= PARALLEL)
    for (int64_t p = 0; p < pieces; p++)
        part[p] = squares(x + p * piece, min64(n, (p + 1) * piece) - p * piece);
    double sum = 0;
    for (int64_t p = 0; p < pieces; p++)
        sum += part[p];
    *out = sum;
}

void cpu_blend(float *y, const float *x, int64_t n, float a, float b)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        y[i] = madd(a, x[i], b * y[i]);
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
