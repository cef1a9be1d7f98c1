/*
 * hf_case.h -- small models of every supervision, shaped in each respect as the real ones, and a batch with every oddity
 *
 * Heads of 72 in the tower, grouped queries 4:1, a picture whose size its patches do not divide; features, semantic and
 * appearance codes of three different layers.  Sequences: text, picture, text; two pictures, the second cut off at row
 * 18; text alone, its first token labelled; a picture in front of everything.
 */
#pragma once
#include <stdio.h>

#include "core/asvr.h"
#include "core/ops.h"
#include "core/rng.h"

enum { HF_B = 4, HF_I = 4, HF_M = 29, HF_P = 9, HF_Q = 3, HF_S = 10, HF_SIDE = 13, HF_SCALES = 3 };

typedef struct {
    const char *name;
    Supervision supervision;
    int         shift;
    const char *trainable;
    bool        found;                         /* codes are found by the quantizer, not given by the batch */
    bool        no_bias, shared, discrete, tied, own_tower;
    float       soft;
    int         scales;
} HfCase;

#define ALL "vision,projector,decoder,"
static const HfCase HF_CASES[] = {
    { "none",         SUPERVISE_NONE,       0, ALL,              .no_bias = false },
    { "semantic_0",   SUPERVISE_SEMANTIC,   0, ALL "head",       .no_bias = false },
    { "semantic_1",   SUPERVISE_SEMANTIC,   1, "decoder,head",   .no_bias = true },
    { "appearance_0", SUPERVISE_APPEARANCE, 0, "decoder,app_head", .no_bias = true },
    { "appearance_1", SUPERVISE_APPEARANCE, 1, ALL "app_head",   .no_bias = false, .found = true },
    { "both_0",       SUPERVISE_BOTH,       0, ALL "head,app_head", .no_bias = false, .found = true },
    { "both_1",       SUPERVISE_BOTH,       1, "projector,decoder,head,app_head", .no_bias = true },
    { "denoising_0",  SUPERVISE_DENOISING,  0, ALL "denoiser",   .no_bias = false },
    { "denoising_1",  SUPERVISE_DENOISING,  1, "decoder,denoiser", .no_bias = true },
    { "shared",       SUPERVISE_BOTH,       0, "projector,head,app_head", .no_bias = true, .found = true, .shared = true },
    { "discrete",     SUPERVISE_SEMANTIC,   0, "projector,decoder,head", .discrete = true, .no_bias = true },
    { "discrete_none", SUPERVISE_NONE,      0, "projector,decoder", .discrete = true, .found = true, .no_bias = true },
    { "tied",         SUPERVISE_SEMANTIC,   0, "projector,decoder,head", .tied = true },
    { "soft",         SUPERVISE_SEMANTIC,   0, "projector,head", .soft = 0.5f, .no_bias = true },
    { "tied_soft",    SUPERVISE_BOTH,       1, "projector,head,app_head", .tied = true, .soft = 0.8f, .shared = true },
    { "own_tower",    SUPERVISE_BOTH,       0, "projector,head,app_head", .own_tower = true, .found = true,
      .no_bias = true },
    { "scales_2",     SUPERVISE_SEMANTIC,   0, "projector,decoder,head", .scales = 2, .found = true },
    { "scales_3",     SUPERVISE_DENOISING,  0, "projector,denoiser", .scales = 3, .no_bias = true },
};
#undef ALL
enum { HF_CASE_COUNT = sizeof HF_CASES / sizeof *HF_CASES };

typedef struct {
    int32_t  tokens[HF_M], labels[HF_M], token_start[HF_B + 1], image_start[HF_B + 1];
    uint8_t  pixels[HF_I * HF_SIDE * HF_SIDE * 3 * HF_SCALES * HF_SCALES];
    uint16_t codes[HF_I * HF_P * HF_Q * BRANCHES];
    int64_t  sample[HF_B];
    Batch    batch;
} HfBatch;

static inline ModelConf hf_conf(const HfCase *c)
{
    const bool appearance = c->supervision == SUPERVISE_APPEARANCE || c->supervision == SUPERVISE_BOTH;
    return (ModelConf){
        .stage = STAGE_INSTRUCT, .train = true, .supervision = c->supervision, .trainable = c->trainable,
        .codes_given = c->found || c->supervision == SUPERVISE_DENOISING ? 0 : HF_Q * (appearance ? 2 : 1),
        .image = HF_SIDE, .patch = 4, .scales = c->scales ? c->scales : 1,
        .vision = { .C = 144, .F = 40, .H = 2, .L = 4, .eps = 1e-6f },
        .select_layer = -2, .codes_layer = { -3, -4 }, .projector_layers = 2, .discrete = c->discrete,
        .decoder = { .C = 48, .F = 56, .H = 8, .K = 2, .L = 2, .V = 40, .theta = 10000, .eps = 1e-5f,
                     .qkv_bias = !c->no_bias },
        .codes_depth = HF_Q, .codes_size = HF_S, .codes_shared = c->shared, .own_tower = c->own_tower,
        .head_width = 16, .head_layers = 2, .head_heads = 2, .head_tied = c->tied, .soft_targets = c->soft,
        .denoise_draws = 2, .visual_weight = 0.7f, .visual_share = 1, .visual_shift = c->shift,
        .micro_batch = HF_B, .max_images = HF_I, .max_len = 18, .seed = 5,
    };
}

/* Its place in the run is somewhere in the middle: third step, samples 5 to 8 of the global batch. */
static inline void hf_batch(HfBatch *c)
{
    static const int32_t layout[HF_M] = { 1, 7, IMAGE_TOKEN, 9, 4, 5, 2, 3,
                                          1, IMAGE_TOKEN, 6, IMAGE_TOKEN, 8, 8, 2, 3,
                                          1, 11, 12, 13, 14, 15, 2, 3,
                                          IMAGE_TOKEN, 5, 6, 7, 2 };
    static const int32_t start[HF_B + 1] = { 0, 8, 16, 24, HF_M }, image[HF_B + 1] = { 0, 1, 3, 3, 4 };
    *c = (HfBatch){ 0 };
    for (int b = 0; b <= HF_B; b++)
        c->token_start[b] = start[b], c->image_start[b] = image[b];
    for (int b = 0; b < HF_B; b++)
        for (int j = start[b]; j < start[b + 1]; j++) {
            const int32_t t = layout[j];
            c->tokens[j] = t;
            c->labels[j] = t >= 0 && (b == 2 || j - start[b] > 1) ? t : IGNORE;
            c->sample[b] = b;
        }
    for (size_t i = 0; i < sizeof c->pixels; i++)
        c->pixels[i] = (uint8_t)rng_below(256, 1, 2, i);
    for (size_t i = 0; i < sizeof c->codes / 2; i++)
        c->codes[i] = (uint16_t)rng_below(HF_S, 1, 3, i);
    c->batch = (Batch){ .B = HF_B, .I = HF_I, .M = HF_M, .tokens = c->tokens, .labels = c->labels,
                        .token_start = c->token_start, .image_start = c->image_start, .pixels = c->pixels,
                        .codes = c->codes, .sample = c->sample, .step = 3, .first = 5, .global_batch = 16 };
}
