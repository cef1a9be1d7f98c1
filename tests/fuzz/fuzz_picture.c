/*
 * fuzz_picture.c -- any bytes as a picture
 *
 * Laws   refused: EXIT_DATA at the file
 *        a size beyond the caps that the header claims is refused, before a pixel is decoded
 *        accepted: at most IMAGE_SIDE and IMAGE_PIXELS, 3 or 4 bands, of the size that the header claims, or turned (not GIF, TIFF)
 *        the same bytes get the same verdict and the same pixels; a square is given for whatever loads, and for nothing else
 *
 * Sizes that are allowed but cost a second to decode are passed over (a square of 2048 and more).
 */
#include "io/image/header.h"
#include "io/image/image.h"
#include "tests/fuzz/fuzz.h"

enum { SLOW = 1 << 22, SQUARE = 9 };

/* Under LeakSanitizer: fontconfig keeps its tables until the process ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libfontconfig\n"; }

static void well_formed(const Image *im, bool claims, int64_t w, int64_t h)
{
    LAW(im->px && im->w >= 1 && im->h >= 1 && im->w <= IMAGE_SIDE && im->h <= IMAGE_SIDE && (int64_t)im->w * im->h <= IMAGE_PIXELS,
        "a picture of %d x %d", im->w, im->h);
    LAW(im->bands == 3 || im->bands == 4, "%d bands", im->bands);
    LAW(!claims || (im->w == w && im->h == h) || (im->w == h && im->h == w), "%d x %d, but the header says %lld x %lld", im->w, im->h,
        (long long)w, (long long)h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    Err e = { 0 }, same = { 0 }, square = { 0 };
    Image im = { 0 }, twin = { 0 };
    uint8_t out[SQUARE * SQUARE * 3];
    int64_t w = 0, h = 0;
    const ImageOps *ops = image_ops(&e);
    CHECK(ops, "%s %s", e.what, e.got);
    const int fd = fuzz_file(data, size, path);
    const int claim = picture_size(path, &w, &h);
    const bool claims = claim != SIZE_UNKNOWN;
    const bool over = claims && (w < 1 || h < 1 || w > IMAGE_SIDE || h > IMAGE_SIDE || w * h > IMAGE_PIXELS);
    if (over || !claims || w * h <= SLOW) {
        const bool ok = ops->load(&im, path, 0, &e);
        LAW(ok == ops->load(&twin, path, 0, &same), "two verdicts");
        LAW(ok == ops->load_square(out, path, SQUARE, FIT_PAD, &square), "no square of a picture, or one of none");
        LAW(!ok || !over, "%lld x %lld is accepted", (long long)w, (long long)h);
        if (ok) {
            well_formed(&im, claim == SIZE_EXACT, w, h);
            LAW(im.w == twin.w && im.h == twin.h && im.bands == twin.bands &&
                !memcmp(im.px, twin.px, (size_t)im.w * (size_t)im.h * (size_t)im.bands), "other pixels the second time");
        } else {
            fuzz_refused(&e, EXIT_DATA, path);
        }
    }
    image_free(&im);
    image_free(&twin);
    close(fd);
    return 0;
}
