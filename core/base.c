#include "core/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void (*die_hook)(int code);
char die_who[128], die_text[1024];
double die_patience;

void die_at(int code, const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    for (double end = now() + die_patience; die_patience > 0 && now() < end; )      /* signals wake it up */
        nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    va_start(ap, fmt);
    vsnprintf(die_text, sizeof die_text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "asvr: %s%s%s:%d: %s\n", die_who, die_who[0] ? ", " : "", file, line, die_text);
    fflush(stderr);
    if (die_hook)
        die_hook(code);
    exit(code);
}

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
