#include "io/image/header.h"
#include "io/image/image.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const int64_t HUGE_NUMBER = INT64_C(1) << 40;

static int64_t big(const uint8_t *b, int n)
{
    int64_t x = 0;
    for (int i = 0; i < n; i++)
        x = x << 8 | b[i];
    return x;
}

static int64_t little(const uint8_t *b, int n)
{
    int64_t x = 0;
    for (int i = n; i-- > 0;)
        x = x << 8 | b[i];
    return x;
}

static bool jpeg(FILE *f, int64_t *w, int64_t *h)
{
    uint8_t b[9];
    if (fseek(f, 2, SEEK_SET) != 0)
        return false;
    while (fread(b, 1, 4, f) == 4 && b[0] == 0xFF) {
        const int marker = b[1], len = (int)big(b + 2, 2);
        const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
        if (marker == 0xFF) {                              /* a byte that fills */
            if (fseek(f, -3, SEEK_CUR) != 0)
                return false;
            continue;
        }
        if (frame && fread(b + 4, 1, 5, f) == 5) {
            *h = big(b + 5, 2);
            *w = big(b + 7, 2);
            return true;
        }
        if (marker == 0xDA || len < 2 || fseek(f, len - 2, SEEK_CUR) != 0)
            break;
    }
    return false;
}

static bool is_blank(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The next number of a PPM's header, over blanks and comments; 0: there is none, or a blank does not end it. */
static int64_t ppm_number(FILE *f)
{
    int64_t x = 0;
    int c = fgetc(f);
    while (c == '#' || is_blank(c)) {
        while (c == '#' && (c = fgetc(f)) != '\n' && c != EOF)
            c = '#';
        if (c != EOF)
            c = fgetc(f);
    }
    for (; c >= '0' && c <= '9'; c = fgetc(f))
        if (x < HUGE_NUMBER)
            x = 10 * x + c - '0';
    return is_blank(c) ? x : 0;
}

/* Are there n numbers, with blanks between them? */
static bool holds(FILE *f, int64_t n)
{
    bool inside = false;
    for (int c; n > 0 && (c = getc_unlocked(f)) != EOF; inside = !is_blank(c)) {
        if (!is_blank(c) && (c < '0' || c > '9'))
            return false;
        n -= !inside && !is_blank(c);
    }
    return n <= 0;
}

/* kind: the digit or letter behind P.  Where grey or colour has no white (1 to 65535), there is no picture. */
static int ppm(FILE *f, int kind, int64_t *w, int64_t *h)
{
    if (fseek(f, 2, SEEK_SET) != 0)
        return SIZE_UNKNOWN;
    *w = ppm_number(f);
    *h = ppm_number(f);
    const int64_t white = strchr("2356", kind) ? ppm_number(f) : 1;
    if (white < 1 || white > UINT16_MAX)
        *w = *h = 0;
    const bool small = *w <= IMAGE_SIDE && *h <= IMAGE_SIDE && *w * *h <= IMAGE_PIXELS;
    return kind > '3' || !small || holds(f, *w * *h * (kind == '3' ? 3 : 1)) ? SIZE_EXACT : SIZE_CUT;
}

/* The chunk behind RIFF, length, WEBP. */
static bool webp(const uint8_t *b, size_t n, int64_t *w, int64_t *h)
{
    if (n < 30)
        return false;
    if (!memcmp(b + 12, "VP8X", 4)) {
        *w = 1 + little(b + 24, 3);
        *h = 1 + little(b + 27, 3);
    } else if (!memcmp(b + 12, "VP8L", 4)) {
        const int64_t bits = little(b + 21, 4);
        *w = 1 + (bits & 0x3FFF);
        *h = 1 + (bits >> 14 & 0x3FFF);
    } else if (!memcmp(b + 12, "VP8 ", 4)) {
        *w = little(b + 26, 2) & 0x3FFF;
        *h = little(b + 28, 2) & 0x3FFF;
    } else {
        return false;
    }
    return true;
}

/* Of the first page's entries: tag, type (3: 16 bits, 4: 32 bits), count, value. */
static bool tiff(FILE *f, const uint8_t *head, int64_t *w, int64_t *h)
{
    int64_t (*const number)(const uint8_t *, int) = head[0] == 'M' ? big : little;
    uint8_t b[12];
    int found = 0;
    if (fseek(f, (long)number(head + 4, 4), SEEK_SET) != 0 || fread(b, 1, 2, f) != 2)
        return false;
    for (int64_t n = number(b, 2); n > 0 && fread(b, 1, 12, f) == 12; n--) {
        const int64_t tag = number(b, 2), type = number(b + 2, 2), value = number(b + 8, type == 3 ? 2 : 4);
        if (tag == 256)
            *w = value, found |= 1;
        else if (tag == 257)
            *h = value, found |= 2;
    }
    return found == 3;
}

int picture_size(const char *path, int64_t *w, int64_t *h)
{
    uint8_t b[32] = { 0 };
    FILE *f = fopen(path, "rb");
    const size_t n = f ? fread(b, 1, sizeof b, f) : 0;
    int found = SIZE_UNKNOWN;
    if (n >= 2 && b[0] == 0xFF && b[1] == 0xD8) {
        found = jpeg(f, w, h) ? SIZE_EXACT : SIZE_UNKNOWN;
    } else if (n >= 24 && !memcmp(b, "\x89PNG\r\n\x1a\n", 8)) {
        *w = big(b + 16, 4);
        *h = big(b + 20, 4);
        found = SIZE_EXACT;
    } else if (n >= 10 && !memcmp(b, "GIF8", 4)) {
        *w = little(b + 6, 2);
        *h = little(b + 8, 2);
        found = SIZE_LOOSE;
    } else if (n >= 2 && b[0] == 'P' && strchr("123456Ff", b[1]) && b[1]) {
        found = ppm(f, b[1], w, h);
    } else if (n >= 16 && !memcmp(b, "RIFF", 4) && !memcmp(b + 8, "WEBP", 4)) {
        found = webp(b, n, w, h) ? SIZE_EXACT : SIZE_UNKNOWN;
    } else if (n >= 8 && (!memcmp(b, "II*\0", 4) || !memcmp(b, "MM\0*", 4))) {
        found = tiff(f, b, w, h) ? SIZE_LOOSE : SIZE_UNKNOWN;
    }
    if (f)
        fclose(f);
    return found;
}
