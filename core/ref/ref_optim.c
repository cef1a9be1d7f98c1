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

/* Squares have 48 bits: multiples of a unit that 256 of them add up without rounding, and the rest, twice. */
static void split_squares(double out[3], const float *x, int64_t n)
{
    float most = 0;     /* not a double: gcc 12 for arm64 ends with an internal error at such a maximum of floats */
    for (int64_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    const double unit = most > 0 && most < INFINITY ? ldexp(1, 2 * ilogbf(most) - 42) : 1;
    out[0] = out[1] = out[2] = 0;
    for (int64_t i = 0; i < n; i++) {
        const double square = (double)x[i] * x[i], high = nearbyint(square / unit) * unit, rest = square - high;
        const double middle = nearbyint(rest / unit * 0x1p42) * (unit * 0x1p-42);
        out[0] += high;
        out[1] += middle;
        out[2] += rest - middle;
    }
}

void ref_sumsq_blocks(double *out, const float *x, int64_t n, int block, int first, bool split)
{
    for (int64_t at = 0, size = first; at < n; at += size, size = block)
        if (split)
            split_squares(out, x + at, min64(size, n - at)), out += 3;
        else
            ref_sumsq(out++, x + at, min64(size, n - at));
}

void ref_sum_tree(float *out, float *const *x, const Addition *add, int additions, int64_t n)
{
    for (int k = 0; k < additions; k++)
        for (int64_t i = 0; i < n; i++)
            x[add[k].to][i] += x[add[k].from][i];
    memmove(out, x[0], (size_t)n * sizeof *out);
}

void ref_fixed_add(int64_t *out, const int64_t *sum, const float *x, int64_t n, float limit)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t had = sum ? sum[i] : 0;
        const bool lost = had == FIXED_LOST || !(fabsf(x[i]) < limit);
        out[i] = lost ? FIXED_LOST : had + llrint(ldexp(x[i], FIXED_BITS));
    }
}

void ref_fixed_join(int64_t *out, const int64_t *a, const int64_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = a[i] == FIXED_LOST || b[i] == FIXED_LOST ? FIXED_LOST : a[i] + b[i];
}

void ref_fixed_round(float *out, const int64_t *sum, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = sum[i] == FIXED_LOST ? NAN : ldexpf((float)sum[i], -FIXED_BITS);
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
