/*
 * draw.h -- cut-outs that the program draws itself: shapes, plain things, letters
 *
 * A drawing is a line of text over a square of 100 x 100, y down.  Each part covers those before it:
 *     #rrggbb                    the color from here on
 *     e x y rx ry                an ellipse
 *     p x y x y x y ...          a polygon
 *     s width x y x y ...        a line of that width through the points, round at its ends
 *     - ...                      the part that follows cuts a hole
 * Parts get a dark rim so that they stand out from any background.  Local.  Tests: tests/io/scenes/test_scenes.c
 */
#pragma once
#include "core/base.h"

typedef struct {
    const char *category, *name, *art;
} Drawing;

extern const Drawing drawings[];               /* by category; ends with a NULL name */

const char *draw_letter(int letter);           /* the art of 'A' + letter */
void        draw(uint8_t *px, int side, const char *art, bool rim);   /* px (side,side,4), straight alpha */
