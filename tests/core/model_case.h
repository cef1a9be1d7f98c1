/* model_case.h -- a model and a batch small enough for finite differences, with every part and every oddity in them */
#pragma once
#include "core/asvr.h"
#include "core/ops.h"
#include "core/rng.h"

#include <stdio.h>

enum { CASE_B = 3, CASE_M = 24, CASE_I = 3 };

typedef struct {
    int32_t  tokens[CASE_M], labels[CASE_M], token_start[CASE_B + 1], image_start[CASE_B + 1];
    uint8_t  pixels[CASE_I * 13 * 13 * 3];
    uint16_t codes[CASE_I * 9 * 6];           /* enough for both kinds */
    int64_t  sample[CASE_B];
    Batch    batch;
} BatchCase;

/* 13 x 13 pictures in patches of 4: the last row and column are dropped; GQA 2:1 of head_dim 6, qkv biases. */
static inline ModelConf case_conf(Stage stage, const char *trainable)
{
    return (ModelConf){
        .stage = stage, .train = true, .supervision = SUPERVISE_SEMANTIC, .codes_given = 3, .trainable = trainable,
        .image = 13, .patch = 4, .scales = 1,
        .vision = { .C = 12, .F = 20, .H = 2, .L = 3, .eps = 1e-6f },
        .text = { .C = 16, .F = 24, .H = 2, .L = 2, .eps = 1e-6f },
        .select_layer = -2, .codes_layer = { -3, 0 }, .text_max_len = 6, .projector_layers = 2,
        .decoder = { .C = 24, .F = 36, .H = 4, .K = 2, .L = 2, .V = 40, .theta = 10000, .eps = 1e-5f, .qkv_bias = true },
        .codes_depth = 3, .codes_size = 10, .head_width = 16, .head_layers = 2, .head_heads = 2,
        .denoise_draws = 2, .visual_weight = 0.7f, .visual_share = 1, .micro_batch = CASE_B, .max_images = CASE_I, .max_len = 18, .seed = 5,
    };
}

/* Kinds of decoders and towers: heads of a size of their own with q/k norms (Qwen3), a tied embedding (SmolLM2), stretched
   rotary embeddings (Llama 3), a class row (CLIP), low-rank pairs that learn beside the weights; and all but the last at once. */
enum { CASE_HEAD_DIM = 1, CASE_QK_NORM = 2, CASE_TIED = 4, CASE_LINEAR = 8, CASE_LLAMA3 = 16, CASE_CLIP = 32, CASE_LORA = 64 };
static const unsigned CASE_KINDS[] = { CASE_HEAD_DIM, CASE_QK_NORM, CASE_HEAD_DIM | CASE_QK_NORM | CASE_TIED, CASE_TIED, CASE_LINEAR,
                                       CASE_LLAMA3, CASE_CLIP, CASE_LORA, CASE_HEAD_DIM | CASE_QK_NORM | CASE_TIED | CASE_LLAMA3 | CASE_CLIP };
enum { N_CASE_KINDS = sizeof CASE_KINDS / sizeof *CASE_KINDS };

static inline void case_kind(ModelConf *c, unsigned kind)
{
    static char trainable[128];
    const EncoderDims v = c->vision;
    if (kind & CASE_LORA) {
        snprintf(trainable, sizeof trainable, "%s," LORA_PART, c->trainable);
        c->trainable = trainable, c->lora_rank = 3, c->lora_alpha = 4.5f;
    }
    if (kind & CASE_HEAD_DIM)
        c->decoder.D = 10, c->decoder.qkv_bias = false;
    c->decoder.qk_norm |= (kind & CASE_QK_NORM) != 0;
    c->decoder.tied |= (kind & CASE_TIED) != 0;
    if (kind & (CASE_LINEAR | CASE_LLAMA3))            /* waves of 6.3 to 2915 positions: kept, in between, stretched */
        c->decoder.rope = (Rope){ kind & CASE_LINEAR ? ROPE_LINEAR : ROPE_LLAMA3, 4, 1, 4, 160 };
    if (kind & CASE_CLIP)
        c->vision_kind = VISION_CLIP, c->vision = vision_dims(VISION_CLIP, v.C, v.F, v.H, v.L);
}

/* Sequence 0: text, an image, text; 1: two images, the second cut off at row 18; 2: text only.
   one_each: an image for each sequence instead (the contrast stage). */
static inline void case_batch(BatchCase *c, bool one_each)
{
    static const int32_t layout[CASE_B][8] = { { 1, 7, IMAGE_TOKEN, 9, 4, 5, 2, 3 },
                                               { 1, IMAGE_TOKEN, 6, IMAGE_TOKEN, 8, 8, 2, 3 },
                                               { 1, 11, 12, 13, 14, 15, 2, 3 } };
    *c = (BatchCase){ 0 };
    for (int b = 0; b <= CASE_B; b++) {
        c->token_start[b] = 8 * b;
        c->image_start[b] = one_each ? b : (int[]){ 0, 1, 3, 3 }[b];
    }
    for (int b = 0; b < CASE_B; b++)
        for (int j = 0; j < 8; j++) {
            int32_t t = layout[b][j];
            if (one_each)
                t = j == 1 ? IMAGE_TOKEN : layout[2][j] + b;
            c->tokens[8 * b + j] = t;
            c->labels[8 * b + j] = j > 2 && t >= 0 ? t : IGNORE;
            c->sample[b] = b;
        }
    for (size_t i = 0; i < sizeof c->pixels; i++)
        c->pixels[i] = (uint8_t)rng_below(256, 1, 2, i);
    for (size_t i = 0; i < sizeof c->codes / 2; i++)
        c->codes[i] = (uint16_t)rng_below(10, 1, 3, i);
    c->batch = (Batch){ .B = CASE_B, .I = CASE_I, .M = CASE_M, .tokens = c->tokens, .labels = c->labels,
                        .token_start = c->token_start, .image_start = c->image_start, .pixels = c->pixels,
                        .codes = c->codes, .sample = c->sample, .global_batch = CASE_B };
}

/* Weights away from their tidy initial values, so that no gradient is zero by symmetry. */
static inline void case_shake(Model *m, float size)
{
    for (int i = 0; i < m->table.n; i++) {
        const Param *p = &m->table.p[i];
        for (int64_t e = 0; e < p->count; e++)
            m->weights[p->offset + e] += size * (float)rng_normal(9, rng_stream(p->name), (uint64_t)e);
    }
}

static inline bool case_open(Model *m, Tape *t, const ModelConf *conf, Tp *tp)
{
    if (!model_open(m, conf, tp))
        return false;
    tape_open(t, m);
    return true;
}

static inline void case_close(Model *m, Tape *t)
{
    tape_close(t);
    model_close(m);
}

/* The loss, and with `backward` its gradient in m->grads. */
static inline double case_loss(Model *m, Tape *t, const Batch *b, bool backward, const OnGrad *door)
{
    Losses global = { 0 }, sum = { 0 };
    model_count(m, t, b, &global);
    m->c.train = backward;
    model_forward(m, t, b, &global, &sum);
    if (backward)
        model_backward(m, t, b, door);
    return model_loss(m, &sum);
}
