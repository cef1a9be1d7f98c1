#include "launch/serve/dataurl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base.h"

static int value(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* n bytes of base64 -> out, of 3 bytes for each 4; false where it is none. */
static bool decode(uint8_t *out, size_t *made, const char *s, size_t n)
{
    size_t pad = n > 0 && s[n - 1] == '=' ? 1 + (n > 1 && s[n - 2] == '=') : 0;
    uint32_t bits = 0;
    *made = 0;
    if (n % 4)
        return false;
    for (size_t i = 0; i < n - pad; i++) {
        const int v = value((unsigned char)s[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4)
            out[(*made)++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return pad == 0 || (bits & (pad == 1 ? 3 : 15)) == 0;
}

DataUrl dataurl_read(const char *url, size_t n, uint8_t **bytes, size_t *n_bytes)
{
    static const char data[] = "data:", coded[] = ";base64";
    const char *comma = memchr(url, ',', n < 256 ? n : 256), *colon = memchr(url, ':', n < 16 ? n : 16);
    *bytes = NULL;
    *n_bytes = 0;
    if (n < sizeof data - 1 || strncasecmp(url, data, sizeof data - 1))
        return colon && n > (size_t)(colon - url) + 2 && colon[1] == '/' && colon[2] == '/' ? DATA_FETCH : DATA_OTHER;
    const char *kind = url + sizeof data - 1, *end = comma ? comma - (sizeof coded - 1) : NULL;
    if (!comma || end < kind || strncasecmp(end, coded, sizeof coded - 1) || (end > kind && strncasecmp(kind, "image/", 6)))
        return DATA_OTHER;
    const size_t have = n - (size_t)(comma + 1 - url);
    if (have == 0)
        return DATA_EMPTY;
    *bytes = malloc(have / 4 * 3 + 3);
    CHECK(*bytes, "no memory for a picture of %zu bytes", have / 4 * 3);
    if (decode(*bytes, n_bytes, comma + 1, have))
        return DATA_GIVEN;
    free(*bytes);
    *bytes = NULL;
    return DATA_BROKEN;
}
