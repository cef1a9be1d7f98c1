/*
 * resize.h -- what op.patches reads: pictures resized and cut into tiles on the fly
 *
 * A picture of size x size is resized to scaled x scaled and cut into s x s tiles of `tile`, s = scaled / tile; a tile into
 * (tile / patch)^2 patches, row by row; what is left over at the right and below is not seen.  Tiles are counted row by row,
 * through all pictures.  scaled == size: the picture as it is.  A pixel of a resized line is mixed from those of the line:
 *
 *     place of d   x = (d + 1/2) size / scaled - 1/2,   i = floor(x),   t = x - i
 *     bilinear     (1-t) p[i] + t p[i+1]
 *     bicubic      far(1+t) p[i-1] + near(t) p[i] + near(1-t) p[i+1] + far(2-t) p[i+2],   with a = -3/4:
 *                  near(x) = (a+2) x^3 - (a+3) x^2 + 1      far(x) = a (x^3 - 5 x^2 + 8 x - 4)
 *
 * A pixel beyond an edge is the pixel at the edge; nothing is smoothed before it is made smaller.  i and t come from
 * integers, so they are exact: where x is whole, the weights are 0 and 1 to the bit.  No sum of weights is cut to the
 * range of colours.
 *
 * Source  Keys, Cubic convolution interpolation, 1981; PyTorch's interpolate (align_corners=False, antialias=False)
 * Tests   tests/core/test_scales.c (PyTorch)
 */
#pragma once
#include "core/base.h"

enum { RESIZE_BICUBIC, RESIZE_BILINEAR };

typedef struct { int at[4]; double w[4]; } Taps;       /* bilinear: w[0] = w[3] = 0 */

static inline double resize_near(double x)
{
    const double a = -0.75;
    return ((a + 2) * x - (a + 3)) * x * x + 1;
}

static inline double resize_far(double x)
{
    const double a = -0.75;
    return a * (((x - 5) * x + 8) * x - 4);
}

/* Of pixel d of a line of `size` pixels resized to `scaled`. */
static inline Taps resize_taps(int d, int size, int scaled, int kind)
{
    const int64_t unit = 2 * (int64_t)scaled, x = (2 * (int64_t)d + 1) * size - scaled;     /* the place is x / unit */
    const int64_t i = x < 0 ? -ceil_div(-x, unit) : x / unit;
    const double t = (double)(x - i * unit) / (double)unit;
    Taps k;
    for (int j = 0; j < 4; j++)
        k.at[j] = (int)max64(0, min64(size - 1, i - 1 + j));
    k.w[0] = kind == RESIZE_BICUBIC ? resize_far(1 + t) : 0;
    k.w[1] = kind == RESIZE_BICUBIC ? resize_near(t) : 1 - t;
    k.w[2] = kind == RESIZE_BICUBIC ? resize_near(1 - t) : t;
    k.w[3] = kind == RESIZE_BICUBIC ? resize_far(2 - t) : 0;
    return k;
}
