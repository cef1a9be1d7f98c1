/* cpu_rows.c -- ops that pick rows, turn them by their position or cut them from pictures */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"

#include <limits.h>
#include <omp.h>

static inline void row_copy(float *to, const float *from, int C) { memcpy(to, from, (size_t)C * sizeof *to); }

/* to[at[i]] += from[i] in the order of i, whatever the threads: each takes some columns of all rows.
   Indices outside [0, rows) are skipped; to may be NULL, a gradient nobody wants. */
static void rows_add(float *to, const float *from, const int32_t *at, int64_t n, int C, int rows)
{
    if (!to)
        return;
    const int wide = (int)(16 * ceil_div(C, 16 * omp_get_max_threads()));
#pragma omp parallel for if (n * C >= PARALLEL)
    for (int c0 = 0; c0 < C; c0 += wide) {
        const int c1 = (int)min64(C, c0 + wide);
        for (int64_t i = 0; i < n; i++) {
            if (at[i] < 0 || at[i] >= rows)
                continue;
            float *row = to + (int64_t)at[i] * C;
            const float *in = from + i * C;
#pragma omp simd
            for (int c = c0; c < c1; c++)
                row[c] += in[c];
        }
    }
}

void cpu_add_rows_fwd(float *x, const float *w, const int32_t *pos, int64_t N, int C)
{
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++) {
        float *row = x + n * C;
        const float *in = w + (int64_t)pos[n] * C;
#pragma omp simd
        for (int c = 0; c < C; c++)
            row[c] += in[c];
    }
}

void cpu_add_rows_bwd(float *dw, const float *dout, const int32_t *pos, int64_t N, int C)
{
    rows_add(dw, dout, pos, N, C, INT_MAX);
}

void cpu_embed_fwd(float *out, const float *table, const int32_t *id, int64_t N, int C, int rows)
{
#pragma omp parallel for if (N * C >= PARALLEL)
    for (int64_t n = 0; n < N; n++)
        if (id[n] >= 0 && id[n] < rows)
            row_copy(out + n * C, table + (int64_t)id[n] * C, C);
        else
            memset(out + n * C, 0, (size_t)C * sizeof *out);
}

void cpu_embed_bwd(float *dtable, const float *dout, const int32_t *id, int64_t N, int C, int rows)
{
    rows_add(dtable, dout, id, N, C, rows);
}

void cpu_gather(float *out, const float *x, const int32_t *row, int64_t n, int C)
{
#pragma omp parallel for if (n * C >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        row_copy(out + i * C, x + (int64_t)row[i] * C, C);
}

/* Not in parallel: of two equal indices the last must win. */
void cpu_scatter(float *x, const float *in, const int32_t *row, int64_t n, int C)
{
    for (int64_t i = 0; i < n; i++)
        row_copy(x + (int64_t)row[i] * C, in + i * C, C);
}

void cpu_scatter_add(float *x, const float *in, const int32_t *row, int64_t n, int C)
{
    rows_add(x, in, row, n, C, INT_MAX);
}

/* sine and cosine once per row, then all heads of the row; CHUNK pairs at a time. */
void cpu_rope(float *x, const int32_t *pos, int64_t N, int H, int D, float theta, int sign)
{
    enum { CHUNK = 128 };
    const int half = D / 2;
    const double two_pi = 6.283185307179586;
    for (int d0 = 0; d0 < half; d0 += CHUNK) {
        const int wide = (int)min64(CHUNK, half - d0);
        double turns[CHUNK];                            /* per unit of position */
        for (int d = 0; d < wide; d++)
            turns[d] = sign * pow(theta, -2.0 * (d0 + d) / D) / two_pi;
#pragma omp parallel for if (N * H * D >= PARALLEL)
        for (int64_t n = 0; n < N; n++) {
            float s[CHUNK], c[CHUNK];
            const double at = pos[n];
#pragma omp simd
            for (int d = 0; d < wide; d++)
                simd_turn(s + d, c + d, at * turns[d]);
            for (int h = 0; h < H; h++) {
                float *a = x + (n * H + h) * D + d0, *b = a + half;
#pragma omp simd
                for (int d = 0; d < wide; d++) {
                    const float first = a[d], second = b[d];
                    a[d] = first * c[d] - second * s[d];
                    b[d] = second * c[d] + first * s[d];
                }
            }
        }
    }
}

void cpu_patches(float *out, const uint8_t *pixels, int I, int size, int patch)
{
    const int side = size / patch, square = patch * patch;
#pragma omp parallel for collapse(2) if ((int64_t)I * size * size >= PARALLEL)
    for (int i = 0; i < I; i++)
        for (int p = 0; p < side * side; p++) {
            const uint8_t *corner = pixels + (((int64_t)i * size + p / side * patch) * size + p % side * patch) * 3;
            float *to = out + ((int64_t)i * side * side + p) * 3 * square;
            for (int y = 0; y < patch; y++) {
                const uint8_t *from = corner + (int64_t)y * size * 3;
#pragma omp simd
                for (int j = 0; j < patch; j++) {
                    to[y * patch + j] = from[3 * j] / 127.5f - 1.f;
                    to[y * patch + j + square] = from[3 * j + 1] / 127.5f - 1.f;
                    to[y * patch + j + 2 * square] = from[3 * j + 2] / 127.5f - 1.f;
                }
            }
        }
}
