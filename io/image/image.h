/*
 * image.h -- pictures: decode, fit, save; the interface of the module asvr-image.so
 *
 * The decoders (libvips) bring over a hundred libraries and the serial HDF5 with them, so they live in a module that
 * only what shows or packs pictures loads (pack, chat, eval, serve ...): image_ops(&e)->load(...).  Program and module are built apart, so the module says
 * which version of this header it was built with, and another one is refused.  JPEG, PNG, WebP, GIF (first frame), TIFF, PPM, BMP,
 * and JPEG 2000, AVIF and HEIC where this libvips has them; whatever their colour (grey, palette, CMYK, 16 bit), the result is 8-bit sRGB, turned upright by EXIF.
 *
 *     load_square   compose on grey 127 -> pad to a square of grey 127 (FIT_PAD), of CLIP's mean colour (FIT_PAD_CLIP)
 *                   or not (FIT_STRETCH) -> bicubic resize
 *
 * CMYK becomes RGB as in Pillow, without profiles.  Numbers with a point (TIFF, PFM) are light from 0 to 1: where one is beyond,
 * and where they are whole with more than 16 bits or a sign, the picture is refused: nobody knows what is white.  The resize is Pillow's, bit for bit: separable, a = -1/2, widened
 * by the scale where it shrinks, 22-bit fixed-point weights, rounded to 8 bits between the two passes.
 *
 * Pictures are untrusted.  Size is judged by the header before a pixel is decoded: a side over IMAGE_SIDE or more than
 * IMAGE_PIXELS pixels (data.max_pixels), a file cut short, or no picture at all: EXIT_DATA with the path; no memory: EXIT_INTERNAL.  Local.  Single-threaded; not
 * to be called by two threads at once.
 *
 * Tests   tests/io/image/test_image.c (golden numbers of Pillow, hostile files), test_formats.c (kinds of files)
 */
#pragma once
#include "io/base/err.h"

#define IMAGE_SIDE   65500
#define IMAGE_PIXELS 100000000

typedef struct { int w, h, bands; uint8_t *px; } Image;      /* (h, w, bands), bands 3, or 4 with alpha (not premultiplied) */
enum { FIT_PAD, FIT_STRETCH, FIT_PAD_CLIP /* (122, 116, 104), as LLaVA pads for CLIP */ };

/* Raised with every change of ImageOps or Image. */
enum { IMAGE_VERSION = 4 };

typedef struct {
    int    version;                /* IMAGE_VERSION, and sizeof(ImageOps), where the module was built; these two stay in front */
    size_t size;
    /* A whole picture; where max_side > 0, shrunk to fit into a square of that side.  Keeps alpha: bands 4. */
    bool (*load)(Image *out, const char *path, int max_side, Err *e);
    /* out (size, size, 3) */
    bool (*load_square)(uint8_t *out, const char *path, int size, int fit, Err *e);
    /* The same of a file of n bytes in memory, which messages call `name`. */
    bool (*load_square_bytes)(uint8_t *out, const void *bytes, size_t n, const char *name, int size, int fit, Err *e);
    /* From here on pictures may have so many pixels; IMAGE_PIXELS before the first call. */
    void (*allow)(int64_t pixels);
    /* px (h, w, bands), bands 1, 3 or 4, as a PNG of n bytes, to be freed by free(). */
    bool (*png)(char **bytes, size_t *n, const uint8_t *px, int w, int h, int bands, Err *e);
    /* Black text on white, exactly width_px wide, lines broken to fit, letters about font_px high.  bands 3. */
    bool (*label)(Image *out, const char *text, int width_px, int font_px, Err *e);
} ImageOps;

/* Loads the module at the first call: beside the executable, else in $ASVR_MODULES.  NULL with EXIT_CONFIG and a hint where
   there is none, or one of another version. */
const ImageOps *image_ops(Err *e);
/* A PNG of px, as ops->png takes it, in a file that appears whole; EXIT_IO. */
bool            image_save_png(const char *path, const uint8_t *px, int w, int h, int bands, Err *e);
void            image_free(Image *im);
