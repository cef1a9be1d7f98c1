#include "io/scenes/cut.h"

#include <stdlib.h>
#include <string.h>

/* The source pixels [first, first + n) under one target pixel, weighted in units that sum to `sum`. */
typedef struct {
    int     first, n, from, to;
    int64_t lo, hi, unit;
} Taps;

static Taps taps(int x, int w, int s)
{
    if (w <= s) {                              /* down: [x, x+1) s/w of the source, measured in 1/w of its pixels */
        int64_t lo = (int64_t)x * s, hi = lo + s;
        int first = (int)(lo / w), last = (int)((hi - 1) / w);
        return (Taps){ .first = first, .n = last - first + 1, .lo = lo, .hi = hi, .unit = w };
    }
    int64_t at = max64((2 * (int64_t)x + 1) * s - w, 0);          /* up: twice the center, in 1/w of a pixel */
    int first = (int)min64(at / (2 * w), s - 1), frac = (int)(at - (int64_t)first * 2 * w);
    bool edge = first == s - 1;
    return (Taps){ .first = first, .n = edge ? 1 : 2, .from = edge ? 2 * w : 2 * w - frac, .to = frac };
}

static uint32_t weight(const Taps *t, int j)
{
    if (!t->unit)
        return (uint32_t)(j ? t->to : t->from);
    int64_t lo = (t->first + j) * t->unit, hi = lo + t->unit;
    return (uint32_t)(min64(hi, t->hi) - max64(lo, t->lo));
}

void resample_row(uint8_t *dst, int y, int w, int h, const Cut *src)
{
    ASSERT(w > 0 && h > 0 && src->w > 0 && src->h > 0);
    uint32_t row[4 * src->w];                  /* the target row, still as wide as the source */
    const uint64_t sum = (uint64_t)(w <= src->w ? src->w : 2 * w) * (uint64_t)(h <= src->h ? src->h : 2 * h);

    const Taps ty = taps(y, h, src->h);
    memset(row, 0, sizeof row);
    for (int i = 0; i < ty.n; i++) {
        const uint32_t wy = weight(&ty, i);
        const uint8_t *s = src->px + (int64_t)(ty.first + i) * src->w * 4;
        for (int x = 0; x < 4 * src->w; x++)
            row[x] += wy * s[x];
    }
    for (int x = 0; x < w; x++) {
        const Taps tx = taps(x, w, src->w);
        uint64_t acc[4] = { sum / 2, sum / 2, sum / 2, sum / 2 };
        for (int j = 0; j < tx.n; j++) {
            const uint64_t wx = weight(&tx, j);
            for (int b = 0; b < 4; b++)
                acc[b] += wx * row[4 * (tx.first + j) + b];
        }
        for (int b = 0; b < 4; b++)
            *dst++ = (uint8_t)(acc[b] / sum);
    }
}

static void cut_new(Cut *c, int w, int h)
{
    *c = (Cut){ .w = w, .h = h, .px = malloc((size_t)w * (size_t)h * 4) };
    CHECK(c->px, "no memory for a cut-out of %d x %d", w, h);
}

/* The smallest rectangle around all pixels that are at least an eighth visible. */
static bool visible(const uint8_t *px, int w, int h, int box[4])
{
    enum { FAINT = 32 };
    box[0] = w, box[1] = h, box[2] = box[3] = 0;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            if (px[4 * ((int64_t)y * w + x) + 3] >= FAINT) {
                box[0] = x < box[0] ? x : box[0], box[2] = x >= box[2] ? x + 1 : box[2];
                box[1] = y < box[1] ? y : box[1], box[3] = y + 1;
            }
    return box[2] > box[0];
}

bool cuts_set(Cuts *c, const uint8_t *px, int w, int h)
{
    int box[4];
    Cut whole;
    *c = (Cuts){ 0 };
    if (!visible(px, w, h, box))
        return false;
    cut_new(&whole, box[2] - box[0], box[3] - box[1]);
    for (int y = 0; y < whole.h; y++)
        for (int x = 0; x < whole.w; x++) {
            const uint8_t *s = px + 4 * ((int64_t)(box[1] + y) * w + box[0] + x);
            uint8_t *d = whole.px + 4 * ((int64_t)y * whole.w + x);
            for (int b = 0; b < 3; b++)
                d[b] = (uint8_t)((s[b] * s[3] + 127) / 255);
            d[3] = s[3];
        }
    const int side = whole.w > whole.h ? whole.w : whole.h;
    const int most = side < CUT_SIDE ? side : CUT_SIDE;
    for (int i = 0; i < CUT_SIZES; i++) {
        Cut *k = &c->cut[i];
        const int to = most >> i;
        cut_new(k, (int)max64(1, (int64_t)whole.w * to / side), (int)max64(1, (int64_t)whole.h * to / side));
        for (int y = 0; y < k->h; y++)
            resample_row(k->px + (int64_t)y * k->w * 4, y, k->w, k->h, &whole);
    }
    free(whole.px);
    return true;
}

void cuts_free(Cuts *c)
{
    for (int i = 0; i < CUT_SIZES; i++)
        free(c->cut[i].px);
    *c = (Cuts){ 0 };
}

const Cut *cuts_for(const Cuts *c, int w, int h)
{
    int i = CUT_SIZES - 1;
    while (i > 0 && (c->cut[i].w < w || c->cut[i].h < h))
        i--;
    return &c->cut[i];
}
