/*
 * header.h -- the size that a picture's first bytes claim, read by ourselves before any decoder sees the file
 *
 *     JPEG   the frame header, SOF                    PPM    the numbers behind P1 to P6, PF, Pf
 *     PNG    IHDR                                     WebP   VP8X, VP8L, VP8
 *     GIF    the logical screen                       TIFF   ImageWidth and ImageLength of the first page (not BigTIFF)
 *     BMP    the bitmap's header                      JP2    SIZ of the codestream, in boxes or bare
 *     AVIF, HEIC    the largest ispe of the file's items, each side on its own
 *
 * Numbers are read in 64 bits.  libvips 8.14 reads the width 4294967297 of a PPM as 1, and any PPM with two lines of comment
 * one behind the other as one white pixel: so what the decoder finds is compared.  Nothing is allocated.  Local.  Tests: tests/io/image/test_hostile_image.c, tests/fuzz/fuzz_picture.c
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { SIZE_UNKNOWN, SIZE_LOOSE, SIZE_EXACT, SIZE_CUT, SIZE_SHIFTED };

/* w and h are what the file claims, 0 where a number is none.  LOOSE: a decoder may find another size (a GIF grows where a frame
   leaves its screen, a TIFF may have two widths); EXACT: it may not.  UNKNOWN: of no kind above, or cut before it says.
   CUT: a PPM of numbers in letters that has fewer of them than pixels, which libvips takes for zeros.
   SHIFTED: a JPEG 2000 that begins elsewhere than at (0, 0) of its grid, which libvips reads wrongly. */
int picture_size(const char *path, int64_t *w, int64_t *h);
int picture_size_bytes(const uint8_t *bytes, size_t n, int64_t *w, int64_t *h);
/* "BMP", "JPEG 2000", "AVIF", "HEIC" by a file's first n bytes (32 will do); else "": another kind, or none. */
const char *picture_kind(const uint8_t *b, size_t n);
