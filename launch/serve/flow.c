#include "launch/serve/flow.h"

#include <string.h>

/* Where the first stop text in s begins, n where there is none. */
static size_t find_stop(const Flow *f, const char *s, size_t n)
{
    size_t first = n;
    for (int i = 0; i < f->stops; i++) {
        const char *at = strstr(s, f->stop[i]);
        if (at && (size_t)(at - s) < first)
            first = (size_t)(at - s);
    }
    return first;
}

/* Where an end of s begins with which a stop text may begin, n where there is none. */
static size_t begins_stop(const Flow *f, const char *s, size_t n)
{
    for (size_t at = 0; at < n; at++)
        for (int i = 0; i < f->stops; i++)
            if (strncmp(s + at, f->stop[i], n - at) == 0)
                return at;
    return n;
}

size_t flow_take(Flow *f, const char *text, bool ended, const char **from)
{
    size_t n = strlen(text);
    *from = text + (f->given < n ? f->given : n);
    if (f->stopped || n <= f->given)
        return 0;
    const char *s = *from;
    n -= f->given;
    const size_t stop = find_stop(f, s, n);
    f->stopped = stop < n;
    n = f->stopped || ended ? stop : begins_stop(f, s, n);
    while (n > 0 && n < strlen(s) && strchr(" \n", s[n - 1]))
        n--;
    f->given += n;
    return n;
}
