#include "io/image/bicubic.h"

#include <math.h>
#include <stdlib.h>

enum { BITS = 32 - 8 - 2 };      /* 8 for the pixel, 2 for overshoot and sign */

/* Output i is HALF + outside[i] * fill + the sum over j < n[i] of weight[i * room + j] * input[first[i] + j]: a half, to round,
   and what the canvas around the picture adds. */
typedef struct { int room, *first, *n, *outside, *weight; } Taps;
enum { HALF = 1 << (BITS - 1) };

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
    free(t->outside);
    free(t->weight);
}

/* The weights of output i over the whole canvas, from `lo` on, in fixed point. */
static int weigh(int *weight, double *exact, int lo, int hi, double middle, double wide)
{
    double sum = 0;
    for (int j = lo; j < hi; j++)
        sum += exact[j - lo] = kernel((j - middle + 0.5) * (1 / wide));
    for (int j = 0; j < hi - lo; j++) {
        const double v = (sum != 0 ? exact[j] * (1 / sum) : exact[j]) * (1 << BITS);
        weight[j] = (int)(v < 0 ? v - 0.5 : v + 0.5);
    }
    return hi - lo;
}

/* The picture takes [at, at + in) of a canvas of `whole`, which becomes `out`. */
static bool taps_open(Taps *t, int whole, int at, int in, int out)
{
    const double scale = (double)whole / out, wide = scale < 1 ? 1 : scale, support = 2 * wide;
    t->room   = (int)ceil(support) * 2 + 1;
    t->first  = malloc((size_t)out * sizeof *t->first);
    t->n      = malloc((size_t)out * sizeof *t->n);
    t->outside = malloc((size_t)out * sizeof *t->outside);
    t->weight = malloc((size_t)out * (size_t)t->room * sizeof *t->weight);
    double *exact = malloc((size_t)t->room * sizeof *exact);
    const bool ok = t->first && t->n && t->outside && t->weight && exact;
    for (int i = 0; ok && i < out; i++) {
        int *k = t->weight + (int64_t)i * t->room;
        const double middle = (i + 0.5) * scale;
        const int lo = (int)fmax(middle - support + 0.5, 0), hi = (int)fmin(middle + support + 0.5, whole);
        const int n = weigh(k, exact, lo, hi, middle, wide);
        t->first[i] = lo < at || lo >= at + in ? 0 : lo - at;
        t->n[i] = 0;
        t->outside[i] = 0;
        for (int j = 0; j < n; j++)
            if (lo + j >= at && lo + j < at + in)
                k[t->n[i]++] = k[j];
            else
                t->outside[i] += k[j];
    }
    free(exact);
    return ok;
}

static uint8_t clip(int sum)
{
    sum >>= BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* in (w, bands) -> out (w2, bands) */
static void across(uint8_t *out, int w2, const uint8_t *in, int bands, const Taps *t, const uint8_t fill[4])
{
    for (int i = 0; i < w2; i++) {
        const int *k = t->weight + (int64_t)i * t->room;
        const uint8_t *px = in + (int64_t)t->first[i] * bands;
        int sum[4];
        for (int b = 0; b < bands; b++)
            sum[b] = HALF + t->outside[i] * fill[b];
        for (int j = 0; j < t->n[i]; j++)
            for (int b = 0; b < bands; b++)
                sum[b] += k[j] * *px++;
        for (int b = 0; b < bands; b++)
            out[i * bands + b] = clip(sum[b]);
    }
}

/* in (h, len) -> out (h2, len), rows of `bands`, with room for len sums */
static void down(uint8_t *out, int h2, const uint8_t *in, int64_t len, int bands, const Taps *t, const uint8_t fill[4], int *sum)
{
    for (int i = 0; i < h2; i++) {
        const int *k = t->weight + (int64_t)i * t->room;
        const uint8_t *px = in + t->first[i] * len;
        for (int64_t x = 0; x < len; x++)
            sum[x] = HALF + t->outside[i] * fill[x % bands];
        for (int j = 0; j < t->n[i]; j++)
            for (int64_t x = 0; x < len; x++)
                sum[x] += k[j] * *px++;
        for (int64_t x = 0; x < len; x++)
            out[i * len + x] = clip(sum[x]);
    }
}

bool bicubic(uint8_t *out, int w2, int h2, const Canvas *c)
{
    const int64_t row = (int64_t)c->w * c->bands, len = (int64_t)w2 * c->bands;
    Taps x = { 0 }, y = { 0 };
    uint8_t *rows = malloc((size_t)c->h * (size_t)len);
    int *sum = malloc((size_t)len * sizeof *sum);
    const bool ok = rows && sum && taps_open(&x, c->W, (c->W - c->w) / 2, c->w, w2) &&
                    taps_open(&y, c->H, (c->H - c->h) / 2, c->h, h2);
    for (int i = 0; ok && i < c->h; i++)
        across(rows + i * len, w2, c->px + i * row, c->bands, &x, c->fill);
    if (ok)
        down(out, h2, rows, len, c->bands, &y, c->fill, sum);
    taps_close(&x);
    taps_close(&y);
    free(rows);
    free(sum);
    return ok;
}
