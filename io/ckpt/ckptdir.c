#include "io/ckpt/ckptdir.h"

#include "core/base.h"
#include "io/base/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* N of "step-N", or -1: the name must be just what STEP_FORMAT prints. */
static int64_t step_of(const char *name)
{
    if (strncmp(name, "step-", 5) || strspn(name + 5, "0123456789") != strlen(name + 5))
        return -1;
    size_t digits = strlen(name + 5);
    if (digits < 8 || digits > 18 || (digits > 8 && name[5] == '0'))
        return -1;
    return strtoll(name + 5, NULL, 10);
}

static int newest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

bool ckptdir_list(const char *dir, int64_t **step, int *n, Err *e)
{
    *step = NULL, *n = 0;
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT || file_error(e, dir, "read the checkpoint folder");
    int cap = 0;
    const struct dirent *entry;
    for (errno = 0; (entry = readdir(d)); errno = 0) {
        int64_t at = step_of(entry->d_name);
        if (at < 0)
            continue;
        if (*n == cap) {
            cap = cap ? 2 * cap : 64;
            *step = realloc(*step, (size_t)cap * sizeof **step);
            CHECK(*step, "no memory for a list of %d checkpoints", cap);
        }
        (*step)[(*n)++] = at;
    }
    bool ok = errno == 0 || file_error(e, dir, "read the checkpoint folder");
    closedir(d);
    if (ok && *n)
        qsort(*step, (size_t)*n, sizeof **step, newest_first);
    if (!ok) {
        free(*step);
        *step = NULL, *n = 0;
    }
    return ok;
}

int64_t ckptdir_best(const char *dir)
{
    char path[PATH_ROOM], to[64];
    Err none = { 0 };
    if (!path_set(path, &none, "%s/best/manifest.json", dir) || access(path, F_OK) || !path_set(path, &none, "%s/best", dir))
        return -1;
    const ssize_t n = readlink(path, to, sizeof to - 1);
    to[n > 0 ? n : 0] = 0;
    return step_of(to);
}

bool ckptdir_name_best(const char *dir, int64_t step, Err *e)
{
    char path[PATH_ROOM], temp[PATH_ROOM], name[40];
    snprintf(name, sizeof name, STEP_FORMAT, step);
    if (!path_set(path, e, "%s/best", dir) || !path_set(temp, e, "%s/.tmp-best", dir) || !dir_remove(temp, e))
        return false;
    if ((symlink(name, temp) == 0 || file_error(e, temp, "make a link")) && file_commit(temp, path, e))
        return true;
    unlink(temp);
    return false;
}
