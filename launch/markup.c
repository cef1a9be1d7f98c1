#include "launch/markup.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the character at p that XML may hold, or 0. */
static size_t character(const unsigned char *p)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const size_t n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;
    uint32_t u = n > 1 ? *p & (0x7fu >> n) : *p;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        u = u << 6 | (p[i] & 0x3fu);
    }
    if (n == 0 || u < least[n] || u > 0x10ffff || (u >= 0xd800 && u < 0xe000) || u == 0xfffe || u == 0xffff)
        return 0;
    return (u < ' ' && u != '\t' && u != '\n') || (u >= 0x7f && u < 0xa0) ? 0 : n;
}

void markup_text(FILE *f, const char *s)
{
    for (size_t n; *s; s += n ? n : 1) {
        n = character((const unsigned char *)s);
        if (n == 0)
            fputs("\xef\xbf\xbd", f);
        else if (strchr("<>&\"'", *s))
            fprintf(f, "&#%d;", *s);
        else
            fwrite(s, 1, n, f);
    }
}

void markup_base64(FILE *f, const void *bytes, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i += 3) {
        const uint32_t u = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        fputc(digit[u >> 18], f);
        fputc(digit[u >> 12 & 63], f);
        fputc(i + 1 < n ? digit[u >> 6 & 63] : '=', f);
        fputc(i + 2 < n ? digit[u & 63] : '=', f);
    }
}
