/* The module asvr-image.so: all that touches libvips.  Compiled apart, loaded by image_ops (io/image/image.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <vips/vips.h>

#include "io/image/image.h"
#include "io/image/bicubic.h"
#include "io/image/bmp.h"
#include "io/image/header.h"

#define GREY 127

static void hush(const char *domain, GLogLevelFlags level, const char *text, void *ctx)
{
    (void)domain, (void)level, (void)text, (void)ctx;      /* what matters comes back as an error */
}

static bool start(Err *e)
{
    static bool started;
    if (started)
        return true;
    g_log_set_default_handler(hush, NULL);
    if (VIPS_INIT("asvr") != 0)
        return err_set(e, EXIT_INTERNAL, "", "", "libvips does not start: %.200s", vips_error_buffer());
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    return started = true;
}

static bool fail(Err *e, const char *path, const char *what)
{
    char why[200];
    g_snprintf(why, sizeof why, "%s", vips_error_buffer());
    why[strcspn(why, "\n")] = 0;
    vips_error_clear();
    if (why[0])
        err_got(e, "%s", why);
    return err_set(e, EXIT_DATA, path, "JPEG, PNG, WebP, GIF, TIFF, PPM, BMP, JPEG 2000, AVIF and HEIC are read", "%s", what);
}

static int64_t most_pixels = IMAGE_PIXELS;

static void allow(int64_t pixels) { most_pixels = pixels; }

static bool size_ok(int64_t w, int64_t h, const char *name, Err *e)
{
    if (w > 0 && h > 0 && w <= IMAGE_SIDE && h <= IMAGE_SIDE && w * h <= most_pixels)
        return true;
    vips_error_clear();
    err_expected(e, "sides of 1 to %d, at most data.max_pixels = %lld pixels", IMAGE_SIDE, (long long)most_pixels);
    err_got(e, "%.0f million pixels", (double)w * (double)h / 1e6);
    return err_set(e, EXIT_DATA, name, "", "picture is %lld x %lld", (long long)w, (long long)h);
}

/* A picture's file, or its bytes. */
typedef struct {
    const char *name;              /* a path where there are no bytes */
    const uint8_t *bytes;
    size_t      n;
} In;

/* libvips knows many more; they are not made for hostile files, or take a table of numbers for a picture. */
static bool is_known(VipsSource *source)
{
    static const char *const known[] = { "Jpeg", "Png", "Webp", "Nsgif", "Tiff", "Ppm", "Jp2k", "Heif" };
    static const size_t skip = sizeof "VipsForeignLoad" - 1;
    const char *loader = vips_foreign_find_load_source(source);
    for (int i = 0; loader && i < (int)G_N_ELEMENTS(known); i++)
        if (strncmp(loader + skip, known[i], strlen(known[i])) == 0)
            return true;
    return false;
}

static const char *kind_of(const In *in)
{
    uint8_t b[32];
    if (in->bytes)
        return picture_kind(in->bytes, in->n);
    FILE *f = fopen(in->name, "rb");
    const size_t n = f ? fread(b, 1, sizeof b, f) : 0;
    if (f)
        fclose(f);
    return picture_kind(b, n);
}

static VipsImage *open_bmp(const In *in, Err *e)
{
    gsize n = in->n;
    char *file = NULL;
    int w, h, bands;
    uint8_t *px = NULL;
    const char *why = "cannot read the file";
    struct stat st;
    VipsImage *im = NULL;
    if (in->bytes || (stat(in->name, &st) == 0 && st.st_size <= 8 * most_pixels + (1 << 20) && g_file_get_contents(in->name, &file, &n, NULL)))
        bmp_decode(&px, &w, &h, &bands, in->bytes ? in->bytes : (const uint8_t *)file, n, IMAGE_SIDE, most_pixels, &why);
    if (px && (im = vips_image_new_from_memory_copy(px, (size_t)w * (size_t)h * (size_t)bands, w, h, bands, VIPS_FORMAT_UCHAR)))
        im->Type = VIPS_INTERPRETATION_sRGB;
    else if (why)
        err_set(e, EXIT_DATA, in->name, "save it again, as PNG", "this is no picture that can be read: %s", why);
    else
        err_set(e, EXIT_INTERNAL, in->name, "", "no memory for a picture");
    free(px);
    g_free(file);
    return im;
}

static VipsImage *open_vips(const In *in, Err *e)
{
    VipsSource *source = in->bytes ? vips_source_new_from_memory(in->bytes, in->n) : vips_source_new_from_file(in->name);
    VipsImage *im = NULL;
    const char *kind = kind_of(in);
    const bool known = source && is_known(source);
    if (known)
        im = vips_image_new_from_source(source, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL);
    VIPS_UNREF(source);
    if (!im && !known && kind[0]) {
        vips_error_clear();
        err_set(e, EXIT_DATA, in->name, "take a libvips that was built with OpenJPEG and libheif, or save the pictures as JPEG or PNG",
                "this libvips (%s) cannot read %s", vips_version_string(), kind);
    } else if (!im) {
        fail(e, in->name, "this is no picture that can be read");
    }
    return im;
}

/* The header, judged; nothing is decoded yet.  A source, not a name: libvips takes "[...]" in a name for options. */
static VipsImage *open_header(const In *in, Err *e)
{
    struct stat st;
    if (!in->bytes && (stat(in->name, &st) != 0 || !S_ISREG(st.st_mode))) {
        err_set(e, EXIT_DATA, in->name, "", "there is no such picture");
        return NULL;
    }
    int64_t w, h;
    const int claim = in->bytes ? picture_size_bytes(in->bytes, in->n, &w, &h) : picture_size(in->name, &w, &h);
    if (claim != SIZE_UNKNOWN && !size_ok(w, h, in->name, e))
        return NULL;
    if (claim == SIZE_CUT) {
        err_set(e, EXIT_DATA, in->name, "copy it again", "the picture ends before its last pixel");
        return NULL;
    }
    if (claim == SIZE_SHIFTED) {
        err_set(e, EXIT_DATA, in->name, "save it again, as JPEG or PNG", "a JPEG 2000 that does not begin at (0, 0) of its grid is not read");
        return NULL;
    }
    VipsImage *im = strcmp(kind_of(in), "BMP") == 0 ? open_bmp(in, e) : open_vips(in, e);
    if (im && claim == SIZE_EXACT && (im->Xsize != w || im->Ysize != h)) {
        err_expected(e, "%lld x %lld, as its header says", (long long)w, (long long)h);
        err_got(e, "%d x %d", im->Xsize, im->Ysize);
        err_set(e, EXIT_DATA, in->name, "save it again, as PNG", "libvips finds another size than the picture's header says");
        VIPS_UNREF(im);
    } else if (im && !size_ok(im->Xsize, im->Ysize, in->name, e)) {
        VIPS_UNREF(im);
    }
    return im;
}

/* *im becomes *next, which a step made of it; the old one is released.  False: the step failed. */
static bool become(VipsImage **im, bool failed, VipsImage **next)
{
    g_object_unref(*im);
    *im = failed ? NULL : *next;
    return !failed;
}

/* Four inks -> the light they leave, as Pillow does it: no profile, which would give other colours on other machines. */
static bool from_inks(VipsImage **im)
{
    VipsImage *x = vips_image_copy_memory(*im);
    if (!become(im, x == NULL, &x))
        return false;
    uint8_t *px = VIPS_IMAGE_ADDR(*im, 0, 0);
    for (int64_t n = (int64_t)(*im)->Xsize * (*im)->Ysize; n > 0; n--, px += 4) {
        const int white = 255 - px[3];
        for (int b = 0; b < 3; b++) {
            const int ink = px[b] * white + 128;
            px[b] = (uint8_t)(white - ((ink >> 8) + ink) / 256);
        }
    }
    return become(im, vips_extract_band(*im, &x, 0, "n", 3, NULL), &x) &&
           become(im, vips_copy(*im, &x, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), &x);
}

/* A PPM says which number is white; libvips does not look: 9 of 9 would be nearly black. */
static bool whole_range(VipsImage **im)
{
    const double white = (*im)->BandFmt == VIPS_FORMAT_USHORT ? UINT16_MAX : UINT8_MAX;
    int most = 0;
    if (((*im)->BandFmt != VIPS_FORMAT_USHORT && (*im)->BandFmt != VIPS_FORMAT_UCHAR) || !vips_image_get_typeof(*im, "ppm-max-value") ||
        vips_image_get_int(*im, "ppm-max-value", &most) != 0 || most < 1 || most == white)
        return true;
    const VipsBandFormat format = (*im)->BandFmt;
    VipsImage *x = NULL;
    return become(im, vips_linear1(*im, &x, white / most, 0.5, NULL), &x) && become(im, vips_cast(*im, &x, format, NULL), &x);
}

/* Of numbers in memory: is one below 0, beyond 1, or none at all?  Then *odd is the first. */
static bool all_in_0_1(const VipsImage *im, double *odd)
{
    const int64_t n = (int64_t)im->Xsize * im->Ysize * im->Bands;
    const float *f = (const float *)(const void *)im->data;
    const double *d = (const double *)(const void *)im->data;
    for (int64_t i = 0; i < n; i++) {
        *odd = im->BandFmt == VIPS_FORMAT_FLOAT ? (double)f[i] : d[i];
        if (!(*odd >= 0 && *odd <= 1))
            return false;
    }
    return true;
}

/* Where numbers have a point, white is 1; where nobody knows what is white, the picture is refused rather than black. */
static bool has_white(VipsImage **im, const char *name, Err *e)
{
    const VipsBandFormat format = (*im)->BandFmt;
    const VipsInterpretation means = (*im)->Type;
    VipsImage *x = NULL;
    double odd;
    if (format == VIPS_FORMAT_UCHAR || format == VIPS_FORMAT_USHORT)
        return true;
    if (format != VIPS_FORMAT_FLOAT && format != VIPS_FORMAT_DOUBLE) {
        err_got(e, "%s", vips_enum_nick(VIPS_TYPE_BAND_FORMAT, format));
        return err_set(e, EXIT_DATA, name, "save it with 8 or 16 bits a colour", "a picture whose numbers have a sign, or more than 16 bits");
    }
    if (means == VIPS_INTERPRETATION_XYZ || means == VIPS_INTERPRETATION_LAB || means == VIPS_INTERPRETATION_scRGB)
        return true;                                /* these say what is white */
    x = vips_image_copy_memory(*im);
    if (!become(im, x == NULL, &x))
        return false;
    if (!all_in_0_1(*im, &odd)) {
        err_expected(e, "numbers from 0 (black) to 1 (white)");
        err_got(e, "%g", odd);
        return err_set(e, EXIT_DATA, name, "scale it, or save it with 8 bits a colour", "a picture of floating-point numbers beyond 0 to 1");
    }
    if (!become(im, vips_linear1(*im, &x, 255, 0.5, NULL), &x) || !become(im, vips_cast_uchar(*im, &x, NULL), &x))
        return false;
    return become(im, vips_copy(*im, &x, "interpretation", (*im)->Bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL), &x);
}

/* Any colour, any depth -> 8-bit sRGB with 3 bands, or 4 with alpha; whole in memory; upright; at most max_side. */
static bool normalise(VipsImage **im, int max_side)
{
    VipsImage *x = NULL;
    if (!whole_range(im))
        return false;
    if ((*im)->Type == VIPS_INTERPRETATION_CMYK && (*im)->Bands == 4 && (*im)->BandFmt == VIPS_FORMAT_UCHAR && !from_inks(im))
        return false;
    if (!become(im, vips_colourspace(*im, &x, VIPS_INTERPRETATION_sRGB, NULL), &x) ||
        !become(im, vips_cast_uchar(*im, &x, NULL), &x))
        return false;
    if ((*im)->Bands > 4 && !become(im, vips_extract_band(*im, &x, 0, "n", 4, NULL), &x))
        return false;
    x = vips_image_copy_memory(*im);      /* the decoder gives rows in order only; turning needs them in any */
    if (!become(im, x == NULL, &x) || !become(im, vips_autorot(*im, &x, NULL), &x))
        return false;
    if (max_side > 0 && ((*im)->Xsize > max_side || (*im)->Ysize > max_side)) {
        if (!become(im, vips_thumbnail_image(*im, &x, max_side, "height", max_side, "size", VIPS_SIZE_DOWN,
                                             "no_rotate", TRUE, NULL), &x))
            return false;
    }
    x = vips_image_copy_memory(*im);
    return become(im, x == NULL, &x);
}

static bool no_memory(int w, int h, Err *e)
{
    return err_set(e, EXIT_INTERNAL, "", "", "no memory for a picture of %d x %d", w, h);
}

/* A picture in libvips's memory -> in ours; im is released. */
static bool hand_over(Image *out, VipsImage *im, Err *e)
{
    const size_t bytes = (size_t)VIPS_IMAGE_SIZEOF_IMAGE(im);
    *out = (Image){ .w = im->Xsize, .h = im->Ysize, .bands = im->Bands, .px = malloc(bytes) };
    if (out->px)
        memcpy(out->px, VIPS_IMAGE_ADDR(im, 0, 0), bytes);
    g_object_unref(im);
    return out->px || no_memory(out->w, out->h, e);
}

static bool load_in(Image *out, const In *in, int max_side, Err *e)
{
    VipsImage *im = start(e) ? open_header(in, e) : NULL;
    if (!im)
        return false;
    if (!has_white(&im, in->name, e) || !normalise(&im, max_side) || im->Bands < 3) {
        VIPS_UNREF(im);
        return e->code ? false : fail(e, in->name, "this picture is damaged or of an unknown kind");
    }
    return hand_over(out, im, e);
}

static bool load(Image *out, const char *path, int max_side, Err *e) { return load_in(out, &(In){ .name = path }, max_side, e); }

/* (h, w, 4) -> (h, w, 3), in place */
static void flatten(Image *im)
{
    const int64_t n = (int64_t)im->w * im->h;
    for (int64_t i = 0; i < n; i++) {
        const int a = im->px[4 * i + 3];
        for (int b = 0; b < 3; b++)
            im->px[3 * i + b] = (uint8_t)((im->px[4 * i + b] * a + GREY * (255 - a) + 127) / 255);
    }
    im->bands = 3;
}

static bool square(uint8_t *out, const In *in, int size, int fit, Err *e)
{
    Image im;
    if (!load_in(&im, in, 0, e))
        return false;
    if (im.bands == 4)
        flatten(&im);
    const int side = im.w > im.h ? im.w : im.h;
    Canvas c = { .px = im.px, .w = im.w, .h = im.h, .bands = 3, .fill = { GREY, GREY, GREY },
                 .W = fit == FIT_STRETCH ? im.w : side, .H = fit == FIT_STRETCH ? im.h : side };
    if (fit == FIT_PAD_CLIP)
        c.fill[0] = 122, c.fill[1] = 116, c.fill[2] = 104;
    const bool ok = bicubic(out, size, size, &c);
    free(im.px);
    return ok || no_memory(im.w, im.h, e);
}

static bool load_square(uint8_t *out, const char *path, int size, int fit, Err *e) { return square(out, &(In){ .name = path }, size, fit, e); }

static bool load_square_bytes(uint8_t *out, const void *bytes, size_t n, const char *name, int size, int fit, Err *e)
{
    return square(out, &(In){ .name = name, .bytes = bytes, .n = n }, size, fit, e);
}

static bool png(char **bytes, size_t *n, const uint8_t *px, int w, int h, int bands, Err *e)
{
    if (!start(e))
        return false;
    VipsImage *im = vips_image_new_from_memory(px, (size_t)w * (size_t)h * (size_t)bands, w, h, bands, VIPS_FORMAT_UCHAR);
    void *made = NULL;
    if (im)
        im->Type = bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    if (!im || vips_pngsave_buffer(im, &made, n, NULL) != 0) {
        VIPS_UNREF(im);
        fail(e, "", "cannot write a picture as PNG");
        e->code = EXIT_INTERNAL;
        return false;
    }
    g_object_unref(im);
    *bytes = malloc(*n + 1);
    if (*bytes)
        memcpy(*bytes, made, *n);
    g_free(made);
    return *bytes || no_memory(w, h, e);
}

/* Text as coverage (one band) -> black on white, cut or widened to width_px. */
static bool paint(VipsImage **im, int width_px)
{
    VipsImage *x = NULL;
    if (!become(im, vips_invert(*im, &x, NULL), &x) ||
        !become(im, vips_gravity(*im, &x, VIPS_COMPASS_DIRECTION_WEST, width_px, (*im)->Ysize,
                                 "extend", VIPS_EXTEND_WHITE, NULL), &x) ||
        !become(im, vips_colourspace(*im, &x, VIPS_INTERPRETATION_sRGB, NULL), &x))
        return false;
    x = vips_image_copy_memory(*im);
    return become(im, x == NULL, &x);
}

static bool blank(Image *out, int w, int h, Err *e)
{
    *out = (Image){ .w = w, .h = h, .bands = 3, .px = malloc((size_t)w * (size_t)h * 3) };
    if (out->px)
        memset(out->px, 255, (size_t)w * (size_t)h * 3);
    return out->px || no_memory(w, h, e);
}

static bool label(Image *out, const char *text, int width_px, int font_px, Err *e)
{
    if (!start(e))
        return false;
    char *valid = g_strchomp(g_utf8_make_valid(text, -1));
    if (!*valid) {      /* libvips refuses an empty text */
        g_free(valid);
        return blank(out, width_px, font_px, e);
    }
    char *markup = g_markup_escape_text(valid, -1);
    char *font = g_strdup_printf("sans %d", font_px);
    VipsImage *im = NULL;
    const bool ok = vips_text(&im, markup, "font", font, "width", width_px, "dpi", 72,
                              "wrap", VIPS_TEXT_WRAP_WORD_CHAR, NULL) == 0 && paint(&im, width_px);
    g_free(valid);
    g_free(markup);
    g_free(font);
    if (!ok) {
        VIPS_UNREF(im);
        return fail(e, "", "cannot draw this text");
    }
    return hand_over(out, im, e);
}

__attribute__((visibility("default"))) extern const ImageOps asvr_image_ops;
const ImageOps asvr_image_ops = { .version = IMAGE_VERSION, .size = sizeof(ImageOps), .load = load, .load_square = load_square,
                                  .load_square_bytes = load_square_bytes, .allow = allow, .png = png, .label = label };
