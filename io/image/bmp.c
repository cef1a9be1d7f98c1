#include "io/image/bmp.h"

#include <stdlib.h>
#include <string.h>

enum { RGB, RLE8, RLE4, FIELDS, JPEG, PNG, FIELDS_ALPHA };

typedef struct { uint32_t mask; int shift; uint32_t most; } Field;

typedef struct {
    const uint8_t *b;
    int64_t n, w, h, at;           /* at: of the pixels */
    bool    from_above;
    int     bits, packing, colours;
    const uint8_t *palette;        /* (colours) of `entry` bytes: blue, green, red */
    int     entry;
    Field   field[4];              /* red, green, blue, alpha */
} Bmp;

static int64_t little(const uint8_t *b, int n)
{
    int64_t x = 0;
    for (int i = n; i-- > 0;)
        x = x << 8 | b[i];
    return x;
}

static int64_t with_sign(const uint8_t *b) { return (int32_t)(uint32_t)little(b, 4); }

static bool set_field(Field *f, uint32_t mask)
{
    *f = (Field){ .mask = mask };
    while (mask && !(mask & 1)) {
        mask >>= 1;
        f->shift++;
    }
    f->most = mask;
    return (mask & (mask + 1)) == 0;               /* no holes */
}

static const char *read_masks(Bmp *x, int64_t header)
{
    static const uint32_t of16[] = { 0x7C00, 0x3E0, 0x1F, 0 }, of32[] = { 0xFF0000, 0xFF00, 0xFF, 0 };
    const bool given = x->packing == FIELDS || x->packing == FIELDS_ALPHA;
    const int own = header >= 56 || x->packing == FIELDS_ALPHA ? 4 : 3;
    if (given && 54 + 4 * own > x->n)
        return "the file ends inside its header";
    for (int k = 0; k < 4; k++) {
        const uint32_t mask = !given ? (x->bits == 16 ? of16 : of32)[k] : k < own ? (uint32_t)little(x->b + 54 + 4 * k, 4) : 0;
        if (!set_field(&x->field[k], mask) || (k < 3 && !mask))
            return "a colour's mask is empty or has holes";
    }
    return NULL;
}

static const char *read_palette(Bmp *x, int64_t header, int64_t used)
{
    const int64_t most = 1 << x->bits, at = 14 + header, entries = used > 0 && used < most ? used : most;
    x->entry = header == 12 ? 3 : 4;
    x->palette = x->b + at;
    x->colours = (int)entries;
    return at + entries * x->entry <= x->n ? NULL : "the file ends inside its palette";
}

static const char *read_header(Bmp *x)
{
    const uint8_t *b = x->b;
    if (x->n < 26 || b[0] != 'B' || b[1] != 'M')
        return "this is no bitmap";
    const int64_t header = little(b + 14, 4);
    int64_t used = 0, planes;
    x->at = little(b + 10, 4);
    if (header == 12) {
        x->w = little(b + 18, 2);
        x->h = little(b + 20, 2);
        planes = little(b + 22, 2);
        x->bits = (int)little(b + 24, 2);
    } else {
        if (header != 40 && header != 52 && header != 56 && header != 64 && header != 108 && header != 124)
            return "a header of an unknown kind";
        if (14 + header > x->n)
            return "the file ends inside its header";
        x->w = with_sign(b + 18);
        x->h = with_sign(b + 22);
        planes = little(b + 26, 2);
        x->bits = (int)little(b + 28, 2);
        x->packing = (int)little(b + 30, 4);
        used = little(b + 46, 4);
        x->from_above = x->h < 0;
        x->h = x->from_above ? -x->h : x->h;
    }
    const int packing = x->packing, bits = x->bits;
    if (planes != 1)
        return "more than one plane of colours";
    if (packing == JPEG || packing == PNG)
        return "a JPEG or PNG inside a bitmap is not read";
    if (packing == RLE8 ? bits != 8 : packing == RLE4 ? bits != 4 : (packing == FIELDS || packing == FIELDS_ALPHA) ? bits != 16 && bits != 32
        : packing != RGB || (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32))
        return "a packing of pixels that is not known";
    return bits <= 8 ? read_palette(x, header, used) : bits == 24 ? NULL : read_masks(x, header);
}

static void colour(const Bmp *x, uint8_t *out, int index)
{
    const uint8_t *p = x->palette + (int64_t)(index < x->colours ? index : 0) * x->entry;
    out[0] = p[2];
    out[1] = p[1];
    out[2] = p[0];
    if (index >= x->colours)
        memset(out, 0, 3);
}

static uint8_t level(const Field *f, uint32_t v)
{
    return f->most ? (uint8_t)((uint64_t)((v & f->mask) >> f->shift) * 255 / f->most) : 255;
}

static void row(const Bmp *x, uint8_t *out, const uint8_t *in, int bands)
{
    for (int64_t i = 0; i < x->w; i++, out += bands) {
        if (x->bits <= 8) {
            const int per = 8 / x->bits, shift = 8 - x->bits - (int)(i % per) * x->bits;
            colour(x, out, in[i / per] >> shift & ((1 << x->bits) - 1));
        } else if (x->bits == 24) {
            out[0] = in[3 * i + 2];
            out[1] = in[3 * i + 1];
            out[2] = in[3 * i];
        } else {
            const uint32_t v = (uint32_t)little(in + i * (x->bits / 8), x->bits / 8);
            for (int k = 0; k < bands; k++)
                out[k] = level(&x->field[k], v);
        }
    }
}

/* Runs and stretches of indices; pixels that they leave out have colour 0.  False: they end before they should. */
static bool unpack_runs(const Bmp *x, uint8_t *index)
{
    const uint8_t *p = x->b + x->at, *end = x->b + x->n;
    const bool half = x->bits == 4;
    int64_t i = 0, j = 0;
    while (end - p >= 2 && j < x->h) {
        const int n = p[0], v = p[1];
        p += 2;
        if (n) {
            for (int k = 0; k < n; k++, i++)
                if (i < x->w)
                    index[j * x->w + i] = (uint8_t)(!half ? v : k % 2 ? v & 15 : v >> 4);
        } else if (v == 0) {
            i = 0;
            j++;
        } else if (v == 1) {
            return true;
        } else if (v == 2) {
            if (end - p < 2)
                return false;
            i += p[0];
            j += p[1];
            p += 2;
        } else {
            const int64_t bytes = half ? (v + 1) / 2 : v, whole = bytes + (bytes & 1);
            if (end - p < bytes)
                return false;
            for (int k = 0; k < v; k++, i++)
                if (i < x->w)
                    index[j * x->w + i] = (uint8_t)(!half ? p[k] : k % 2 ? p[k / 2] & 15 : p[k / 2] >> 4);
            p += whole < end - p ? whole : end - p;
        }
    }
    return j >= x->h;
}

static const char *decode(const Bmp *x, uint8_t *px, int bands)
{
    const int64_t stride = (x->w * x->bits + 31) / 32 * 4, row_bytes = (x->w * x->bits + 7) / 8;
    uint8_t *index = NULL;
    bool whole = true;
    if (x->packing == RLE8 || x->packing == RLE4) {
        if (!(index = calloc((size_t)(x->w * x->h), 1)))
            return "no memory";
        whole = unpack_runs(x, index);
    }
    for (int64_t j = 0; j < x->h && whole; j++) {
        uint8_t *out = px + (x->from_above ? j : x->h - 1 - j) * x->w * bands;
        for (int64_t i = 0; i < x->w && index; i++)
            colour(x, out + 3 * i, index[j * x->w + i]);
        whole = index || x->at + j * stride + row_bytes <= x->n;
        if (!index && whole)
            row(x, out, x->b + x->at + j * stride, bands);
    }
    free(index);
    return whole ? NULL : "the bitmap ends before its last pixel";
}

bool bmp_decode(uint8_t **px, int *w, int *h, int *bands, const uint8_t *bytes, size_t n, int64_t max_side, int64_t max_pixels, const char **why)
{
    Bmp x = { .b = bytes, .n = (int64_t)n };
    *px = NULL;
    *why = read_header(&x);
    if (!*why && (x.w < 1 || x.h < 1 || x.w > max_side || x.h > max_side || x.w * x.h > max_pixels))
        *why = "its size is none, or too large";
    if (!*why && (x.at < 14 || x.at > x.n))
        *why = "the bitmap ends before its first pixel";
    if (*why)
        return false;
    *w = (int)x.w;
    *h = (int)x.h;
    *bands = x.bits > 8 && x.field[3].mask ? 4 : 3;
    *px = malloc((size_t)(x.w * x.h) * (size_t)*bands);
    if (*px)
        *why = decode(&x, *px, *bands);
    if (!*px || *why) {
        free(*px);
        *px = NULL;
        return false;
    }
    return true;
}
