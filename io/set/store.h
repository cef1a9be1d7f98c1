/*
 * store.h -- how a shard keeps pixels: as they are, or as differences that zstd packs smaller
 *
 * STORE_DELTA: green is subtracted from red and blue, then each pixel is predicted by its neighbours of the same
 * picture, channel by channel; all modulo 256, pixels outside of the picture are 0:
 *
 *     q[y,x]   = (r - g, g, b - g)                                   of pixel (y,x)
 *     out[y,x] = q[y,x] - q[y,x-1] - q[y-1,x] + q[y-1,x-1]
 *
 * The inverse is two running sums and an addition.  Everything is linear modulo 256, so the order does not matter, no
 * bit is lost, and every machine has the same bytes.  In Python, for d = pixels as stored, uint8 (I, side, side, 3):
 *
 *     p = d.cumsum(1, dtype="u1").cumsum(2, dtype="u1"); p[..., ::2] += p[..., 1:2]
 *
 * Example: the picture  10 20 30  12 23 35  becomes  246 20 10  255 3  2
 *                        9 20 29  11 22 255          255  0 255   1 255 222
 *
 * Local.  Source  predictor 4 of lossless JPEG (ITU-T T.81, table H.1); "subtract green" of WebP (RFC 9649)
 * Tests   tests/io/set/test_store.c     Numbers  tests/bench/bench_store.c, docs/PERF.md
 */
#pragma once
#include "core/base.h"

enum { STORE_RAW, STORE_DELTA, STORE_KINDS };

extern const char *const store_names[STORE_KINDS];     /* "raw", "delta" */

/* STORE_..., or -1 where no kind has that name. */
int store_find(const char *name);

/* STORE_DELTA of pictures (side, side, 3) that lie one behind the other; out does not overlap px. */
void store_encode(uint8_t *out, const uint8_t *px, int64_t pictures, int side);
/* Its inverse, in place. */
void store_decode(uint8_t *px, int64_t pictures, int side);
