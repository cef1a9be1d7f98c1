/* cpu_rq.c -- residual quantization: the nearest code, exactly */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"
#include "core/prof.h"

#include <float.h>

enum { ROWS = 256, CODES = 128 };       /* a tile of products: 128 KiB on the stack */

static double distance(const float *x, const float *e, int C)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int c = 0; c < C; c++)
        sum += ((double)x[c] - (double)e[c]) * ((double)x[c] - (double)e[c]);
    return sum;
}

static double square(const float *x, int C)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int c = 0; c < C; c++)
        sum += (double)x[c] * (double)x[c];
    return sum;
}

/* Codes [j0, j0 + wide) for one row.  near[j] = 2 x.e_j - |e_j|^2 is |x|^2 - |x - e_j|^2 up to `slack`; it narrows the
   search, and the few codes it cannot tell apart are compared in double.  So the answer is that of the reference. */
static void search(int32_t *code, double *least, const float *x, const float *e, const float *near, double square_x,
                   double slack, int j0, int wide, int C)
{
    const double nearest = simd_max(near, wide), limit = nearest - 2 * slack;
    if (nearest < square_x - *least - slack)
        return;
    for (int j = 0; j < wide; j++)
        if (near[j] >= limit) {
            const double d = distance(x, e + (int64_t)(j0 + j) * C, C);
            if (d < *least) {
                *least = d;
                *code = j0 + j;
            }
        }
}

static void nearest_rows(int32_t *code, const float *x, const float *e, int rows, int C, int S)
{
    float near[ROWS * CODES], square_e[CODES];
    double least[ROWS], square_x[ROWS];
    for (int r = 0; r < rows; r++) {
        code[r] = 0;
        least[r] = distance(x + (int64_t)r * C, e, C);
        square_x[r] = square(x + (int64_t)r * C, C);
    }
    for (int j0 = 0; j0 < S; j0 += CODES) {
        const int wide = (int)min64(CODES, S - j0);
        double most = 0;
        for (int j = 0; j < wide; j++) {
            const double s = square(e + (int64_t)(j0 + j) * C, C);
            square_e[j] = (float)s;
            most = s > most ? s : most;
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, wide, C, 2, x, C, e + (int64_t)j0 * C, C, 0, near, CODES);
        for (int r = 0; r < rows; r++) {
            float *row = near + r * CODES;
#pragma omp simd
            for (int j = 0; j < wide; j++)
                row[j] -= square_e[j];
            /* A dot product of length C errs by C u |x| |e| at most, u = FLT_EPSILON / 2; doubled for the rest. */
            const double slack = (C + 8) * (double)FLT_EPSILON * (2 * sqrt(square_x[r] * most) + most);
            search(code + r, least + r, x + (int64_t)r * C, e, row, square_x[r], slack, j0, wide, C);
        }
    }
}

void cpu_nearest(int32_t *code, const float *x, const float *e, int64_t N, int C, int S)
{
    prof_gemm(N, S, C);
    const int threads = blas_alone_start();
#pragma omp parallel for if (N > ROWS)
    for (int64_t n = 0; n < N; n += ROWS)
        nearest_rows(code + n, x + n * C, e, (int)min64(ROWS, N - n), C, S);
    blas_alone_end(threads);
}

void cpu_residual(float *x, const float *e, const int32_t *code, int64_t N, int C)
{
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        float *row = x + n * C;
        const float *from = e + (int64_t)code[n] * C;
#pragma omp simd
        for (int c = 0; c < C; c++)
            row[c] -= from[c];
    }
}

void cpu_code_stats(float *count, float *sum, const float *x, const int32_t *code, int64_t N, int C)
{
    for (int64_t n = 0; n < N; n++)
        count[code[n]] += 1;
    cpu_scatter_add(sum, x, code, N, C);
}
