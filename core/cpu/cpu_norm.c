/* cpu_norm.c -- normalisations; a row stays in the first cache from its statistics to its result */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"

#include <string.h>

enum { WIDE = 64, DEEP = 64 };          /* columns and rows of a block of the weight gradients */

static inline float dot(const float *a, const float *b, int C)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int c = 0; c < C; c++)
        sum += a[c] * b[c];
    return sum;
}

static inline float rmsnorm_row(float *out, const float *x, const float *w, int C, float eps)
{
    const float r = 1.f / sqrtf(dot(x, x, C) / (float)C + eps);
#pragma omp simd
    for (int c = 0; c < C; c++)
        out[c] = x[c] * r * w[c];
    return r;
}

static inline void add_row(float *sum, const float *a, const float *b, int C)
{
#pragma omp simd
    for (int c = 0; c < C; c++)
        sum[c] = a[c] + b[c];
}

void cpu_rmsnorm_fwd(float *out, float *rstd, const float *x, const float *w, int64_t N, int C, float eps)
{
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++)
        rstd[n] = rmsnorm_row(out + n * C, x + n * C, w, C, eps);
}

void cpu_add_rmsnorm_fwd(float *sum, float *out, float *rstd, const float *a, const float *b, const float *w, int64_t N, int C, float eps)
{
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        add_row(sum + n * C, a + n * C, b + n * C, C);
        rstd[n] = rmsnorm_row(out + n * C, sum + n * C, w, C, eps);
    }
}

/* Of the rows of all heads those of heads [first, first + n): row i of theirs among all. */
typedef struct { int all, first, n; } Heads;
static const Heads ONE = { 1, 0, 1 };
static inline int64_t row_of(int64_t i, Heads h) { return h.n == h.all ? i : i / h.n * h.all + h.first + i % h.n; }

/* Of the leaves of WIDE columns. */
typedef struct { float w[MAX_LEAVES][WIDE], b[MAX_LEAVES][WIDE]; } Leaves;

static void join(float x[][WIDE], int leaves)
{
    for (int step = 1; step < leaves; step *= 2)
        for (int i = 0; i + step < leaves; i += 2 * step)
            for (int c = 0; c < WIDE; c++)
                x[i][c] += x[i + step][c];
}

/* dw[c] += sum_n dout[n,c] (x[n,c] - mean[n]) rstd[n], db[c] += sum_n dout[n,c], over N rows of some heads; without mean it is 0.
   A block of columns belongs to one thread and sums its rows in one order: leaf by leaf, DEEP of them at a time. */
static void weight_gradients(float *dw, float *db, const float *dout, const float *x, const float *mean,
                             const float *rstd, int64_t N, int C, Heads some, int64_t leaf)
{
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int c0 = 0; c0 < C; c0 += WIDE) {
        const int wide = (int)min64(WIDE, C - c0);
        const int64_t each = leaf ? leaf : N;
        Leaves sum;
        int k = -1;
        for (int64_t n0 = 0, n1; n0 < N; n0 = n1) {
            n1 = min64(min64(N, (n0 / each + 1) * each), n0 + DEEP);
            float w[WIDE] = { 0 }, b[WIDE] = { 0 };
            if (n0 % each == 0) {
                ASSERT(k + 1 < MAX_LEAVES);
                memset(sum.w[++k], 0, sizeof w);
                memset(sum.b[k], 0, sizeof b);
            }
            for (int64_t i = n0; i < n1; i++) {
                const int64_t n = row_of(i, some);
                const float *d = dout + n * C + c0, *row = x + n * C + c0;
                const float m = mean ? mean[n] : 0, r = rstd[n];
#pragma omp simd
                for (int c = 0; c < wide; c++) {
                    w[c] = madd(d[c], (row[c] - m) * r, w[c]);
                    b[c] += d[c];
                }
            }
            for (int c = 0; c < WIDE; c++) {
                sum.w[k][c] += w[c];
                sum.b[k][c] += b[c];
            }
        }
        join(sum.w, k + 1);
        join(sum.b, k + 1);
        for (int c = 0; dw && c < wide && k >= 0; c++)
            dw[c0 + c] += sum.w[0][c];
        for (int c = 0; db && c < wide && k >= 0; c++)
            db[c0 + c] += sum.b[0][c];
    }
}

void cpu_rmsnorm_bwd(float *dx, float *dw, const float *dout, const float *x, const float *rstd, const float *w, int64_t N, int C,
                     int64_t leaf, bool add)
{
    if (dw)
        weight_gradients(dw, NULL, dout, x, NULL, rstd, N, C, ONE, leaf);
    if (!dx)
        return;
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        const float *d = dout + n * C, *row = x + n * C;
        const float r = rstd[n];
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int c = 0; c < C; c++)
            sum += d[c] * w[c] * row[c];
        const float along = sum * r * r / (float)C;
        float *to = dx + n * C;
#pragma omp simd
        for (int c = 0; c < C; c++)
            to[c] = (add ? to[c] : 0.f) + r * (d[c] * w[c] - row[c] * along);
    }
}

void cpu_rmsnorm_dw(float *dw, const float *dout, const float *x, const float *rstd, int64_t N, int H, int C, int groups)
{
    const int each = H / groups;
    ASSERT(H % groups == 0);
    for (int g = 0; g < groups; g++)
        weight_gradients(dw + (int64_t)g * C, NULL, dout, x, NULL, rstd, N * each, C, (Heads){ H, g * each, each }, 0);
}

/* Statistics: (mean, rstd). */
typedef struct { float mean, rstd; } Stats;

static inline Stats layernorm_row(float *out, const float *x, const float *w, const float *bias, int C, float eps)
{
    float sum = 0, square = 0;
#pragma omp simd reduction(+ : sum)
    for (int c = 0; c < C; c++)
        sum += x[c];
    const float m = sum / (float)C;
#pragma omp simd reduction(+ : square)
    for (int c = 0; c < C; c++)
        square += (x[c] - m) * (x[c] - m);
    const float r = 1.f / sqrtf(square / (float)C + eps);
#pragma omp simd
    for (int c = 0; c < C; c++)
        out[c] = madd((x[c] - m) * r, w[c], bias ? bias[c] : 0.f);
    return (Stats){ m, r };
}

void cpu_layernorm_fwd(float *out, float *mean, float *rstd, const float *x, const float *w, const float *bias, int64_t N, int C, float eps)
{
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        const Stats s = layernorm_row(out + n * C, x + n * C, w, bias, C, eps);
        mean[n] = s.mean, rstd[n] = s.rstd;
    }
}

void cpu_add_layernorm_fwd(float *sum, float *out, float *mean, float *rstd, const float *a, const float *b, const float *w,
                           const float *bias, int64_t N, int C, float eps)
{
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        add_row(sum + n * C, a + n * C, b + n * C, C);
        const Stats s = layernorm_row(out + n * C, sum + n * C, w, bias, C, eps);
        mean[n] = s.mean, rstd[n] = s.rstd;
    }
}

void cpu_layernorm_bwd(float *dx, float *dw, float *dbias, const float *dout, const float *x, const float *mean,
                       const float *rstd, const float *w, int64_t N, int C, int64_t leaf, bool add)
{
    if (dw || dbias)
        weight_gradients(dw, dbias, dout, x, mean, rstd, N, C, ONE, leaf);
    if (!dx)
        return;
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        const float *d = dout + n * C, *row = x + n * C;
        const float m = mean[n], r = rstd[n];
        float sum = 0, along = 0;
#pragma omp simd reduction(+ : sum, along)
        for (int c = 0; c < C; c++) {
            const float g = d[c] * w[c];
            sum += g;
            along += g * (row[c] - m);
        }
        sum /= (float)C;
        along *= r * r / (float)C;
        float *to = dx + n * C;
#pragma omp simd
        for (int c = 0; c < C; c++)
            to[c] = (add ? to[c] : 0.f) + r * (d[c] * w[c] - sum - (row[c] - m) * along);
    }
}

void cpu_l2norm_fwd(float *out, float *norm, const float *x, int64_t N, int C, float eps)
{
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        const float *row = x + n * C;
        const float length = sqrtf(dot(row, row, C)), inverse = 1.f / (length < eps ? eps : length);
        float *to = out + n * C;
#pragma omp simd
        for (int c = 0; c < C; c++)
            to[c] = row[c] * inverse;
        norm[n] = length;
    }
}

/* Where |x| < eps the divisor is the constant eps and nothing is projected out. */
void cpu_l2norm_bwd(float *dx, const float *dout, const float *out, const float *norm, int64_t N, int C, float eps)
{
    if (!dx)
        return;
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        const float *d = dout + n * C, *row = out + n * C;
        const float along = norm[n] < eps ? 0.f : dot(d, row, C), inverse = 1.f / (norm[n] < eps ? eps : norm[n]);
        float *to = dx + n * C;
#pragma omp simd
        for (int c = 0; c < C; c++)
            to[c] = (d[c] - row[c] * along) * inverse;
    }
}
