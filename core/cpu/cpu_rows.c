/* cpu_rows.c -- ops that pick rows, turn them by their position, cut them from pictures or average them */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"
#include "core/resize.h"

#include <limits.h>
#include <omp.h>

static inline void row_copy(float *to, const float *from, int C) { memcpy(to, from, (size_t)C * sizeof *to); }

/*
 * Rows that go to others, several to one perhaps: what is to happen to a row happens in the order of i, whatever the threads.  A task takes
 * some columns (whole lines and their neighbours', so that no two tasks share one) of the targets of one group.
 */
typedef struct { int wide, blocks, groups; } Share;

static Share share_out(int C)
{
    enum { LEAST = 64 };
    const int threads = omp_get_max_threads(), wide = (int)max64(LEAST, 16 * ceil_div(C, 16 * threads)), blocks = (int)ceil_div(C, wide);
    return (Share){ wide, blocks, (int)max64(1, threads / blocks) };
}

/* Neighbours are often equally busy: a multiplication mixes them. */
static bool of_group(int32_t row, int group, int groups)
{
    return groups == 1 || (int)((uint64_t)((uint32_t)row * 2654435761u) * (uint32_t)groups >> 32) == group;
}

/* to[at[i]] += from[i].  Indices outside [0, rows) are skipped; to may be NULL, a gradient nobody wants. */
static void rows_add(float *to, const float *from, const int32_t *at, int64_t n, int C, int rows)
{
    if (!to)
        return;
    const Share s = share_out(C);
#pragma omp parallel for schedule(dynamic) if (n * C >= PARALLEL)
    for (int task = 0; task < s.blocks * s.groups; task++) {
        const int c0 = task % s.blocks * s.wide, c1 = (int)min64(C, c0 + s.wide);
        for (int64_t i = 0; i < n; i++) {
            if (at[i] < 0 || at[i] >= rows || !of_group(at[i], task / s.blocks, s.groups))
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

/* Of two equal indices the last wins. */
void cpu_scatter(float *x, const float *in, const int32_t *row, int64_t n, int C)
{
    const Share s = share_out(C);
#pragma omp parallel for schedule(dynamic) if (n * C >= PARALLEL)
    for (int task = 0; task < s.blocks * s.groups; task++) {
        const int c0 = task % s.blocks * s.wide, wide = (int)min64(C, c0 + s.wide) - c0;
        for (int64_t i = 0; i < n; i++)
            if (of_group(row[i], task / s.blocks, s.groups))
                row_copy(x + (int64_t)row[i] * C + c0, in + i * C + c0, wide);
    }
}

void cpu_scatter_add(float *x, const float *in, const int32_t *row, int64_t n, int C)
{
    rows_add(x, in, row, n, C, INT_MAX);
}

/* sine and cosine once per row, then all heads of the row; CHUNK pairs at a time. */
void cpu_rope(float *x, const int32_t *pos, int64_t N, int H, int D, const double *freq, int sign)
{
    enum { CHUNK = 128 };
    const int half = D / 2;
    const double two_pi = 6.283185307179586;
    for (int d0 = 0; d0 < half; d0 += CHUNK) {
        const int wide = (int)min64(CHUNK, half - d0);
        double turns[CHUNK];                            /* per unit of position */
        for (int d = 0; d < wide; d++)
            turns[d] = sign * freq[d0 + d] / two_pi;
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

/* One patch of the picture as it is, from its corner; to (3, patch, patch). */
static void plain_patch(float *to, const uint8_t *corner, int size, int patch, const Colours *k)
{
    const int square = patch * patch;
    const float d0 = k->div[0], d1 = k->div[1], d2 = k->div[2], s0 = k->sub[0], s1 = k->sub[1], s2 = k->sub[2];
    for (int y = 0; y < patch; y++) {
        const uint8_t *from = corner + (int64_t)y * size * 3;
#pragma omp simd
        for (int j = 0; j < patch; j++) {
            to[y * patch + j] = from[3 * j] / d0 - s0;
            to[y * patch + j + square] = from[3 * j + 1] / d1 - s1;
            to[y * patch + j + 2 * square] = from[3 * j + 2] / d2 - s2;
        }
    }
}

/* One patch of the resized picture, (y0, x0) is its corner there; CHUNK columns at a time, whose taps serve all rows. */
static void resized_patch(float *to, const uint8_t *picture, int size, int scaled, int patch, int y0, int x0, int kind,
                          const Colours *k)
{
    enum { CHUNK = 16 };
    for (int first = 0; first < patch; first += CHUNK) {
        const int wide = (int)min64(CHUNK, patch - first);
        int at[CHUNK][4];
        float w[CHUNK][4];
        for (int x = 0; x < wide; x++) {
            const Taps h = resize_taps(x0 + first + x, size, scaled, kind);
            for (int i = 0; i < 4; i++)
                at[x][i] = 3 * h.at[i], w[x][i] = (float)h.w[i];
        }
        for (int y = 0; y < patch; y++) {
            const Taps v = resize_taps(y0 + y, size, scaled, kind);
            float sum[CHUNK][3] = { { 0 } };
            for (int j = 0; j < 4; j++) {
                const uint8_t *line = picture + (int64_t)v.at[j] * size * 3;
                const float down = (float)v.w[j];
                for (int x = 0; down != 0 && x < wide; x++)
                    for (int c = 0; c < 3; c++)
                        sum[x][c] += down * (w[x][0] * line[at[x][0] + c] + w[x][1] * line[at[x][1] + c] +
                                             w[x][2] * line[at[x][2] + c] + w[x][3] * line[at[x][3] + c]);
            }
            for (int c = 0; c < 3; c++)
                for (int x = 0; x < wide; x++)
                    to[(c * patch + y) * patch + first + x] = sum[x][c] / k->div[c] - k->sub[c];
        }
    }
}

void cpu_patches(float *out, const uint8_t *pixels, int tile0, int tiles, int size, int scaled, int tile, int patch, int kind,
                 const Colours *colours)
{
    const int s = scaled / tile, side = tile / patch;
#pragma omp parallel for collapse(2) if ((int64_t)tiles * tile * tile >= PARALLEL)
    for (int k = 0; k < tiles; k++)
        for (int p = 0; p < side * side; p++) {
            const int in = (tile0 + k) % (s * s);
            const int y = in / s * tile + p / side * patch, x = in % s * tile + p % side * patch;
            const uint8_t *picture = pixels + (int64_t)((tile0 + k) / (s * s)) * size * size * 3;
            float *to = out + ((int64_t)k * side * side + p) * 3 * patch * patch;
            if (scaled == size)
                plain_patch(to, picture + ((int64_t)y * size + x) * 3, size, patch, colours);
            else
                resized_patch(to, picture, size, scaled, patch, y, x, kind, colours);
        }
}

/* A thread takes some columns of all rows: blocks reach over tiles. */
void cpu_area_mean(float *out, const float *x, int tile0, int tiles, int s, int side, int C, int wide, int at)
{
    const int share = (int)(16 * ceil_div(C, 16 * omp_get_max_threads()));
    const float count = (float)(s * s);
#pragma omp parallel for if ((int64_t)tiles * side * side * C >= PARALLEL)
    for (int c0 = 0; c0 < C; c0 += share) {
        const int c1 = (int)min64(C, c0 + share);
        for (int64_t n = 0; n < (int64_t)tiles * side * side; n++) {
            const int k = tile0 + (int)(n / (side * side)), p = (int)(n % (side * side));
            const int row = k % (s * s) / s * side + p / side, column = k % s * side + p % side;
            float *to = out + ((int64_t)(k / (s * s)) * side * side + row / s * side + column / s) * wide + at;
            const float *in = x + n * C;
#pragma omp simd
            for (int c = c0; c < c1; c++)
                to[c] += in[c] / count;
        }
    }
}
