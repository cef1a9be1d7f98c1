/* scales.h -- (placeholder by the lead so that the tree compiles: helper "scales" overwrites this file and scales.c) */
#pragma once
#include "core/siglip.h"

typedef struct { float *x; } ScalesWork;
void scales_features(float *out, VisionTape *t, const Vision *w, const uint8_t *pixels, int I, int n, int layers, ScalesWork *work, Tp *tp);
void scales_work(ScalesWork *work, Arena *a, const Vision *w, int n, int max_images);
void vision_embed_down(VisionTape *t, const Vision *w, const uint8_t *pixels, int I, int n);
