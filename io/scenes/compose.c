#include "io/scenes/compose.h"

#include <string.h>

const char *const color_name[COLORS] = { "red", "orange", "yellow", "green", "blue", "purple", "gray", "white" };

static const uint8_t color_rgb[COLORS][3] = {
    { 205, 60, 60 }, { 240, 150, 50 }, { 245, 225, 90 }, { 90, 180, 90 },
    { 75, 125, 220 }, { 150, 90, 190 }, { 140, 140, 140 }, { 245, 245, 245 }
};

const char *const word_list[WORDS] = {
    "ANT", "ARM", "BAG", "BAT", "BED", "BEE", "BIG", "BOX", "BOY", "BUS", "CAP", "CAR", "CAT", "COW", "CUP", "DAY",
    "DOG", "DRY", "EAR", "EGG", "EYE", "FAN", "FIX", "FLY", "FOX", "FUN", "GAS", "HAT", "HEN", "HOT", "ICE", "INK",
    "JAM", "JET", "JOB", "KEY", "KID", "LEG", "LIP", "MAN", "MAP", "MIX", "MUD", "NET", "NUT", "OIL", "OWL", "PAN",
    "PEN", "PIG", "POT", "RAT", "RED", "RUG", "SEA", "SKY", "SUN", "TEA", "TOY", "VAN", "WAX", "WEB", "YES", "ZOO"
};

/* The background is a named color times a field of brightness, 256 = 1. */
enum { LATTICE = 9, STRIPES = 0, CHECKS, DOTS, CLOUDS, TEXTURES };

typedef struct {
    int style, texture;
    int dx, dy;                                /* direction of the gradient or the stripes, -2 .. 2 */
    int period, depth;                         /* in 1/1024 of the picture; in 1/256 */
    uint8_t lattice[LATTICE][LATTICE];
} Ground;

static Ground ground_draw(int style, Rng *r)
{
    static const int way[8][2] = { { 2, 0 }, { 0, 2 }, { 1, 1 }, { 1, -1 }, { -2, 0 }, { 0, -2 }, { -1, -1 }, { -1, 1 } };
    Ground g = { .style = style, .texture = (int)rng_draw(r, TEXTURES), .period = 100 + (int)rng_draw(r, 150),
                 .depth = 20 + (int)rng_draw(r, 20) };
    const int *d = way[rng_draw(r, 8)];
    g.dx = d[0], g.dy = d[1];
    for (int y = 0; y < LATTICE; y++)
        for (int x = 0; x < LATTICE; x++)
            g.lattice[y][x] = (uint8_t)rng_draw(r, 256);
    return g;
}

/* 0 .. 255, the lattice's values joined linearly; x, y in 0 .. 1023. */
static int cloud(const Ground *g, int x, int y)
{
    const int i = x >> 7, j = y >> 7, fx = x & 127, fy = y & 127;
    const int top = g->lattice[j][i] * (128 - fx) + g->lattice[j][i + 1] * fx;
    const int low = g->lattice[j + 1][i] * (128 - fx) + g->lattice[j + 1][i + 1] * fx;
    return (top * (128 - fy) + low * fy) >> 14;
}

static int brightness(const Ground *g, int x, int y)
{
    if (g->style == STYLE_PLAIN)
        return 256;
    const int along = (g->dx * (x - 512) + g->dy * (y - 512)) / 2;          /* -512 .. 512 */
    if (g->style == STYLE_GRADED)
        return 248 + along * 48 / 512;
    const int p = g->period, qx = x % p - p / 2, qy = y % p - p / 2;
    switch (g->texture) {
    case STRIPES: return 256 + ((along + 4 * p * 16) / (p / 2) % 2 ? -g->depth : g->depth / 2);
    case CHECKS:  return 256 + ((x / p + y / p) % 2 ? -g->depth : g->depth / 2);
    case DOTS:    return 256 + (qx * qx + qy * qy < p * p / 9 ? -g->depth : g->depth / 2);
    default:      return 256 + (cloud(g, x, y) - 140) * g->depth * 2 / 128;
    }
}

static void background(uint8_t *px, int size, int color, int style, Rng *r)
{
    const Ground g = ground_draw(style, r);
    int rgb[3];
    for (int b = 0; b < 3; b++)
        rgb[b] = color_rgb[color][b] - 8 + (int)rng_draw(r, 17);
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            const int m = brightness(&g, (int)((int64_t)x * 1024 / size), (int)((int64_t)y * 1024 / size));
            for (int b = 0; b < 3; b++)
                *px++ = (uint8_t)min64(rgb[b] * m >> 8, 255);
        }
}

typedef struct { int x, y, w, h; } Rect;

static Rect place_rect(int place, int size)
{
    if (place >= PLACE_TOP) {                  /* a third of the height */
        const int y = (place - PLACE_TOP) * size / 3;
        return (Rect){ 0, y, size, (place - PLACE_TOP + 1) * size / 3 - y };
    }
    const int half = size / 2, col = place & 1, row = place >> 1;
    return (Rect){ col * half, row * half, col ? size - half : half, row ? size - half : half };
}

/* Into the rectangle at, which lies in the picture; ink NULL keeps the cut-out's own colors. */
static void put(uint8_t *px, int size, const Cuts *cuts, Rect at, const uint8_t *ink)
{
    uint8_t line[4 * at.w];
    const Cut *src = cuts_for(cuts, at.w, at.h);
    for (int y = 0; y < at.h; y++) {
        resample_row(line, y, at.w, at.h, src);
        const uint8_t *s = line;
        uint8_t *d = px + 3 * ((int64_t)(at.y + y) * size + at.x);
        for (int x = 0; x < at.w; x++, d += 3, s += 4)
            for (int b = 0; b < 3; b++) {
                const int over = ink ? (ink[b] * s[3] + 127) / 255 : s[b];
                d[b] = (uint8_t)(over + (d[b] * (255 - s[3]) + 127) / 255);
            }
    }
}

/* The largest rectangle of the cut-out's shape in a square of this side. */
static Rect fit(const Cuts *c, int side)
{
    const int w = c->cut[0].w, h = c->cut[0].h, most = w > h ? w : h;
    return (Rect){ 0, 0, (int)max64(1, (int64_t)w * side / most), (int)max64(1, (int64_t)h * side / most) };
}

static int within(int slack, int level, Rng *r)
{
    ASSERT(slack >= 0);
    int at = (int)rng_draw(r, 1001);           /* in 1/1000 of the free room */
    if (level == 1)
        at = 500 + (at - 500) / 3;
    return slack * at / 1000;
}

static void put_word(uint8_t *px, int size, const char *word, const Cutouts *c, Rect at, const uint8_t *ink)
{
    for (int l = 0; l < 3; l++) {
        const Cuts *cuts = &c->letter[word[l] - 'A'];
        const int cell = at.w / 3, wide = (int)((int64_t)cuts->cut[0].w * at.h / cuts->cut[0].h);
        Rect f = { .w = wide < 1 ? 1 : wide < cell ? wide : cell, .h = at.h };      /* one height: a W is squeezed */
        f.x = at.x + l * cell + (cell - f.w) / 2, f.y = at.y;
        put(px, size, cuts, f, ink);
    }
}

void compose(uint8_t *px, int size, int level, const Composition *k, const Cutouts *c, Rng *r)
{
    static const uint8_t dark[3] = { 24, 24, 32 }, light[3] = { 250, 250, 250 };
    const uint8_t *rgb = color_rgb[k->color];
    const bool deep = rgb[0] + rgb[1] + rgb[2] < 420;          /* light ink is read on deep colors only */
    const uint8_t *ink = rng_draw(r, 2) && deep ? light : dark;
    background(px, size, k->color, k->style, r);

    for (int i = 0; i < k->n; i++) {
        const Item *t = &k->item[i];
        const bool word = k->kind == SCENE_WORDS, letter = k->kind == SCENE_LETTERS;
        const Rect band = place_rect(t->place, size);
        const int spread = (int)rng_draw(r, 80);
        const int share = (t->large ? 840 : word ? 680 : 470) + (level == 1 ? spread / 2 : spread);
        const int side = (int)max64(1, (band.w < band.h ? band.w : band.h) * share / 1000);
        const Cuts *cuts = word ? NULL : letter ? &c->letter[t->thing] : &c->thing[t->thing].cuts;
        Rect at = word ? (Rect){ 0, 0, 3 * side, (int)max64(1, side * 7 / 8) } : fit(cuts, side);
        at.x = band.x + within(band.w - at.w, level, r);
        at.y = band.y + within(band.h - at.h, level, r);
        if (word)
            put_word(px, size, word_list[t->thing], c, at, ink);
        else
            put(px, size, cuts, at, letter ? ink : NULL);
    }
}

int composition_draw(int kind, const Cutouts *c, Rng *r)
{
    if (kind == SCENE_LETTERS)
        return (int)rng_draw(r, LETTERS);
    if (kind == SCENE_WORDS)
        return (int)rng_draw(r, WORDS);
    const Category *g = &c->category[rng_draw(r, c->categories)];
    return g->first + (int)rng_draw(r, g->n);
}

int composition_absent(const Composition *k, const Cutouts *c, Rng *r)
{
    for (;;) {
        const int thing = composition_draw(k->kind, c, r);
        bool here = false;
        for (int i = 0; i < k->n; i++)
            here |= k->item[i].thing == thing;
        if (!here)
            return thing;
    }
}
