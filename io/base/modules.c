#include "io/base/modules.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/base/home.h"

typedef struct { int version; size_t size; } Head;

/* Beside the executable, or in ../lib/asvr where both were installed; else in $ASVR_MODULES. */
static bool find(char path[PATH_ROOM], const char *file)
{
    static const char *const places[] = { "", "/../lib/asvr" };
    char exe[PATH_ROOM], folder[PATH_ROOM];
    Err no = { 0 };
    const char *dir = getenv("ASVR_MODULES");
    if (home_self(exe, &no) && path_folder(folder, exe, &no))
        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
            if (path_set(path, &no, "%s%s/%s", folder, places[i], file) && access(path, R_OK) == 0)
                return true;
    return dir && path_set(path, &no, "%s/%s", dir, file) && access(path, R_OK) == 0;
}

const void *module_load(const Module *m, Err *e)
{
    char path[PATH_ROOM];
    if (!find(path, m->file)) {
        err_set(e, EXIT_CONFIG, "", m->none, "there is no %s", m->file);
        return NULL;
    }
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const Head *found = so ? dlsym(so, m->symbol) : NULL;
    if (!found) {
        const char *why = dlerror();
        err_got(e, "%s", why ? why : "its table is not in it");
        err_set(e, EXIT_CONFIG, path, m->libraries, "cannot load %s", m->what);
        return NULL;
    }
    if (found->version == m->version && found->size == m->size)
        return found;
    err_expected(e, "version %d, %zu bytes", m->version, m->size);
    err_got(e, "version %d, %zu bytes", found->version, found->size);
    err_set(e, EXIT_CONFIG, path, "take the module that was built with this program: `make` builds both", "%s are those of another version of asvr",
            m->what);
    return NULL;
}
