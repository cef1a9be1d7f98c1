/* ref_rows.c -- rows by index, rotary embedding, patches */
#include "core/ref/ref.h"

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

/* Rotates the pair (d, d + D/2) by pos * theta^(-2d/D). */
void ref_rope(float *x, const int32_t *pos, int64_t N, int H, int D, float theta, int sign)
{
    for (int64_t n = 0; n < N; n++)
        for (int h = 0; h < H; h++)
            for (int d = 0; d < D / 2; d++) {
                float *a = x + (n * H + h) * D + d, *b = a + D / 2;
                double angle = sign * pos[n] * pow(theta, -2.0 * d / D), c = cos(angle), s = sin(angle);
                double u = *a, v = *b;
                *a = (float)(u * c - v * s);
                *b = (float)(v * c + u * s);
            }
}

/* One patch: (y0, x0) is its corner, out (3, patch, patch). */
static void one_patch(float *out, const uint8_t *picture, int size, int patch, int y0, int x0)
{
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < patch; y++)
            for (int x = 0; x < patch; x++)
                *out++ = (float)(picture[((int64_t)(y0 + y) * size + x0 + x) * 3 + c] / 127.5 - 1);
}

void ref_patches(float *out, const uint8_t *pixels, int I, int size, int patch)
{
    int side = size / patch;                    /* what is left over at the right and below is not seen */
    for (int64_t i = 0; i < I; i++)
        for (int p = 0; p < side * side; p++)
            one_patch(out + (i * side * side + p) * 3 * patch * patch, pixels + i * size * size * 3, size, patch,
                      p / side * patch, p % side * patch);
}
