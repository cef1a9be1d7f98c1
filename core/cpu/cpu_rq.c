/* cpu_rq.c -- residual quantization: the nearest code, and the nearest codes of a code, exactly */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"
#include "core/prof.h"

#include <float.h>
#include <omp.h>
#include <string.h>

enum { ROWS = 256, CODES = 128 };       /* a tile of products: 128 KiB on the stack */
enum { NEAR_ROWS = 128, NEAR_MOST = 32 };

/* Codes that started again may be equal, and must be equally far: one function, which the compiler does not vectorise anew in each
   place where it is called. */
static __attribute__((noinline)) double distance(const float *x, const float *e, int C)
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

/* near[r,j] = 2 x_r.e_j - |e_j|^2 (search) of a tile; returns the largest |e_j|^2. */
static double products(float *near, const float *x, const float *e, int rows, int wide, int C)
{
    float square_e[CODES];
    double most = 0;
    for (int j = 0; j < wide; j++) {
        const double s = square(e + (int64_t)j * C, C);
        square_e[j] = (float)s;
        most = s > most ? s : most;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, wide, C, 2, x, C, e, C, 0, near, CODES);
    for (int r = 0; r < rows; r++) {
        float *row = near + r * CODES;
#pragma omp simd
        for (int j = 0; j < wide; j++)
            row[j] -= square_e[j];
    }
    return most;
}

/* A dot product of length C errs by C u |x| |e| at most, u = FLT_EPSILON / 2; doubled for the rest. */
static double slack_of(double square_x, double most, int C)
{
    return (C + 8) * (double)FLT_EPSILON * (2 * sqrt(square_x * most) + most);
}

static void nearest_rows(int32_t *code, float *dist, const float *x, const float *e, int rows, int C, int S)
{
    float near[ROWS * CODES];
    double least[ROWS], square_x[ROWS];
    for (int r = 0; r < rows; r++) {
        code[r] = 0;
        least[r] = distance(x + (int64_t)r * C, e, C);
        square_x[r] = square(x + (int64_t)r * C, C);
    }
    for (int j0 = 0; j0 < S; j0 += CODES) {
        const int wide = (int)min64(CODES, S - j0);
        const double most = products(near, x, e + (int64_t)j0 * C, rows, wide, C);
        for (int r = 0; r < rows; r++)
            search(code + r, least + r, x + (int64_t)r * C, e, near + r * CODES, square_x[r],
                   slack_of(square_x[r], most, C), j0, wide, C);
    }
    for (int r = 0; dist && r < rows; r++)
        dist[r] = isnan(least[r]) ? INFINITY : (float)least[r];
}

/* How many rows of N a task has: fewer than `most` where there would be threads without one.  Answers are exact, whatever the tiles. */
static int rows_of(int64_t N, int most)
{
    enum { LEAST = 32 };
    return (int)max64(LEAST, min64(most, ceil_div(N, (int64_t)LEAST * omp_get_max_threads()) * LEAST));
}

/* The nearest of each leaf's nearest, by their distances as floats. */
static void nearest_of_leaves(int32_t *code, float *dist, const float *x, const float *e, int rows, int C, int S, int leaves)
{
    const int each = S / leaves;
    int32_t here[ROWS];
    float far[ROWS], least[ROWS];
    for (int k = 0; k < leaves; k++) {
        nearest_rows(here, far, x, e + (int64_t)k * each * C, rows, C, each);
        for (int r = 0; r < rows; r++)
            if (k == 0 || far[r] < least[r]) {
                least[r] = far[r];
                code[r] = k * each + here[r];
            }
    }
    if (dist)
        memcpy(dist, least, (size_t)rows * sizeof *dist);
}

void cpu_nearest(int32_t *code, float *dist, const float *x, const float *e, int64_t N, int C, int S, int leaves)
{
    prof_gemm(N, S, C);
    const int rows = rows_of(N, ROWS), threads = blas_alone_start();
    ASSERT(leaves <= 1 || S % leaves == 0);
#pragma omp parallel for num_threads(threads) if (N > rows)
    for (int64_t n = 0; n < N; n += rows) {
        float *far = dist ? dist + n : NULL;
        const int some = (int)min64(rows, N - n);
        if (leaves > 1)
            nearest_of_leaves(code + n, far, x + n * C, e, some, C, S, leaves);
        else
            nearest_rows(code + n, far, x + n * C, e, some, C, S);
    }
    blas_alone_end(threads);
}

/* Codes [j0, j0 + wide) for code s: those that may be nearer than the m-th so far are compared in double, as in search. */
static void search_m(int32_t *id, double *exact, const float *e, const float *near, double square_s, double slack, int s,
                     int j0, int wide, int C, int m)
{
    for (int j = 0; j < wide; j++) {
        if (j0 + j == s || near[j] < square_s - exact[m - 1] - slack)
            continue;
        const double d = distance(e + (int64_t)s * C, e + (int64_t)(j0 + j) * C, C);
        if (!(d < exact[m - 1]))
            continue;
        int at = m - 1;
        for (; at > 1 && d < exact[at - 1]; at--)
            exact[at] = exact[at - 1], id[at] = id[at - 1];
        exact[at] = d, id[at] = j0 + j;
    }
}

/* Rows [s0, s0 + rows) of a codebook; the first place is the code's own. */
static void nearest_m_rows(int32_t *id, float *d, const float *e, int s0, int rows, int S, int C, int m)
{
    float near[NEAR_ROWS * CODES];
    double exact[NEAR_ROWS][NEAR_MOST], square_s[NEAR_ROWS];
    for (int r = 0; r < rows; r++) {
        square_s[r] = square(e + (int64_t)(s0 + r) * C, C);
        for (int i = 0; i < m; i++)
            exact[r][i] = i ? INFINITY : 0, id[(int64_t)r * m + i] = s0 + r;
    }
    for (int j0 = 0; j0 < S && m > 1; j0 += CODES) {
        const int wide = (int)min64(CODES, S - j0);
        const double most = products(near, e + (int64_t)s0 * C, e + (int64_t)j0 * C, rows, wide, C);
        for (int r = 0; r < rows; r++)
            search_m(id + (int64_t)r * m, exact[r], e, near + r * CODES, square_s[r], slack_of(square_s[r], most, C), s0 + r,
                     j0, wide, C, m);
    }
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < m; i++)
            d[(int64_t)r * m + i] = (float)exact[r][i];
}

void cpu_nearest_m(int32_t *id, float *d, const float *e, int S, int C, int m)
{
    ASSERT(m <= NEAR_MOST);
    prof_gemm(S, S, C);
    const int rows = rows_of(S, NEAR_ROWS), threads = blas_alone_start();
#pragma omp parallel for num_threads(threads) if (S > rows)
    for (int s = 0; s < S; s += rows)
        nearest_m_rows(id + (int64_t)s * m, d + (int64_t)s * m, e, s, (int)min64(rows, S - s), S, C, m);
    blas_alone_end(threads);
}

void cpu_residual(float *x, const float *e, const int32_t *code, int64_t N, int C, int S)
{
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        float *row = x + n * C;
        if (code[n] < 0 || code[n] >= S) {
            memset(row, 0, (size_t)C * sizeof *row);
            continue;
        }
        const float *from = e + (int64_t)code[n] * C;
#pragma omp simd
        for (int c = 0; c < C; c++)
            row[c] -= from[c];
    }
}

void cpu_code_stats(float *count, float *sum, const float *x, const int32_t *code, int64_t N, int C, int S)
{
    const int share = (int)(16 * ceil_div(S, 16 * omp_get_max_threads()));
#pragma omp parallel for if (N >= PARALLEL)
    for (int c0 = 0; c0 < S; c0 += share) {
        const int c1 = (int)min64(S, c0 + share);
        for (int64_t n = 0; n < N; n++)
            if (code[n] >= c0 && code[n] < c1)
                count[code[n]] += 1;
    }
    cpu_embed_bwd(sum, x, code, N, C, S);
}
