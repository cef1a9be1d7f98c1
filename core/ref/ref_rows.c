/* ref_rows.c -- rows by index, rotary embedding, patches, means over patches */
#include "core/ref/ref.h"
#include "core/resize.h"

#include <math.h>

static void add(float *x, const float *y, int C)
{
    for (int c = 0; c < C; c++)
        x[c] += y[c];
}

static void set(float *x, const float *y, int C)
{
    for (int c = 0; c < C; c++)
        x[c] = y[c];
}

void ref_add_rows_fwd(float *x, const float *w, const int32_t *pos, int64_t N, int C)
{
    for (int64_t n = 0; n < N; n++)
        add(x + n * C, w + (int64_t)pos[n] * C, C);
}

void ref_add_rows_bwd(float *dw, const float *dout, const int32_t *pos, int64_t N, int C)
{
    for (int64_t n = 0; dw && n < N; n++)
        add(dw + (int64_t)pos[n] * C, dout + n * C, C);
}

void ref_embed_fwd(float *out, const float *table, const int32_t *id, int64_t N, int C, int rows)
{
    for (int64_t n = 0; n < N; n++)
        if (id[n] >= 0 && id[n] < rows)
            set(out + n * C, table + (int64_t)id[n] * C, C);
        else
            ref_zero(out + n * C, C);
}

void ref_embed_bwd(float *dtable, const float *dout, const int32_t *id, int64_t N, int C, int rows)
{
    for (int64_t n = 0; dtable && n < N; n++)
        if (id[n] >= 0 && id[n] < rows)
            add(dtable + (int64_t)id[n] * C, dout + n * C, C);
}

void ref_gather(float *out, const float *x, const int32_t *row, int64_t n, int C)
{
    for (int64_t i = 0; i < n; i++)
        set(out + i * C, x + (int64_t)row[i] * C, C);
}

void ref_scatter(float *x, const float *in, const int32_t *row, int64_t n, int C)
{
    for (int64_t i = 0; i < n; i++)
        set(x + (int64_t)row[i] * C, in + i * C, C);
}

void ref_scatter_add(float *x, const float *in, const int32_t *row, int64_t n, int C)
{
    for (int64_t i = 0; i < n; i++)
        add(x + (int64_t)row[i] * C, in + i * C, C);
}

/* Rotates the pair (d, d + D/2) by pos * freq[d]. */
void ref_rope(float *x, const int32_t *pos, int64_t N, int H, int D, const double *freq, int sign)
{
    for (int64_t n = 0; n < N; n++)
        for (int h = 0; h < H; h++)
            for (int d = 0; d < D / 2; d++) {
                float *a = x + (n * H + h) * D + d, *b = a + D / 2;
                double angle = sign * pos[n] * freq[d], c = cos(angle), s = sin(angle);
                double u = *a, v = *b;
                *a = (float)(u * c - v * s);
                *b = (float)(v * c + u * s);
            }
}

/* One patch of the resized picture: (y0, x0) is its corner there, out (3, patch, patch). */
static void one_patch(float *out, const uint8_t *picture, int size, int scaled, int patch, int y0, int x0, int kind,
                      const Colours *colours)
{
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < patch; y++)
            for (int x = 0; x < patch; x++) {
                Taps v = resize_taps(y0 + y, size, scaled, kind), h = resize_taps(x0 + x, size, scaled, kind);
                double value = 0;
                for (int j = 0; j < 16; j++)
                    value += v.w[j / 4] * h.w[j % 4] * picture[((int64_t)v.at[j / 4] * size + h.at[j % 4]) * 3 + c];
                *out++ = (float)(value / colours->div[c] - colours->sub[c]);
            }
}

void ref_patches(float *out, const uint8_t *pixels, int tile0, int tiles, int size, int scaled, int tile, int patch, int kind,
                 const Colours *colours)
{
    const int s = scaled / tile, side = tile / patch;       /* what is left over at a tile's right and below is not seen */
    for (int k = tile0; k < tile0 + tiles; k++)
        for (int p = 0; p < side * side; p++, out += 3 * patch * patch)
            one_patch(out, pixels + (int64_t)(k / (s * s)) * size * size * 3, size, scaled, patch,
                      k % (s * s) / s * tile + p / side * patch, k % s * tile + p % side * patch, kind, colours);
}

/* Tile after tile in float: any partition of the tiles into calls gives equal bits. */
void ref_area_mean(float *out, const float *x, int tile0, int tiles, int s, int side, int C, int wide, int at)
{
    for (int k = tile0; k < tile0 + tiles; k++)
        for (int p = 0; p < side * side; p++, x += C) {
            int row = k % (s * s) / s * side + p / side, column = k % s * side + p % side;      /* in the stitched grid */
            float *to = out + ((int64_t)(k / (s * s)) * side * side + row / s * side + column / s) * wide + at;
            for (int c = 0; c < C; c++)
                to[c] += x[c] / (float)(s * s);
        }
}

void ref_local_ids(int32_t *local, const int32_t *id, int64_t N, int first)
{
    for (int64_t n = 0; n < N; n++)
        local[n] = id[n] < 0 ? -1 : id[n] - first;
}
