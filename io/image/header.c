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
    const bool small = *w <= IMAGE_SIDE && *h <= IMAGE_SIDE;
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

/* The codestream's SIZ, behind its first marker: the reference grid, and where picture and tiles begin on it.  libvips 8.14
   gives pixels of nowhere unless that is (0, 0). */
static int codestream(FILE *f, int64_t at, int64_t *w, int64_t *h)
{
    uint8_t b[40];
    if (fseek(f, (long)at, SEEK_SET) != 0 || fread(b, 1, sizeof b, f) != sizeof b || memcmp(b, "\xFF\x4F\xFF\x51", 4) != 0)
        return SIZE_UNKNOWN;
    *w = big(b + 8, 4);
    *h = big(b + 12, 4);
    return big(b + 16, 4) || big(b + 20, 4) || big(b + 32, 4) || big(b + 36, 4) ? SIZE_SHIFTED : SIZE_EXACT;
}

/* A box of ISO media: `len` bytes at `at`, its content from `inner` on.  False: there is no whole one in [at, end). */
typedef struct { int64_t len, inner; char type[5]; } Box;

static bool read_box(FILE *f, int64_t at, int64_t end, Box *x)
{
    uint8_t b[16] = { 0 };
    if (at < 0 || at + 8 > end || fseek(f, (long)at, SEEK_SET) != 0 || fread(b, 1, sizeof b, f) < 8)
        return false;
    memcpy(x->type, b + 4, 4);
    x->type[4] = 0;
    const int64_t n = big(b, 4), head = n == 1 ? 16 : 8;
    x->len = n == 1 ? (b[8] & 0x80 ? -1 : big(b + 8, 8)) : n == 0 ? end - at : n;
    x->inner = at + head;
    return x->len >= head && x->len <= end - at;
}

static int jp2(FILE *f, int64_t end, int64_t *w, int64_t *h)
{
    Box x;
    for (int64_t at = 0, n = 0; n < 1000 && read_box(f, at, end, &x); at += x.len, n++)
        if (!strcmp(x.type, "jp2c"))
            return codestream(f, x.inner, w, h);
    return SIZE_UNKNOWN;
}

/* The largest of the sizes that the file's items have, each side on its own: meta > iprp > ipco > ispe.  Nothing true nests deeper. */
static bool heif(FILE *f, int64_t from, int64_t end, int deep, int64_t *w, int64_t *h)
{
    Box x;
    uint8_t b[12];
    bool found = false;
    for (int64_t at = from, n = 0; n < 10000 && read_box(f, at, end, &x); at += x.len, n++) {
        const bool meta = !strcmp(x.type, "meta");
        if (deep < 3 && (meta || !strcmp(x.type, "iprp") || !strcmp(x.type, "ipco")))
            found |= heif(f, x.inner + (meta ? 4 : 0), at + x.len, deep + 1, w, h);
        if (!strcmp(x.type, "ispe") && fseek(f, (long)x.inner, SEEK_SET) == 0 && fread(b, 1, 12, f) == 12) {
            *w = !found || big(b + 4, 4) > *w ? big(b + 4, 4) : *w;
            *h = !found || big(b + 8, 4) > *h ? big(b + 8, 4) : *h;
            found = true;
        }
    }
    return found;
}

static void bmp(const uint8_t *b, int64_t *w, int64_t *h)
{
    const bool old = little(b + 14, 4) == 12;
    *w = old ? little(b + 18, 2) : (int32_t)(uint32_t)little(b + 18, 4);
    *h = old ? little(b + 20, 2) : (int32_t)(uint32_t)little(b + 22, 4);
    *h = *h < 0 ? -*h : *h;
}

const char *picture_kind(const uint8_t *b, size_t n)
{
    static const char *const heic[] = { "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1" };
    if (n >= 26 && b[0] == 'B' && b[1] == 'M')
        return "BMP";
    if ((n >= 12 && !memcmp(b, "\0\0\0\x0CjP  \r\n\x87\n", 12)) || (n >= 4 && !memcmp(b, "\xFF\x4F\xFF\x51", 4)))
        return "JPEG 2000";
    if (n < 12 || memcmp(b + 4, "ftyp", 4) != 0)
        return "";
    for (size_t at = 8; at + 4 <= n && at < 32; at += at == 8 ? 8 : 4)      /* the brand, and those that it agrees with */
        if (!memcmp(b + at, "avif", 4) || !memcmp(b + at, "avis", 4))
            return "AVIF";
    for (size_t i = 0; i < sizeof heic / sizeof *heic; i++)
        if (!memcmp(b + 8, heic[i], 4))
            return "HEIC";
    return "";
}

static int size_of(FILE *f, int64_t *w, int64_t *h)
{
    uint8_t b[32] = { 0 };
    const size_t n = fread(b, 1, sizeof b, f);
    const char *kind = picture_kind(b, n);
    const int64_t end = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : 0;
    if (n >= 2 && b[0] == 0xFF && b[1] == 0xD8)
        return jpeg(f, w, h) ? SIZE_EXACT : SIZE_UNKNOWN;
    if (n >= 24 && !memcmp(b, "\x89PNG\r\n\x1a\n", 8)) {
        *w = big(b + 16, 4);
        *h = big(b + 20, 4);
        return SIZE_EXACT;
    }
    if (n >= 10 && !memcmp(b, "GIF8", 4)) {
        *w = little(b + 6, 2);
        *h = little(b + 8, 2);
        return SIZE_LOOSE;
    }
    if (n >= 2 && b[0] == 'P' && strchr("123456Ff", b[1]) && b[1])
        return ppm(f, b[1], w, h);
    if (n >= 16 && !memcmp(b, "RIFF", 4) && !memcmp(b + 8, "WEBP", 4))
        return webp(b, n, w, h) ? SIZE_EXACT : SIZE_UNKNOWN;
    if (n >= 8 && (!memcmp(b, "II*\0", 4) || !memcmp(b, "MM\0*", 4)))
        return tiff(f, b, w, h) ? SIZE_LOOSE : SIZE_UNKNOWN;
    if (!strcmp(kind, "BMP")) {
        bmp(b, w, h);
        return SIZE_EXACT;
    }
    if (!strcmp(kind, "JPEG 2000"))
        return b[0] == 0xFF ? codestream(f, 0, w, h) : jp2(f, end, w, h);
    return kind[0] && heif(f, 0, end, 0, w, h) ? SIZE_LOOSE : SIZE_UNKNOWN;
}

static int size_and_close(FILE *f, int64_t *w, int64_t *h)
{
    const int found = f ? size_of(f, w, h) : SIZE_UNKNOWN;
    if (f)
        fclose(f);
    return found;
}

int picture_size(const char *path, int64_t *w, int64_t *h) { return size_and_close(fopen(path, "rb"), w, h); }

int picture_size_bytes(const uint8_t *bytes, size_t n, int64_t *w, int64_t *h)
{
    return size_and_close(n ? fmemopen((void *)(uintptr_t)bytes, n, "rb") : NULL, w, h);
}
