#include "io/image/image.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char module_name[] = "asvr-image.so";

/* Beside the executable, else in $ASVR_MODULES. */
static bool find_module(char *path, size_t cap)
{
    char exe[3800];
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n > 0) {
        exe[n] = 0;
        *strrchr(exe, '/') = 0;
        snprintf(path, cap, "%s/%s", exe, module_name);
        if (access(path, R_OK) == 0)
            return true;
    }
    const char *dir = getenv("ASVR_MODULES");
    return dir && snprintf(path, cap, "%s/%s", dir, module_name) < (int)cap && access(path, R_OK) == 0;
}

const ImageOps *image_ops(Err *e)
{
    static const ImageOps *ops;
    if (ops)
        return ops;
    char path[4096];
    if (!find_module(path, sizeof path)) {
        err_set(e, EXIT_CONFIG, "", "`make` builds it beside the program; elsewhere, set ASVR_MODULES to its folder",
                "there is no %s", module_name);
        return NULL;
    }
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ops = so ? dlsym(so, "asvr_image_ops") : NULL;
    if (!ops) {
        const char *why = dlerror();
        err_got(e, "%s", why ? why : "no asvr_image_ops in it");
        err_set(e, EXIT_CONFIG, path, "install libvips 8.13 or later (Debian, Ubuntu: apt install libvips42)",
                "cannot load the picture decoders");
    }
    return ops;
}

void image_free(Image *im)
{
    free(im->px);
    *im = (Image){ 0 };
}
