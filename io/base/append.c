#include "io/base/append.h"

#include "io/base/files.h"
#include "io/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAITING = 64 << 10 };

struct Append {
    int         fd;
    const char *name;
    bool        torn;                   /* it goes on behind `end`, where a record was cut in half */
    off_t       end;
    char        waiting[WAITING];       /* records that could not be written yet */
    size_t      n;
    bool        told, told_lost;        /* the user knows that it fails; that records are lost */
};

Append *append_open(const char *path, int flags, const char *name, Err *e)
{
    Append *a = calloc(1, sizeof *a);
    CHECK(a, "no memory to write %s", name);
    a->name = name;
    a->fd = file_open(path, O_WRONLY | O_APPEND | flags);
    if (a->fd >= 0)
        return a;
    (void)file_error(e, path, "open");
    free(a);
    return NULL;
}

int append_fd(const Append *a)
{
    return a->fd;
}

static void say_once(const Append *a, bool *told, const char *what, const char *so, int error)
{
    char doing[192];
    snprintf(doing, sizeof doing, "%s %s%s", what, a->name, so);
    log_warn_once(told, doing, error);
}

static void write_waiting(Append *a)
{
    if (a->n == 0)
        return;
    a->torn = a->torn && ftruncate(a->fd, a->end);
    if (!a->torn) {
        a->end = lseek(a->fd, 0, SEEK_END);
        if (file_write(a->fd, a->waiting, a->n)) {
            a->told = a->told_lost = false;
            a->n = 0;
            return;
        }
        const int error = errno;
        a->torn = ftruncate(a->fd, a->end);
        errno = error;
    }
    say_once(a, &a->told, "cannot write", " (what is to be written waits in memory, training goes on)", errno);
}

void append_record(Append *a, const void *bytes, size_t n)
{
    if (a->n + n > WAITING) {
        say_once(a, &a->told_lost, "more waits to be written than there is room for:", " (steps will be missing in it, training goes on)", ENOSPC);
    } else {
        memcpy(a->waiting + a->n, bytes, n);
        a->n += n;
    }
    write_waiting(a);
}

void append_sync(Append *a)
{
    if (!file_fsync(a->fd))
        say_once(a, &a->told, "cannot fsync", "", errno);
}

void append_close(Append *a)
{
    write_waiting(a);
    append_sync(a);
    close(a->fd);
    free(a);
}
