#include "launch/hf/hffiles.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch/config/options.h"

enum { SMALL_MAX = 256 << 20 };

double hffiles_number(const void *config, const char *key)
{
    const Config *c = config;
    const Option *o = option_find(key);
    CHECK(o, "there is no key %s", key);
    const char *at = (const char *)c + o->at;
    if (!strcmp(key, "model.head.heads") && c->model.head.heads == 0)
        return (double)max64(1, c->model.head.width / 128);
    switch (o->type) {
    case INT: case ENUM: return *(const int *)(const void *)at;
    case LONG:           return (double)*(const int64_t *)(const void *)at;
    case BOOL:           return *(const bool *)(const void *)at;
    case FLOAT:          return *(const double *)(const void *)at;
    default:             CHECK(false, "%s is no number", key); return 0;
    }
}

static bool is_small_file(const char *name)
{
    static const char *const END[] = { ".json", ".txt", ".model", ".jinja" };
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof END / sizeof *END; i++)
        if (name[0] != '.' && n > strlen(END[i]) && !strcmp(name + n - strlen(END[i]), END[i]))
            return true;
    return false;
}

bool hffiles_copy_file(const char *from, const char *to, Err *e)
{
    char *bytes;
    size_t n;
    if (!file_read(from, SMALL_MAX, &bytes, &n, e))
        return false;
    const bool ok = file_replace(to, bytes, n, e);
    free(bytes);
    return ok;
}

bool hffiles_put(const char *dir, const char *name, char *text, Err *e)
{
    char path[PATH_ROOM];
    const bool ok = path_set(path, e, "%s/%s", dir, name) && file_replace(path, text, strlen(text), e);
    free(text);
    return ok;
}

bool hffiles_copy(const char *from, const char *to, Err *e)
{
    DIR *d = opendir(from);
    if (!d)
        return file_error(e, from, "open the folder");
    bool ok = true;
    const struct dirent *entry;
    while (ok && (entry = readdir(d))) {
        char a[PATH_ROOM], b[PATH_ROOM];
        struct stat st;
        if (!is_small_file(entry->d_name))
            continue;
        ok = path_set(a, e, "%s/%s", from, entry->d_name) && path_set(b, e, "%s/%s", to, entry->d_name);
        if (ok && stat(a, &st) == 0 && S_ISREG(st.st_mode))
            ok = hffiles_copy_file(a, b, e);
    }
    closedir(d);
    return ok;
}

bool hffiles_is_free(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *entry;
    bool empty = true;
    if (!d)
        return errno == ENOENT;
    while (empty && (entry = readdir(d)))
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    closedir(d);
    return empty;
}
