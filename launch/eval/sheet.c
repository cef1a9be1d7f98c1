#include "launch/eval/sheet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/image/image.h"

enum { COLUMNS = 5, SIDE = 192, TEXT = 86, FRAME = 4, GAP = 12, FONT = 13 };
enum { TILE_W = SIDE + 2 * FRAME, TILE_H = SIDE + 2 * FRAME + TEXT };

typedef struct { uint8_t *px; int w, h; } Canvas;

static void fill(Canvas *c, int x0, int y0, int w, int h, const uint8_t rgb[3])
{
    for (int y = y0; y < y0 + h; y++)
        for (int x = x0; x < x0 + w; x++)
            memcpy(c->px + ((size_t)y * (size_t)c->w + (size_t)x) * 3, rgb, 3);
}

/* Nearest pixel: the reader should see what the model saw. */
static void enlarge(Canvas *c, int x0, int y0, const uint8_t *px, int size)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            memcpy(c->px + ((size_t)(y0 + y) * (size_t)c->w + (size_t)(x0 + x)) * 3,
                   px + ((size_t)(y * size / SIDE) * (size_t)size + (size_t)(x * size / SIDE)) * 3, 3);
}

static bool write_text(Canvas *c, int x0, int y0, const Shown *s, const ImageOps *ops, Err *e)
{
    const bool right = s->good;
    char text[768];
    Image im;
    snprintf(text, sizeof text, "%s\n> %s%s%s%s", s->question, s->answer, right ? "" : "   (right: ", right ? "" : s->right,
             right ? "" : ")");
    if (!ops->label(&im, text, TILE_W, FONT, e))
        return false;
    for (int y = 0; y < im.h && y < TEXT; y++)
        memcpy(c->px + ((size_t)(y0 + y) * (size_t)c->w + (size_t)x0) * 3, im.px + (size_t)y * (size_t)im.w * 3,
               (size_t)(im.w < TILE_W ? im.w : TILE_W) * 3);
    image_free(&im);
    return true;
}

bool sheet_write(const char *path, const Shown *shown, int n, int size, Err *e)
{
    static const uint8_t white[3] = { 255, 255, 255 }, green[3] = { 60, 160, 80 }, red[3] = { 205, 70, 60 };
    const ImageOps *ops = image_ops(e);
    const int rows = (n + COLUMNS - 1) / COLUMNS;
    Canvas c = { .w = COLUMNS * (TILE_W + GAP) + GAP, .h = rows * (TILE_H + GAP) + GAP };
    if (!ops)
        return false;
    c.px = malloc((size_t)c.w * (size_t)c.h * 3);
    CHECK(c.px, "no memory for a contact sheet of %d x %d", c.w, c.h);
    fill(&c, 0, 0, c.w, c.h, white);
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        const int x = GAP + i % COLUMNS * (TILE_W + GAP), y = GAP + i / COLUMNS * (TILE_H + GAP);
        fill(&c, x, y, TILE_W, SIDE + 2 * FRAME, shown[i].good ? green : red);
        enlarge(&c, x + FRAME, y + FRAME, shown[i].pixels, size);
        ok = write_text(&c, x, y + SIDE + 2 * FRAME + 4, &shown[i], ops, e);
    }
    ok = ok && image_save_png(path, c.px, c.w, c.h, 3, e);
    free(c.px);
    return ok;
}
