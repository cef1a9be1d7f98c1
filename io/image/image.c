#include "io/image/image.h"

#include <stdlib.h>

#include "io/base/files.h"
#include "io/base/modules.h"

const ImageOps *image_ops(Err *e)
{
    static const Module module = {
        .file = "asvr-image.so", .symbol = "asvr_image_ops", .what = "the picture decoders", .version = IMAGE_VERSION, .size = sizeof(ImageOps),
        .none = "`make` builds it beside the program; elsewhere, set ASVR_MODULES to its folder",
        .libraries = "install libvips 8.13 or later (Debian, Ubuntu: apt install libvips42)" };
    static const ImageOps *ops;
    if (!ops)
        ops = module_load(&module, e);
    return ops;
}

bool image_save_png(const char *path, const uint8_t *px, int w, int h, int bands, Err *e)
{
    const ImageOps *ops = image_ops(e);
    char *bytes;
    size_t n;
    if (!ops || !ops->png(&bytes, &n, px, w, h, bands, e))
        return false;
    const bool ok = file_replace(path, bytes, n, e);
    free(bytes);
    return ok;
}

void image_free(Image *im)
{
    free(im->px);
    *im = (Image){ 0 };
}
