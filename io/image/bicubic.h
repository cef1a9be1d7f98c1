/*
 * bicubic.h -- Pillow's bicubic resize of 8-bit pictures, bit for bit
 *
 *     k(x) = ((a+2)|x| - (a+3)) x^2 + 1            |x| < 1          a = -1/2
 *          = (((|x|-5)|x| + 8)|x| - 4) a           |x| < 2
 *
 * Row by row, then column by column.  Where it shrinks, k is widened by the scale (so nothing is skipped); at an edge
 * the weights that fall outside are dropped and the rest made to sum to 1.  Weights have 22 fraction bits; each pass
 * rounds and clips to 8 bits.
 *
 * The picture lies in the middle of a canvas of one colour, which is never laid out: its part of each sum is one number a band.
 * (A strip of 65500 x 1 padded to a square would take 12 GB.)
 *
 * Source  Pillow, src/libImaging/Resample.c (the arithmetic);  Keys 1981 (the kernel)
 * Tests   tests/io/image/test_image.c
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const uint8_t *px;         /* (h, w, bands) */
    int w, h, bands;           /* bands 1 to 4, each resized on its own */
    int W, H;                  /* the canvas, at least w x h; the picture's corner is ((W-w)/2, (H-h)/2) */
    uint8_t fill[4];           /* by band */
} Canvas;

/* out (h2, w2, bands).  Local; false without memory. */
bool bicubic(uint8_t *out, int w2, int h2, const Canvas *c);
