/*
 * cut.h -- a picture with alpha, ready to be pasted at any size
 *
 *     dst(y,x) = sum_ij wy[y,i] wx[x,j] src(i,j) / (sum wy sum wx)
 *
 * down: w = the overlap of the pixels' areas; up: linear between pixel centers.  Pixels are premultiplied, so
 * color never bleeds out of transparent parts.  Weights are whole numbers: the same bytes from every compiler.
 *
 * Local.  Tests: tests/io/scenes/test_scenes.c
 */
#pragma once
#include "core/base.h"

typedef struct {
    int w, h;
    uint8_t *px;                               /* (h,w,4), premultiplied */
} Cut;

/* The same picture at full, half and quarter size: a scene shrinks by less than two. */
enum { CUT_SIDE = 128, CUT_SIZES = 3 };

typedef struct {
    Cut cut[CUT_SIZES];
} Cuts;

/* Crops px (h,w,4; straight alpha) to what is visible, shrinks it to CUT_SIDE; false when nothing is visible. */
bool cuts_set(Cuts *c, const uint8_t *px, int w, int h);
void cuts_free(Cuts *c);
/* The smallest cut that is not smaller than (w,h), else the largest. */
const Cut *cuts_for(const Cuts *c, int w, int h);

/* Row y of src brought to (h,w): dst (w,4), premultiplied. */
void resample_row(uint8_t *dst, int y, int w, int h, const Cut *src);
