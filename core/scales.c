#include "core/scales.h"

void scales_features(float *out, VisionTape *t, const Vision *w, const uint8_t *pixels, int I, int n, int layers, ScalesWork *work, Tp *tp)
{
    (void)out, (void)t, (void)w, (void)pixels, (void)I, (void)n, (void)layers, (void)work, (void)tp;
    CHECK(0, "no scales yet");
}
void scales_work(ScalesWork *work, Arena *a, const Vision *w, int n, int max_images) { (void)work, (void)a, (void)w, (void)n, (void)max_images; }
void vision_embed_down(VisionTape *t, const Vision *w, const uint8_t *pixels, int I, int n) { (void)n; vision_embed(t, w, pixels, I); }
