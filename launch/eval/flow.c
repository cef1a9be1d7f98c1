#include "launch/eval/flow.h"

#include <string.h>

/* Bytes of the last character of s (n bytes), if some are missing; else 0. */
static size_t half_character(const char *s, size_t n)
{
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        const unsigned char c = (unsigned char)s[n - k];
        if ((c & 0xc0) == 0x80)
            continue;
        const size_t whole = c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return c < 0xf8 && whole > k ? k : 0;
    }
    return 0;
}

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

/* Where an end of s begins that a stop text may begin with, n where there is none. */
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
    const char *s = text + strspn(text, " \n");
    size_t n = strlen(s);
    *from = s + (f->given < n ? f->given : n);
    if (f->stopped || n <= f->given)
        return 0;
    s = *from;
    n -= f->given;
    const size_t stop = find_stop(f, s, n);
    f->stopped = stop < n;
    n = f->stopped || ended ? stop : begins_stop(f, s, n);
    if (!f->stopped && !ended) {
        n -= half_character(s, n);
        while (n >= 3 && memcmp(s + n - 3, "\xef\xbf\xbd", 3) == 0)
            n -= 3;
    }
    while (n > 0 && strchr(" \n", s[n - 1]))
        n--;
    f->given += n;
    return n;
}
