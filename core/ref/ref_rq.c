/* ref_rq.c -- residual quantization */
#include "core/prof.h"
#include "core/ref/ref.h"

static double distance(const float *x, const float *e, int C)
{
    double s = 0;
    for (int c = 0; c < C; c++)
        s += ((double)x[c] - e[c]) * ((double)x[c] - e[c]);
    return s;
}

void ref_nearest(int32_t *code, const float *x, const float *e, int64_t N, int C, int S)
{
    prof_gemm(N, S, C);
    for (int64_t n = 0; n < N; n++) {
        double least = distance(x + n * C, e, C);
        code[n] = 0;
        for (int j = 1; j < S; j++) {
            double d = distance(x + n * C, e + (int64_t)j * C, C);
            if (d < least)
                least = d, code[n] = j;
        }
    }
}

void ref_residual(float *x, const float *e, const int32_t *code, int64_t N, int C)
{
    for (int64_t n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            x[n * C + c] -= e[(int64_t)code[n] * C + c];
}

void ref_code_stats(float *count, float *sum, const float *x, const int32_t *code, int64_t N, int C)
{
    for (int64_t n = 0; n < N; n++)
        count[code[n]] += 1;
    ref_scatter_add(sum, x, code, N, C);
}

void ref_code_update(float *e, float *count, float *sum, const float *n, const float *m, int S, int C, float decay, float eps)
{
    double d = decay, total = 0;
    for (int s = 0; s < S; s++) {
        count[s] = (float)(d * count[s] + (1 - d) * n[s]);
        total += count[s];
    }
    if (total == 0)                 /* no step has met a vector yet */
        return;
    for (int s = 0; s < S; s++) {
        double smooth = total * ((double)count[s] + eps) / (total + (double)S * eps);
        for (int64_t i = (int64_t)s * C; i < (int64_t)(s + 1) * C; i++) {
            sum[i] = (float)(d * sum[i] + (1 - d) * m[i]);
            e[i] = (float)(sum[i] / smooth);
        }
    }
}
