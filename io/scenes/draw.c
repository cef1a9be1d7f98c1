#include "io/scenes/draw.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const Drawing drawings[] = {
    { "animal", "fish", "#f08c28 p 70 50 98 25 90 50 98 75 e 44 50 40 25 p 40 30 55 8 62 32 #ffffff e 24 44 8 8 #202020 e 23 44 4 4" },
    { "animal", "bird", "#3c78d2 p 5 62 30 45 35 65 e 50 55 30 20 e 72 34 17 17 #f0b428 p 86 28 99 36 85 42 #28509b e 46 52 18 9 s 3 45 74 45 92 s 3 56 74 56 92 #ffffff e 75 31 5 5" },
    { "animal", "cat", "#787882 p 16 8 40 30 14 48 p 84 8 60 30 86 48 e 50 56 40 36 #dcdc50 e 34 50 9 9 e 66 50 9 9 #202020 e 34 50 3 8 e 66 50 3 8 #f08ca0 p 43 64 57 64 50 73 #ffffff s 2 38 72 12 66 s 2 62 72 88 66" },
    { "animal", "snail", "#d2b48c p 4 88 14 60 28 60 34 76 96 84 96 90 s 3 16 62 10 40 s 3 24 62 26 40 #a0522d e 60 52 32 32 #e6c8a0 e 60 52 22 22 #a0522d e 60 52 12 12" },
    { "animal", "butterfly", "#d23cb4 e 26 32 24 26 e 74 32 24 26 #f082d2 e 30 72 18 20 e 70 72 18 20 #ffe650 e 26 32 9 9 e 74 32 9 9 #3c2828 e 50 52 6 34 s 3 48 20 38 4 s 3 52 20 62 4" },
    { "animal", "mouse", "#b4b4be s 4 88 70 96 50 90 34 e 58 66 36 24 e 24 58 20 18 e 30 36 14 14 #f0b4c8 e 30 36 8 8 #202020 e 16 54 4 4 e 4 62 4 4" },
    { "plant", "oak", "#7d5028 p 42 55 58 55 62 98 38 98 #3ca03c e 30 48 26 22 e 70 48 26 22 e 50 28 30 26" },
    { "plant", "flower", "#3c963c s 5 50 55 50 98 #e63c8c e 50 16 15 16 e 78 34 16 15 e 68 66 15 16 e 32 66 15 16 e 22 34 16 15 #fadc3c e 50 42 15 15" },
    { "plant", "cactus", "#46963c s 15 50 18 50 92 s 11 50 66 22 62 22 36 s 11 50 54 78 50 78 26 #e65a8c e 50 9 9 7" },
    { "plant", "leaf", "#6eb432 p 50 2 74 24 84 50 74 74 50 90 26 74 16 50 26 24 #3c781e s 4 50 16 50 99 s 3 50 48 68 34 s 3 50 48 32 34 s 3 50 68 70 54 s 3 50 68 30 54" },
    { "plant", "fir", "#7d5028 p 44 80 56 80 56 98 44 98 #1e6e46 p 50 42 86 84 14 84 p 50 22 78 60 22 60 p 50 2 70 36 30 36" },
    { "plant", "clover", "#2d8232 s 5 52 50 62 98 #50b446 e 32 30 20 20 e 70 30 20 20 e 50 60 20 20 #2d8232 e 51 40 7 7" },
    { "food", "apple", "#d22828 e 34 58 28 34 e 64 58 28 34 #6e4620 s 5 50 30 54 6 #50a032 e 70 14 16 8" },
    { "food", "pear", "#bec832 e 50 66 34 30 e 50 36 18 24 #6e4620 s 5 50 14 58 2" },
    { "food", "carrot", "#f07d1e p 26 30 74 30 54 98 46 98 #3c963c s 6 50 30 50 4 s 6 50 30 30 8 s 6 50 30 70 8" },
    { "food", "cherry", "#3c963c s 4 28 66 56 6 74 60 #be1446 e 26 74 22 22 e 74 70 22 22 #ffffff e 19 67 5 5 e 67 63 5 5" },
    { "food", "ice cone", "#dca050 p 24 46 76 46 50 99 #f5a0be e 50 30 30 26 #fff5dc e 50 20 18 14" },
    { "food", "cake", "#e8c89b p 8 48 92 48 92 94 8 94 #f082aa p 8 44 92 44 92 62 80 70 66 60 50 72 34 60 20 70 8 62 #fafafa s 6 50 42 50 18 #f0a01e e 50 10 5 8" },
    { "vehicle", "car", "#d23232 p 24 22 66 22 82 46 98 50 98 74 2 74 2 46 12 46 #bee6fa p 28 28 46 28 46 46 20 46 p 52 28 63 28 74 46 52 46 #282828 e 24 76 14 14 e 76 76 14 14 #c8c8c8 e 24 76 5 5 e 76 76 5 5" },
    { "vehicle", "boat", "#f5f5f5 p 54 4 92 62 54 62 p 46 16 46 62 16 62 #96502d p 2 66 98 66 82 94 18 94" },
    { "vehicle", "rocket", "#e65a28 p 38 78 62 78 50 99 #3250aa p 34 50 14 82 34 76 p 66 50 86 82 66 76 #e6e6eb p 50 2 66 26 68 78 32 78 34 26 #50aadc e 50 38 10 10" },
    { "vehicle", "truck", "#3c8c50 p 2 20 62 20 62 72 2 72 #f0be32 p 64 36 82 36 98 54 98 72 64 72 #bee6fa p 70 41 80 41 90 54 70 54 #282828 e 20 76 12 12 e 50 76 12 12 e 82 76 12 12" },
    { "vehicle", "balloon", "#6e4620 s 2 34 58 42 84 s 2 66 58 58 84 #e6463c e 50 36 34 34 #fad23c e 50 36 14 34 #a06432 p 40 82 60 82 58 98 42 98" },
    { "vehicle", "bus", "#f0b41e p 2 16 98 16 98 76 2 76 #bee6fa p 8 24 26 24 26 44 8 44 p 32 24 50 24 50 44 32 44 p 56 24 74 24 74 44 56 44 p 80 24 92 24 92 44 80 44 #282828 e 24 78 12 12 e 76 78 12 12" },
    { "building", "house", "#e6c88c p 14 46 86 46 86 96 14 96 #be4632 p 50 6 96 50 4 50 #6e4620 p 42 64 58 64 58 96 42 96 #aadcf5 p 22 60 36 60 36 76 22 76 p 64 60 78 60 78 76 64 76" },
    { "building", "tower", "#b4aa9b p 32 26 68 26 72 98 28 98 p 24 6 34 6 34 14 44 14 44 6 56 6 56 14 66 14 66 6 76 6 76 28 24 28 #503c28 e 50 46 6 10 p 42 78 58 78 58 98 42 98" },
    { "building", "tent", "#e6823c p 50 8 98 92 2 92 #5a321e p 50 40 68 92 32 92 #c8c8c8 s 3 50 8 50 2" },
    { "building", "castle", "#969baa p 4 20 28 20 28 44 72 44 72 20 96 20 96 96 4 96 #783c8c p 16 0 32 22 0 22 p 84 0 100 22 68 22 #463228 p 38 70 50 58 62 70 62 96 38 96" },
    { "building", "igloo", "#e6f0fa p 2 84 8 56 26 34 50 26 74 34 92 56 98 84 #6482a0 p 36 84 38 64 50 56 62 64 64 84 s 2 12 56 34 56 s 2 66 56 88 56 s 2 34 30 34 54 s 2 66 30 66 54" },
    { "building", "windmill", "#c8965a p 36 40 64 40 74 98 26 98 #8c3c28 p 50 24 68 42 32 42 #f5f0dc p 48 36 52 36 84 2 92 12 p 48 38 52 38 90 72 80 78 p 48 38 52 38 16 74 8 66 p 48 36 52 36 20 0 10 8" },
    { "shape", "circle", "#3c6edc e 50 50 46 46" },
    { "shape", "square", "#32aa50 p 8 8 92 8 92 92 8 92" },
    { "shape", "triangle", "#f0a01e p 50 6 97 92 3 92" },
    { "shape", "star", "#fadc28 p 50 2 62 36 98 37 69 59 79 94 50 73 21 94 31 59 2 37 38 36" },
    { "shape", "heart", "#e61e46 p 50 96 6 50 2 32 8 16 22 8 36 10 50 26 64 10 78 8 92 16 98 32 94 50" },
    { "shape", "ring", "#8c46c8 e 50 50 46 46 - e 50 50 24 24" },
    { NULL, NULL, NULL }
};

static const char *const letters[26] = {
    "s 15 10 92 50 8 90 92 s 13 26 64 74 64",
    "s 15 20 8 20 92 58 92 74 84 80 70 74 56 58 49 20 49 s 15 20 8 54 8 70 15 74 28 70 42 54 49",
    "s 15 84 24 70 11 50 8 30 14 18 30 15 50 18 70 30 86 50 92 70 89 84 76",
    "s 15 18 8 18 92 46 92 66 86 79 72 84 50 79 28 66 14 46 8 18 8",
    "s 15 80 8 22 8 22 92 80 92 s 15 22 49 70 49",
    "s 15 80 8 24 8 24 92 s 15 24 49 70 49",
    "s 15 84 22 70 11 50 8 30 14 18 30 15 50 18 70 30 86 50 92 70 88 84 78 84 54 58 54",
    "s 15 18 8 18 92 s 15 82 8 82 92 s 15 18 49 82 49",
    "s 15 50 8 50 92 s 13 32 8 68 8 s 13 32 92 68 92",
    "s 15 72 8 72 68 66 84 50 92 34 88 26 76 26 66",
    "s 15 20 8 20 92 s 15 80 8 22 54 s 15 40 40 82 92",
    "s 15 24 8 24 92 80 92",
    "s 15 10 92 16 8 50 66 84 8 90 92",
    "s 15 18 92 18 8 82 92 82 8",
    "s 15 50 8 68 14 80 30 84 50 80 70 68 86 50 92 32 86 20 70 16 50 20 30 32 14 50 8",
    "s 15 22 92 22 8 58 8 74 16 80 31 74 46 58 54 22 54",
    "s 15 50 8 68 14 80 30 84 50 80 70 68 86 50 92 32 86 20 70 16 50 20 30 32 14 50 8 s 14 58 66 88 96",
    "s 15 20 92 20 8 56 8 72 15 78 29 72 43 56 50 20 50 s 15 48 50 82 92",
    "s 15 78 22 66 11 50 8 32 12 23 27 30 41 50 49 70 57 79 72 70 87 50 92 32 89 20 78",
    "s 15 10 8 90 8 s 15 50 8 50 92",
    "s 15 18 8 18 62 24 80 36 89 50 92 64 89 76 80 82 62 82 8",
    "s 15 12 8 50 92 88 8",
    "s 14 8 8 28 92 50 30 72 92 92 8",
    "s 15 16 8 84 92 s 15 84 8 16 92",
    "s 15 12 8 50 50 88 8 s 15 50 50 50 92",
    "s 15 18 8 82 8 18 92 82 92",
};

const char *draw_letter(int letter) { return letters[letter]; }

enum { NUMBERS = 64 };

typedef struct {
    char   kind;                               /* e, p or s, as in draw.h */
    bool   hole;
    double rgb[3], v[NUMBERS];
    int    n;
} Part;

/* The next part of the art; NULL at its end. */
static const char *next_part(Part *part, const char *art)
{
    part->hole = false;
    for (; *art && !strchr("eps", *art); art++)
        if (*art == '-')
            part->hole = true;
        else if (*art == '#') {
            char *end;
            const long rgb = strtol(art + 1, &end, 16);
            for (int b = 0; b < 3; b++)
                part->rgb[b] = (double)(rgb >> (16 - 8 * b) & 255);
            art = end;
        }
    if (!*art)
        return NULL;
    part->kind = *art++;
    for (part->n = 0;; part->n++) {
        while (*art == ' ')
            art++;
        if (!isdigit((unsigned char)*art))
            return art;
        ASSERT(part->n < NUMBERS);
        char *end;
        part->v[part->n] = strtod(art, &end);
        art = end;
    }
}

static double segment(double x, double y, const double *a, const double *b)
{
    const double dx = b[0] - a[0], dy = b[1] - a[1], len = dx * dx + dy * dy;
    double t = len > 0 ? ((x - a[0]) * dx + (y - a[1]) * dy) / len : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(x - a[0] - t * dx, y - a[1] - t * dy);
}

/* Signed distance to the part's edge, negative inside. */
static double distance(const Part *p, double x, double y)
{
    const double *v = p->v;
    double d = 1e9;
    if (p->kind == 'e') {                      /* first order: exact on the edge */
        const double ux = (x - v[0]) / v[2], uy = (y - v[1]) / v[3], k = hypot(ux, uy);
        return k > 0 ? k * (k - 1) / hypot(ux / v[2], uy / v[3]) : -fmin(v[2], v[3]);
    }
    if (p->kind == 's') {
        for (int i = 1; i + 3 < p->n; i += 2)
            d = fmin(d, segment(x, y, v + i, v + i + 2));
        return d - v[0] / 2;
    }
    bool inside = false;
    for (int i = 0, j = p->n - 2; i < p->n; j = i, i += 2) {
        const double *a = v + i, *b = v + j;
        d = fmin(d, segment(x, y, a, b));
        if ((a[1] > y) != (b[1] > y) && x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0])
            inside = !inside;
    }
    return inside ? -d : d;
}

static double ramp(double d) { return d < -0.5 ? 1 : d > 0.5 ? 0 : 0.5 - d; }

void draw(uint8_t *px, int side, const char *art, bool rim)
{
    const double scale = side / 100.0, wide = rim ? 2.2 : 0, dim = 0.3;     /* the rim's width and brightness */
    float *canvas = calloc((size_t)side * (size_t)side * 4, sizeof *canvas);   /* premultiplied */
    CHECK(canvas, "no memory for a drawing of %d x %d", side, side);
    Part part = { 0 };
    while ((art = next_part(&part, art))) {
        float *c = canvas;
        for (int y = 0; y < side; y++)
            for (int x = 0; x < side; x++, c += 4) {
                const double d = distance(&part, (x + 0.5) / scale, (y + 0.5) / scale);
                const double cover = ramp(d * scale), bright = dim + (1 - dim) * ramp((d + wide) * scale);
                if (cover <= 0)
                    continue;
                for (int b = 0; b < 4; b++) {
                    const double paint = part.hole ? 0 : b == 3 ? 255 : part.rgb[b] * (rim ? bright : 1);
                    c[b] = (float)(c[b] * (1 - cover) + paint * cover);
                }
            }
    }
    for (int i = 0; i < side * side; i++)
        for (int b = 0; b < 4; b++) {
            const float a = canvas[4 * i + 3];
            px[4 * i + b] = (uint8_t)lrintf(b == 3 ? a : a > 0 ? fminf(canvas[4 * i + b] * 255 / a, 255) : 0);
        }
    free(canvas);
}
