#include "launch/kits/pytext.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

enum { PART = 1 << 16, PATTERNS = 32 };
struct PadPart { PadPart *before; size_t n, cap; char bytes[]; };

char *pad_room(Pad *p, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (!p->last || p->last->n + bytes > p->last->cap) {
        const size_t cap = bytes > PART ? bytes : PART;
        PadPart *part = malloc(sizeof *part + cap);
        CHECK(part, "no memory for a text of %zu bytes", bytes);
        part->before = p->last, part->n = 0, part->cap = cap;
        p->last = part;
    }
    char *at = p->last->bytes + p->last->n;
    p->last->n += bytes;
    return at;
}

void pad_clear(Pad *p)
{
    for (PadPart *part = p->last, *before; part; part = before) {
        before = part->before;
        free(part);
    }
    p->last = NULL;
}

char *pad_text(Pad *p, const char *s, size_t n)
{
    char *copy = pad_room(p, n + 1);
    memcpy(copy, s, n);
    copy[n] = 0;
    return copy;
}

char *pad_print(Pad *p, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    char *s = pad_room(p, (size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return s;
}

/* The character at s and its bytes; a byte that is no UTF-8 is a character. */
static int32_t character(const char *s, int *bytes)
{
    utf8proc_int32_t c;
    const utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s, -1, &c);
    *bytes = n > 0 ? (int)n : *s != 0;
    return n > 0 ? c : (uint8_t)*s;
}

static bool space(int32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

const char *py_next(const char *s)
{
    int n;
    character(s, &n);
    return s + n;
}

const char *py_before(const char *begin, const char *s)
{
    if (s == begin)
        return NULL;
    do
        s--;
    while (s > begin && ((uint8_t)*s & 0xc0) == 0x80);
    return s;
}

char *py_lower(Pad *p, const char *s)
{
    char *out = pad_room(p, 2 * strlen(s) + 8), *to = out;
    for (int n; *s; s += n) {
        const int32_t c = character(s, &n);
        if (c == 0x130) {                               /* a dotted capital I has two characters in lower case */
            memcpy(to, "i\xcc\x87", 3);
            to += 3;
        } else if (c < 0x80)
            *to++ = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        else
            to += utf8proc_encode_char(utf8proc_tolower(c), (utf8proc_uint8_t *)to);
    }
    *to = 0;
    return out;
}

char *py_strip(Pad *p, const char *s)
{
    int n;
    while (*s && space(character(s, &n)))
        s += n;
    const char *end = s + strlen(s), *last;
    while ((last = py_before(s, end)) && space(character(last, &n)))
        end = last;
    return pad_text(p, s, (size_t)(end - s));
}

char *py_rstrip_of(Pad *p, const char *s, const char *ascii)
{
    size_t n = strlen(s);
    while (n && strchr(ascii, s[n - 1]))
        n--;
    return pad_text(p, s, n);
}

char *py_strip_of(Pad *p, const char *s, const char *ascii) { return py_rstrip_of(p, s + strspn(s, ascii), ascii); }

char *py_replace(Pad *p, const char *s, const char *from, const char *to)
{
    const size_t a = strlen(from), b = strlen(to);
    size_t times = 0;
    for (const char *at = s; (at = strstr(at, from)); at += a)
        times++;
    char *out = pad_room(p, strlen(s) + times * b + 1), *o = out;
    for (const char *at; (at = strstr(s, from)); s = at + a) {
        memcpy(o, s, (size_t)(at - s));
        o += at - s;
        memcpy(o, to, b);
        o += b;
    }
    memcpy(o, s, strlen(s) + 1);
    return out;
}

char *py_without(Pad *p, const char *s, const char *ascii)
{
    char *out = pad_text(p, s, strlen(s)), *to = out;
    for (const char *at = out; *at; at++)
        if (!strchr(ascii, *at))
            *to++ = *at;
    *to = 0;
    return out;
}

int py_split(Pad *p, const char *s, char ***word)
{
    char *copy = pad_text(p, s, strlen(s));
    int n = 0, bytes;
    *word = (char **)(void *)pad_room(p, (strlen(s) / 2 + 1) * sizeof **word);
    for (bool in = false; *copy; copy += bytes) {
        const bool blank = space(character(copy, &bytes));
        if (blank)
            memset(copy, 0, (size_t)bytes);
        else if (!in)
            (*word)[n++] = copy;
        in = !blank;
    }
    return n;
}

char *py_join(Pad *p, char **word, int n)
{
    size_t bytes = 1;
    for (int i = 0; i < n; i++)
        bytes += strlen(word[i]) + 1;
    char *out = pad_room(p, bytes), *to = out;
    for (int i = 0; i < n; i++)
        to += sprintf(to, "%s%s", i ? " " : "", word[i]);
    *to = 0;
    return out;
}

int py_len(const char *s)
{
    int n = 0;
    for (; *s; s = py_next(s))
        n++;
    return n;
}

int py_upper_len(const char *s)
{
    int n = 0;
    for (int bytes; *s; s += bytes) {
        const int32_t c = character(s, &bytes);
        const bool two = c == 0xdf || c == 0x149 || c == 0x1f0 || (c >= 0xfb00 && c <= 0xfb02) || c == 0xfb05 || c == 0xfb06;
        n += c == 0xfb03 || c == 0xfb04 ? 3 : two ? 2 : 1;
    }
    return n;
}

bool py_alpha(const char *s)
{
    int n;
    const utf8proc_category_t c = utf8proc_category(character(s, &n));
    return *s && c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool py_digit(const char *s)
{
    int n;
    return *s && utf8proc_category(character(s, &n)) == UTF8PROC_CATEGORY_ND;
}

const char *py_rfind(const char *s, const char *what)
{
    const char *last = NULL;
    for (const char *at = s; (at = strstr(at, what)); at++)
        last = at;
    return last;
}

/* Digits with single _ between them, which go to *to without; false: there are none. */
static bool digits(const char **s, char **to)
{
    const char *begin = *s;
    while (isdigit((unsigned char)**s) || (**s == '_' && *s > begin && isdigit((unsigned char)(*s)[1]) && (*s)[-1] != '_')) {
        if (**s != '_')
            *(*to)++ = **s;
        (*s)++;
    }
    return *s > begin;
}

bool py_float(const char *s, double *x)
{
    Pad pad = { 0 };
    const char *at = py_strip(&pad, s);
    char *text = pad_room(&pad, strlen(at) + 1), *to = text;
    bool whole, part = false, ok;
    if (*at == '+' || *at == '-')
        *to++ = *at++;
    if (!strcasecmp(at, "inf") || !strcasecmp(at, "infinity") || !strcasecmp(at, "nan")) {
        strcpy(to, at);
        ok = true;
    } else {
        whole = digits(&at, &to);
        if (*at == '.') {
            *to++ = *at++;
            part = digits(&at, &to);
        }
        ok = whole || part;
        if (ok && (*at == 'e' || *at == 'E')) {
            *to++ = *at++;
            if (*at == '+' || *at == '-')
                *to++ = *at++;
            ok = digits(&at, &to);
        }
        ok = ok && !*at;
        *to = 0;
    }
    if (ok)
        *x = strtod(text, NULL);
    pad_clear(&pad);
    return ok;
}

double py_round2(double x)
{
    char text[400];
    if (!isfinite(x))
        return x;
    snprintf(text, sizeof text, "%.2f", x);
    return strtod(text, NULL);
}

static const pcre2_code *compiled(const char *pattern)
{
    static struct { const char *pattern; pcre2_code *code; } known[PATTERNS];
    int i = 0, error;
    PCRE2_SIZE at;
    while (i < PATTERNS && known[i].code && strcmp(known[i].pattern, pattern))
        i++;
    ASSERT(i < PATTERNS);
    if (!known[i].code) {
        known[i].pattern = pattern;
        known[i].code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
        CHECK(known[i].code, "a pattern that PCRE2 refuses: %s", pattern);
    }
    return known[i].code;
}

bool py_search(const char *pattern, const char *s, size_t from, int group, size_t *begin, size_t *end)
{
    const pcre2_code *code = compiled(pattern);
    pcre2_match_data *found = pcre2_match_data_create_from_pattern(code, NULL);
    CHECK(found, "no memory to look for %s", pattern);
    const bool is = pcre2_match(code, (PCRE2_SPTR)s, strlen(s), from, 0, found, NULL) > 0;
    if (is) {
        const PCRE2_SIZE *o = pcre2_get_ovector_pointer(found);
        *begin = o[2 * group];
        *end = o[2 * group + 1];
    }
    pcre2_match_data_free(found);
    return is;
}
