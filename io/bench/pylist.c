#include "io/bench/pylist.h"

#include <stdlib.h>
#include <string.h>

bool pylist_is(const char *text, size_t n) { return n > 1 && text[0] == '[' && text[n - 1] == ']'; }

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    }
    return to;
}

/* The character that so many digits behind s name; false: they do not, or name none that may stand in a text. */
static bool number(const char *s, int digits, int base, uint32_t *c)
{
    char text[9] = "", *end;
    memcpy(text, s, strnlen(s, (size_t)digits));
    *c = (uint32_t)strtoul(text, &end, base);
    return end == text + digits && *c > 0 && *c < 0x110000 && (*c < 0xd800 || *c > 0xdfff);
}

/* s stands behind a backslash: what it means goes to *to; where it goes on. */
static const char *escape(const char *s, char **to)
{
    static const char from[] = "nrtabfv\\'\"", is[] = "\n\r\t\a\b\f\v\\'\"";
    const char *known = *s ? strchr(from, *s) : NULL;
    const int digits = *s == 'x' ? 2 : *s == 'u' ? 4 : *s == 'U' ? 8 : 0;
    uint32_t c;
    if (known)
        *(*to)++ = is[known - from];
    else if (*s == '\n')
        ;
    else if (digits && number(s + 1, digits, 16, &c)) {
        *to = put_utf8(*to, c);
        return s + 1 + digits;
    } else if (*s >= '0' && *s <= '7') {
        const int n = (int)strspn(s, "01234567") < 3 ? (int)strspn(s, "01234567") : 3;
        if (number(s, n, 8, &c))
            *to = put_utf8(*to, c);
        return s + n;
    } else {
        *(*to)++ = '\\';
        return s;
    }
    return s + 1;
}

static char *blanks(char *s) { return s + strspn(s, " \t\r\n"); }

/* One item at s: its text from *to on, ended by a NUL; where it ends, or NULL. */
static char *item_read(char *s, const char *end, char **to)
{
    const char quote = *s;
    if (quote != '\'' && quote != '"') {
        char *stop = s + strcspn(s, ",");
        if (stop > end)
            stop = (char *)end;
        size_t n = (size_t)(stop - s);
        while (n && strchr(" \t\r\n", s[n - 1]))
            n--;
        memmove(*to, s, n);
        *to += n;
        return n ? stop : NULL;
    }
    const char *at = s + 1;
    while (at < end && *at != quote)
        if (*at == '\\')
            at = escape(at + 1, to);
        else
            *(*to)++ = *at++;
    return at < end ? s + (at + 1 - s) : NULL;
}

int pylist_read(char *text, size_t n, char ***item)
{
    *item = NULL;
    if (!pylist_is(text, n) || strlen(text) != n)
        return -1;
    const char *end = text + n - 1;
    char *s = blanks(text + 1), *to = text;
    int   count = 0, cap = 0;
    while (s < end) {
        if (count == cap) {
            cap = cap ? 2 * cap : 16;
            *item = realloc(*item, (size_t)cap * sizeof **item);
            CHECK(*item, "no memory for a list of %d texts", cap);
        }
        char *begin = to;
        s = item_read(s, end, &to);
        if (!s)
            break;
        (*item)[count++] = begin;
        s = blanks(s);
        const bool more = *s == ',';
        if (!more && s != end)
            s = NULL;
        if (!s)
            break;
        *to++ = 0;                                      /* an item is shorter than what wrote it: this stays behind s */
        s = more ? blanks(s + 1) : s;
    }
    if (s)
        return count;
    free(*item);
    *item = NULL;
    return -1;
}
