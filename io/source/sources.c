#include "io/source/sources.h"

#include <string.h>
#include <strings.h>

/* In the order of data.source. */
const SourceKind source_kinds[SOURCE_KINDS] = {
    { "llava",      NULL,       true,  list_llava },
    { "webdataset", ".tar",     false, list_webdataset },
    { "coco",       NULL,       true,  list_coco },
    { "parquet",    ".parquet", false, list_parquet },
    { "folder",     NULL,       true,  list_folder },
};

bool source_is_picture(const char *name)
{
    static const char *const ends[] = { "jpg", "jpeg", "png", "webp", "gif", "tif", "tiff", "bmp", "ppm", "pgm", "pbm", "pnm",
                                        "jp2", "j2k", "avif", "heic", "heif" };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof ends / sizeof *ends; i++)
        if (!strcasecmp(dot + 1, ends[i]))
            return true;
    return false;
}
