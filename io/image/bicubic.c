#include "io/image/bicubic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 32 - 8 - 2 };      /* 8 for the pixel, 2 for overshoot and sign */

/* Output i is the sum over j < n[i] of weight[i * room + j] * input[first[i] + j]. */
typedef struct { int room, *first, *n, *weight; } Taps;

static double kernel(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static void taps_close(Taps *t)
{
    free(t->first);
    free(t->n);
    free(t->weight);
}

static bool taps_open(Taps *t, int in, int out)
{
    const double scale = (double)in / out, wide = scale < 1 ? 1 : scale, support = 2 * wide;
    t->room   = (int)ceil(support) * 2 + 1;
    t->first  = malloc((size_t)out * sizeof *t->first);
    t->n      = malloc((size_t)out * sizeof *t->n);
    t->weight = malloc((size_t)out * (size_t)t->room * sizeof *t->weight);
    double *exact = malloc((size_t)t->room * sizeof *exact);
    const bool ok = t->first && t->n && t->weight && exact;
    for (int i = 0; ok && i < out; i++) {
        const double middle = (i + 0.5) * scale;
        int lo = (int)(middle - support + 0.5), hi = (int)(middle + support + 0.5);
        lo = lo < 0 ? 0 : lo;
        hi = hi > in ? in : hi;
        double sum = 0;
        for (int j = lo; j < hi; j++)
            sum += exact[j - lo] = kernel((j - middle + 0.5) * (1 / wide));
        for (int j = 0; j < hi - lo; j++) {
            const double v = (sum != 0 ? exact[j] * (1 / sum) : exact[j]) * (1 << BITS);
            t->weight[(int64_t)i * t->room + j] = (int)(v < 0 ? v - 0.5 : v + 0.5);
        }
        t->first[i] = lo;
        t->n[i] = hi - lo;
    }
    free(exact);
    return ok;
}

static uint8_t round_clip(int sum)
{
    sum = (sum + (1 << (BITS - 1))) >> BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* line (W, bands) -> out (w2, bands) */
static void across(uint8_t *out, int w2, const uint8_t *line, int bands, const Taps *t)
{
    for (int i = 0; i < w2; i++) {
        const int *k = t->weight + (int64_t)i * t->room;
        int sum[4] = { 0 };
        for (int j = 0; j < t->n[i]; j++)
            for (int b = 0; b < bands; b++)
                sum[b] += k[j] * line[(int64_t)(t->first[i] + j) * bands + b];
        for (int b = 0; b < bands; b++)
            out[i * bands + b] = round_clip(sum[b]);
    }
}

/* rows (h, len) in the canvas -> out (h2, len); the canvas's other rows are `fill` all along. */
static void down(uint8_t *out, int h2, const uint8_t *rows, int64_t len, const Canvas *c, const Taps *t, int *sum)
{
    const int top = (c->H - c->h) / 2;
    for (int i = 0; i < h2; i++) {
        const int *k = t->weight + (int64_t)i * t->room;
        memset(sum, 0, (size_t)len * sizeof *sum);
        for (int j = 0; j < t->n[i]; j++) {
            const int y = t->first[i] + j - top;
            if (y < 0 || y >= c->h)
                for (int64_t x = 0; x < len; x++)
                    sum[x] += k[j] * c->fill;
            else
                for (int64_t x = 0; x < len; x++)
                    sum[x] += k[j] * rows[y * len + x];
        }
        for (int64_t x = 0; x < len; x++)
            out[i * len + x] = round_clip(sum[x]);
    }
}

bool bicubic(uint8_t *out, int w2, int h2, const Canvas *c)
{
    const int64_t row = (int64_t)c->w * c->bands, len = (int64_t)w2 * c->bands;
    const int64_t left = (int64_t)((c->W - c->w) / 2) * c->bands;
    Taps x = { 0 }, y = { 0 };
    uint8_t *line = malloc((size_t)c->W * (size_t)c->bands), *rows = malloc((size_t)c->h * (size_t)len);
    int *sum = malloc((size_t)len * sizeof *sum);
    const bool ok = taps_open(&x, c->W, w2) && taps_open(&y, c->H, h2) && line && rows && sum;
    if (ok) {
        memset(line, c->fill, (size_t)c->W * (size_t)c->bands);
        for (int i = 0; i < c->h; i++) {
            memcpy(line + left, c->px + i * row, (size_t)row);
            across(rows + i * len, w2, line, c->bands, &x);
        }
        down(out, h2, rows, len, c, &y, sum);
    }
    taps_close(&x);
    taps_close(&y);
    free(line);
    free(rows);
    free(sum);
    return ok;
}
