/*
 * bmp.h -- Windows bitmaps, which libvips reads through ImageMagick alone
 *
 *     headers     12 (OS/2), 40, 52, 56, 64, 108, 124 bytes        rows from below or from above
 *     pixels      1, 4, 8 bits by palette; RLE4, RLE8; 16, 24, 32 bits; masks (BITFIELDS), alpha where a mask says so
 *
 * Refused: JPEG or PNG inside, masks with holes, a palette or pixels that the file does not hold.  The colours are Pillow's.
 * Numbers are read in 64 bits; nothing is allocated before the sizes are judged.  Local.  Tests: tests/io/image/test_formats.c,
 * tests/fuzz/fuzz_picture.c
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* px (h, w, bands), bands 3 or 4, to be freed; false: *why says what is wrong with the file, NULL: no memory. */
bool bmp_decode(uint8_t **px, int *w, int *h, int *bands, const uint8_t *bytes, size_t n, int64_t max_side, int64_t max_pixels, const char **why);
