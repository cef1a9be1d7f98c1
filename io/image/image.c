#include "io/image/image.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/files.h"

static const char module_name[] = "asvr-image.so";

/* Beside the executable, else in $ASVR_MODULES. */
static bool find_module(char path[PATH_ROOM])
{
    char exe[PATH_ROOM], folder[PATH_ROOM];
    Err no = { 0 };
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    const char *dir = getenv("ASVR_MODULES");
    exe[n > 0 ? n : 0] = 0;
    if (n > 0 && path_folder(folder, exe, &no) && path_set(path, &no, "%s/%s", folder, module_name) && access(path, R_OK) == 0)
        return true;
    return dir && path_set(path, &no, "%s/%s", dir, module_name) && access(path, R_OK) == 0;
}

static bool is_ours(const ImageOps *ops, const char *path, Err *e)
{
    if (ops->version == IMAGE_VERSION && ops->size == sizeof *ops)
        return true;
    err_expected(e, "version %d, %zu bytes", IMAGE_VERSION, sizeof *ops);
    err_got(e, "version %d, %zu bytes", ops->version, ops->size);
    return err_set(e, EXIT_CONFIG, path, "take the module that was built with this program: `make` builds both",
                   "the picture decoders are those of another version of asvr");
}

const ImageOps *image_ops(Err *e)
{
    static const ImageOps *ops;
    if (ops)
        return ops;
    char path[PATH_ROOM];
    if (!find_module(path)) {
        err_set(e, EXIT_CONFIG, "", "`make` builds it beside the program; elsewhere, set ASVR_MODULES to its folder",
                "there is no %s", module_name);
        return NULL;
    }
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const ImageOps *found = so ? dlsym(so, "asvr_image_ops") : NULL;
    if (!found) {
        const char *why = dlerror();
        err_got(e, "%s", why ? why : "no asvr_image_ops in it");
        err_set(e, EXIT_CONFIG, path, "install libvips 8.13 or later (Debian, Ubuntu: apt install libvips42)",
                "cannot load the picture decoders");
    } else if (is_ours(found, path, e)) {
        ops = found;
    }
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
