/*
 * scales.h -- pictures larger than the tower's: seen at several scales, one set of features (S2)
 *
 * A picture is n * image wide.  At scale s = 1 ... n it is resized (bicubic) to s * image and cut into s x s tiles, each of
 * which the tower takes for a picture; the tiles' grids of side x side patches are stitched to one of (s side) x (s side),
 * and of that every s x s block gives its mean:
 *
 *     feature[p, (s-1) Cv + c] = 1/s^2 sum over block p of tower(tiles of scale s)[., c]          (P, n Cv)
 *
 * So a picture still has P rows, n times as wide.  Each tile drops its own remainder image - side patch.  Codes are of the
 * picture resized (bilinear) to image x image: the targets do not change with n.
 *
 * The tower is frozen: there is no backward.  A tile knows nothing of its neighbours but its share in a mean.
 *
 * Dims    n scales, at most 4   P = side^2 patches of a tile and of a picture   Cv width of the tower   I pictures
 * Source  S2, arXiv:2403.13043, section 3; ASVR, arXiv:2506.09040, table 3 (1152 x 1152); docs/MATH.md
 * Tests   tests/core/test_scales.c (PyTorch, bits of n = 1)
 */
#pragma once
#include "core/siglip.h"

typedef struct { int tiles; } ScalesWork;          /* room of the tower's tape, in pictures of image x image */

/* Features of I pictures (I, n image, n image, 3): out (I P, n Cv).  Runs `layers` blocks on work->tiles tiles at a time;
   n = 1 gives the bits of vision_embed and vision_forward.  t is used up.  Collective over tp. */
void scales_features(float *out, VisionTape *t, const Vision *w, const uint8_t *pixels, int I, int n, int layers,
                     ScalesWork *work, Tp *tp);
/* max_images: what vision_tape was given.  Takes nothing of the arena: the means add up in `out`. */
void scales_work(ScalesWork *work, Arena *a, const Vision *w, int n, int max_images);
/* vision_embed of the pictures made smaller from n image to image, what codes are made of; n = 1 is vision_embed. */
void vision_embed_down(VisionTape *t, const Vision *w, const uint8_t *pixels, int I, int n, Tp *tp);
