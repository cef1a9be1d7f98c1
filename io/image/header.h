/*
 * header.h -- the size that a picture's first bytes claim, read by ourselves before any decoder sees the file
 *
 *     JPEG   the frame header, SOF                    PPM    the numbers behind P1 to P6, PF, Pf
 *     PNG    IHDR                                     WebP   VP8X, VP8L, VP8
 *     GIF    the logical screen                       TIFF   ImageWidth and ImageLength of the first page (not BigTIFF)
 *
 * Numbers are read in 64 bits: libvips 8.14 reads the width 4294967297 of a PPM as 1.  Nothing is allocated but a buffer of
 * the stack.  Local.  Tests: tests/io/image/test_hostile_image.c, tests/fuzz/fuzz_picture.c
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* True: w and h are what the file claims, 0 where a number is none.  False: of no kind above, or cut before it says. */
bool picture_size(const char *path, int64_t *w, int64_t *h);
