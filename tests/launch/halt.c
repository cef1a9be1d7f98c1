/* halt.c -- LD_PRELOAD: before the first rename to a path that ends in $HALT_AT the process stops itself, or with
   HALT_BY=KILL dies; for tests/launch/lease.sh */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void halt_before(const char *to)
{
    static int done;
    const char *at = getenv("HALT_AT"), *by = getenv("HALT_BY");
    const size_t n = at ? strlen(at) : 0, m = strlen(to);
    if (n == 0 || m < n || strcmp(to + m - n, at) || done++)
        return;
    kill(getpid(), by && !strcmp(by, "KILL") ? SIGKILL : SIGSTOP);
}

int rename(const char *from, const char *to)
{
    static int (*real)(const char *, const char *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "rename");
    halt_before(to);
    return real(from, to);
}
