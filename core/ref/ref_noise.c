/* ref_noise.c -- constants, noise by seed and key, its mixture with clean rows, mean squared error */
#include "core/ref/ref.h"

#include <math.h>

#include "core/rng.h"

void ref_fill(float *x, int64_t n, float value)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = value;
}

void ref_noise(float *out, const uint64_t *stream, const int64_t *key, int64_t N, int C, uint64_t seed)
{
    for (int64_t n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            out[n * C + c] = (float)rng_normal(seed, stream[n], (uint64_t)key[n] * (uint64_t)C + (uint64_t)c);
}

void ref_noise_mix(float *out, const float *x, const float *noise, const int32_t *row, const double *kept, int64_t N, int C)
{
    for (int64_t n = 0; n < N; n++) {
        double a = sqrt(kept[n]), b = sqrt(1 - kept[n]);
        for (int c = 0; c < C; c++)
            out[n * C + c] = (float)(a * x[(int64_t)row[n] * C + c] + b * noise[n * C + c]);
    }
}

void ref_mse(double *loss, float *dx, const float *x, const float *want, int64_t N, int C, float scale)
{
    double sum = 0;
    for (int64_t i = 0; i < N * C; i++) {
        double off = (double)x[i] - want[i];
        sum += off * off;
        if (dx)
            dx[i] = (float)(2 * off / C * scale);
    }
    *loss = sum / C;
}
