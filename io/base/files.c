#include "io/base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *hint_of(int error)
{
    switch (error) {
    case ENOSPC: return "the file system is full: free some space, or lower ckpt.keep";
    case EDQUOT: return "the quota is used up: free some space, or lower ckpt.keep";
    case EACCES: case EPERM: return "check who owns this path and its permissions";
    case EFBIG:  return "the limit on a file's size (ulimit -f) is reached";
    case EROFS:  return "this file system is mounted read-only";
    case EIO:    return "the storage itself reports a failure: ask whoever runs it";
    default:     return "";
    }
}

bool file_error(Err *e, const char *path, const char *doing)
{
    int error = errno;
    char where[sizeof e->where];
    snprintf(where, sizeof where, "%s%s%s", path, die_who[0] ? ", " : "", die_who);
    e->error = e->code ? e->error : error;
    return err_set(e, EXIT_IO, where, hint_of(error), "cannot %s: %s", doing, strerror(error));
}

bool path_set(char out[PATH_ROOM], Err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(out, PATH_ROOM, fmt, ap);
    va_end(ap);
    if (n < PATH_ROOM)
        return true;
    err_expected(e, "at most %d bytes", PATH_ROOM - 1);
    err_got(e, "%d bytes", n);
    err_set(e, EXIT_IO, out, "", "the path is too long");
    out[0] = 0;                     /* half a path names something else */
    return false;
}

bool path_folder(char out[PATH_ROOM], const char *path, Err *e)
{
    const char *slash = strrchr(path, '/');
    const int n = slash == path ? 1 : slash ? (int)(slash - path) : 0;
    return path_set(out, e, "%.*s", n ? n : 1, n ? path : ".");
}

int file_open(const char *path, int flags)
{
    int fd;
    while ((fd = open(path, flags | O_CLOEXEC, 0666)) < 0 && errno == EINTR)
        ;
    return fd;
}

bool file_fsync(int fd)
{
    int bad;
    while ((bad = fsync(fd)) && errno == EINTR)
        ;
    return !bad;
}

/* On Linux the descriptor is gone, whatever close says. */
bool file_close(int fd) { return close(fd) == 0 || errno == EINTR; }

int64_t file_pread(int fd, void *buf, int64_t n, int64_t offset)
{
    int64_t done = 0;
    while (done < n) {
        ssize_t k = pread(fd, (char *)buf + done, (size_t)(n - done), offset + done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -1;
        if (k == 0)
            break;
        done += k;
    }
    return done;
}

bool file_pwrite(int fd, const void *buf, int64_t n, int64_t offset)
{
    for (int64_t done = 0; done < n; ) {
        ssize_t k = pwrite(fd, (const char *)buf + done, (size_t)(n - done), offset + done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k == 0)
            errno = ENOSPC;
        if (k <= 0)
            return false;
        done += k;
    }
    return true;
}

bool file_write(int fd, const void *buf, size_t n)
{
    for (size_t done = 0; done < n; ) {
        ssize_t k = write(fd, (const char *)buf + done, n - done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return false;
        if (k == 0) {
            errno = ENOSPC;
            return false;
        }
        done += (size_t)k;
    }
    return true;
}

bool file_reserve(int fd, const char *path, int64_t bytes, Err *e)
{
    int bad;
    while ((bad = fallocate(fd, 0, 0, bytes)) && errno == EINTR)
        ;
    if (bad && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
        return file_error(e, path, "reserve room on the disk");
    struct stat st;
    return (fstat(fd, &st) == 0 && st.st_size >= bytes) || ftruncate(fd, bytes) == 0 || file_error(e, path, "set the size");
}

bool file_read(const char *path, size_t cap, char **bytes, size_t *n, Err *e)
{
    *bytes = NULL, *n = 0;
    const int fd = file_open(path, O_RDONLY);
    struct stat st;
    if (fd < 0)
        return file_error(e, path, "open");
    bool ok = fstat(fd, &st) == 0 || file_error(e, path, "stat");
    if (ok && !S_ISREG(st.st_mode))
        ok = err_set(e, EXIT_DATA, path, "", "not a regular file");
    if (ok && (uint64_t)st.st_size > cap) {
        err_expected(e, "at most %zu bytes", cap);
        err_got(e, "%lld bytes", (long long)st.st_size);
        ok = err_set(e, EXIT_DATA, path, "", "the file is too large");
    }
    if (ok) {
        *bytes = malloc((size_t)st.st_size + 1);
        CHECK(*bytes, "no memory for %lld bytes of %s", (long long)st.st_size, path);
        int64_t got = file_pread(fd, *bytes, st.st_size, 0);
        if ((ok = got >= 0 || file_error(e, path, "read"))) {
            *n = (size_t)got;
            (*bytes)[got] = 0;
        } else {
            free(*bytes);
            *bytes = NULL;
        }
    }
    close(fd);
    return ok;
}

bool file_sync(const char *path, Err *e)
{
    const int fd = file_open(path, O_RDONLY);
    if (fd < 0)
        return file_error(e, path, "open");
    struct stat st;
    /* Some file systems have nothing to sync in a folder and say EINVAL. */
    const bool ok = file_fsync(fd) || (errno == EINVAL && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) || file_error(e, path, "fsync");
    close(fd);
    return ok;
}

bool file_commit(const char *from, const char *to, Err *e)
{
    char folder[PATH_ROOM];
    return path_folder(folder, to, e) && (rename(from, to) == 0 || file_error(e, to, "rename what is finished to")) &&
           file_sync(folder, e);
}

bool file_replace(const char *path, const void *bytes, size_t n, Err *e)
{
    char folder[PATH_ROOM], temp[PATH_ROOM];
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    if (!path_folder(folder, path, e) || !path_set(temp, e, "%s/.tmp-%s", folder, base))
        return false;
    const int fd = file_open(temp, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return file_error(e, temp, "create");
    bool ok = file_write(fd, bytes, n) || file_error(e, temp, "write");
    ok = ok && (file_fsync(fd) || file_error(e, temp, "fsync"));
    if (!file_close(fd) && ok)
        ok = file_error(e, temp, "close");
    ok = ok && file_commit(temp, path, e);
    if (!ok)
        unlink(temp);
    return ok;
}

bool dir_make(const char *path, Err *e)
{
    char part[PATH_ROOM], parent[PATH_ROOM];
    if (!path_set(part, e, "%s", path))
        return false;
    for (char *s = part + 1; ; s++) {
        if (*s != '/' && *s)
            continue;
        char at = *s;
        *s = 0;
        const bool made = mkdir(part, 0777) == 0;
        if (!made && errno != EEXIST)
            return file_error(e, part, "make a folder");
        if (made && (!path_folder(parent, part, e) || !file_sync(parent, e)))
            return false;
        if (!(*s = at))
            break;
    }
    struct stat st;
    if (stat(path, &st))
        return file_error(e, path, "make a folder");
    return S_ISDIR(st.st_mode) || err_set(e, EXIT_IO, path, "", "cannot make a folder: a file of this name is in the way");
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path) && errno != ENOENT ? -1 : 0;
}

bool dir_remove(const char *path, Err *e)
{
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT || file_error(e, path, "remove");
}
