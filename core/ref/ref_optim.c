/* ref_optim.c -- what optimizer and reduction do with flat ranges */
#include "core/half.h"
#include "core/ref/ref.h"

#include <math.h>
#include <string.h>

void ref_sumsq(double *out, const float *x, int64_t n)
{
    *out = 0;
    for (int64_t i = 0; i < n; i++)
        *out += (double)x[i] * x[i];
}

void ref_sumsq_columns(double *out, const float *x, int64_t rows, int cols, int ld)
{
    for (int c = 0; c < cols; c++) {
        out[c] = 0;
        for (int64_t r = 0; r < rows; r++)
            out[c] += (double)x[r * ld + c] * x[r * ld + c];
    }
}

void ref_blend(float *y, const float *x, int64_t n, float a, float b)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)((double)a * x[i] + (double)b * y[i]);
}

void ref_to_bf16(uint16_t *out, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        out[i] = bf16_narrow(bits);
    }
}

void ref_from_bf16(float *out, const uint16_t *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const uint32_t bits = bf16_widen(x[i]);
        memcpy(out + i, &bits, sizeof bits);
    }
}

void ref_adamw(float *w, float *m, float *v, const float *g, int64_t n, float lr, float beta1, float beta2, float eps,
               float decay, int64_t step, float gscale)
{
    double b1 = beta1, b2 = beta2, unbias1 = 1 - pow(b1, (double)step), unbias2 = 1 - pow(b2, (double)step);
    for (int64_t i = 0; i < n; i++) {
        double gi = (double)g[i] * gscale;
        m[i] = (float)(b1 * m[i] + (1 - b1) * gi);
        v[i] = (float)(b2 * v[i] + (1 - b2) * gi * gi);
        double kept = w[i] - (double)lr * decay * w[i];
        w[i] = (float)(kept - lr * (m[i] / unbias1) / (sqrt(v[i] / unbias2) + eps));
    }
}
