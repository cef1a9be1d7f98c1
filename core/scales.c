/* scales.c -- the tower on the tiles of a picture at several scales (scales.h) */
#include "core/scales.h"

#include "core/ops.h"
#include "core/resize.h"

void scales_work(ScalesWork *work, Arena *a, const Vision *w, int n, int max_images)
{
    (void)a, (void)w, (void)n;
    work->tiles = max_images;
}

void vision_embed_down(VisionTape *t, const Vision *w, const uint8_t *pixels, int I, int n, Tp *tp)
{
    vision_embed_tiles(t, w, pixels, 0, I, n * w->image, w->image, RESIZE_BILINEAR, tp);
}

void scales_features(float *out, VisionTape *t, const Vision *w, const uint8_t *pixels, int I, int n, int layers,
                     ScalesWork *work, Tp *tp)
{
    const int C = w->enc.d.C, side = w->image / w->patch;
    ASSERT(work->tiles > 0);
    op.zero(out, (int64_t)I * w->P * n * C);
    for (int s = 1; s <= n; s++)
        for (int k = 0, tiles; k < I * s * s; k += tiles) {
            tiles = (int)min64(work->tiles, I * s * s - k);
            vision_embed_tiles(t, w, pixels, k, tiles, n * w->image, s * w->image, RESIZE_BICUBIC, tp);
            const float *x = vision_forward(t, w, 0, layers, tiles, tp);
            op.area_mean(out, x, k, tiles, s, side, C, n * C, (s - 1) * C);
        }
}
