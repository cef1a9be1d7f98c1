#include "io/ckpt/beside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "io/base/files.h"

enum { BUFFER = 1 << 20 };

bool beside_named(const char *name)
{
    const char *slash = strchr(name, '/');
    return slash && slash > name && name[0] != '.' && slash[1] && slash[1] != '.' && !strchr(slash + 1, '/');
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const CkptFile *)a)->name, ((const CkptFile *)b)->name);
}

static bool hash_file(const char *path, CkptFile *f, Err *e)
{
    const int fd = file_open(path, O_RDONLY);
    if (fd < 0)
        return file_error(e, path, "open");
    char *buf = malloc(BUFFER);
    XXH64_state_t *h = XXH64_createState();
    CHECK(buf && h, "no memory to hash %s", path);
    XXH64_reset(h, 0);
    int64_t n;
    for (f->bytes = 0; (n = file_pread(fd, buf, BUFFER, f->bytes)) > 0; f->bytes += n)
        XXH64_update(h, buf, (size_t)n);
    f->xxh64 = XXH64_digest(h);
    const bool ok = n == 0 || file_error(e, path, "read");
    XXH64_freeState(h);
    free(buf);
    close(fd);
    return ok;
}

/* The next file of d that counts: 1 and its path, 0 after the last, or -1. */
static int next_file(DIR *d, const char *run, const char *folder, char path[PATH_ROOM], CkptFile *f, Err *e)
{
    const struct dirent *entry;
    struct stat st;
    for (errno = 0; (entry = readdir(d)); errno = 0) {
        if (entry->d_name[0] == '.')
            continue;
        if (!path_set(path, e, "%s/%s/%s", run, folder, entry->d_name))
            return -1;
        if (stat(path, &st) || !S_ISREG(st.st_mode))
            continue;
        if (snprintf(f->name, sizeof f->name, "%s/%s", folder, entry->d_name) >= (int)sizeof f->name)
            return err_set(e, EXIT_DATA, path, "", "the name of the file is too long"), -1;
        return 1;
    }
    return errno == 0 ? 0 : (file_error(e, run, "read the folder beside the checkpoint"), -1);
}

bool beside_list(const char *run, const char *folder, CkptFile **list, int *n, Err *e)
{
    char path[PATH_ROOM];
    int cap = 0, more = 1;
    *list = NULL, *n = 0;
    if (!path_set(path, e, "%s/%s", run, folder))
        return false;
    DIR *d = opendir(path);
    if (!d)
        return file_error(e, path, "read the folder beside the checkpoint");
    while (more > 0) {
        if (*n == cap) {
            cap = cap ? 2 * cap : 16;
            *list = realloc(*list, (size_t)cap * sizeof **list);
            CHECK(*list, "no memory for a list of %d files", cap);
        }
        more = next_file(d, run, folder, path, &(*list)[*n], e);
        if (more > 0 && !hash_file(path, &(*list)[(*n)++], e))
            more = -1;
    }
    closedir(d);
    qsort(*list, (size_t)*n, sizeof **list, by_name);
    return more == 0;
}

static bool same(const char *where, const CkptFile *want, const CkptFile *got, Err *e)
{
    if (want->bytes == got->bytes && want->xxh64 == got->xxh64)
        return true;
    err_expected(e, "%" PRId64 " bytes with XXH64 0x%016" PRIx64, want->bytes, want->xxh64);
    err_got(e, "%" PRId64 " bytes with 0x%016" PRIx64, got->bytes, got->xxh64);
    return err_set(e, EXIT_DATA, where, "put it back, or import again", "the file %s is not the one that the checkpoint was saved with",
                   want->name);
}

bool beside_check(const char *run, const CkptFile *list, int n, Err *e)
{
    CkptFile *is = NULL;
    int m = 0;
    if (n == 0)
        return true;
    char folder[CKPT_FILE];
    snprintf(folder, sizeof folder, "%.*s", (int)strcspn(list[0].name, "/"), list[0].name);
    bool ok = beside_list(run, folder, &is, &m, e);
    for (int i = 0; ok && (i < n || i < m); i++) {
        const int order = i == n ? 1 : i == m ? -1 : strcmp(list[i].name, is[i].name);
        if (order < 0)
            ok = err_set(e, EXIT_DATA, run, "put it back, or import again", "the file %s of the checkpoint is missing", list[i].name);
        else if (order > 0)
            ok = err_set(e, EXIT_DATA, run, "remove it", "the file %s is none of the checkpoint's", is[i].name);
        else
            ok = same(run, &list[i], &is[i], e);
    }
    free(is);
    return ok;
}
