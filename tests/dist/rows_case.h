/* rows_case.h -- a model and a batch of rows enough for stripes (core/stripe.h), in the tower and in the decoder; what tp splits divides by 24 */
#pragma once
#include "core/ops.h"
#include "tests/core/model_case.h"

enum { SEQUENCES = 4, SIDE = 52, P = SIDE / 4 * (SIDE / 4), TEXT = 8, ROWS = P + TEXT - 1 };

static inline ModelConf rows_conf(void)
{
    ModelConf c = case_conf(STAGE_INSTRUCT, "vision,projector,decoder,head");
    c.image = SIDE;
    c.vision = (EncoderDims){ .C = 216, .F = 48, .H = 24, .L = 4, .eps = 1e-6f };
    c.decoder = (LlamaDims){ .C = 240, .F = 72, .H = 24, .K = 24, .L = 2, .V = 48, .theta = 10000, .eps = 1e-5f, .qkv_bias = true, .qk_norm = true };
    c.codes_size = 24;
    c.head_width = 48, c.head_heads = 24;
    c.micro_batch = c.max_images = SEQUENCES;
    c.max_len = ROWS;
    return c;
}

/* In each sequence a picture. */
static inline Batch rows_batch(void)
{
    static int32_t tokens[SEQUENCES * TEXT], labels[SEQUENCES * TEXT], start[SEQUENCES + 1], images[SEQUENCES + 1];
    static uint8_t pixels[SEQUENCES * SIDE * SIDE * 3];
    static uint16_t codes[SEQUENCES * P * 3];
    static int64_t sample[SEQUENCES];
    for (int b = 0; b <= SEQUENCES; b++)
        start[b] = TEXT * b, images[b] = b;
    for (int i = 0; i < SEQUENCES * TEXT; i++) {
        tokens[i] = i % TEXT == 1 ? IMAGE_TOKEN : (int32_t)rng_below(40, 1, 1, (uint64_t)i);
        labels[i] = i % TEXT > 2 ? tokens[i] : IGNORE;
        sample[i / TEXT] = i / TEXT;
    }
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)rng_below(256, 1, 2, i);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        codes[i] = (uint16_t)rng_below(24, 1, 3, i);
    return (Batch){ .B = SEQUENCES, .I = SEQUENCES, .M = SEQUENCES * TEXT, .tokens = tokens, .labels = labels, .token_start = start,
                    .image_start = images, .pixels = pixels, .codes = codes, .sample = sample, .global_batch = SEQUENCES };
}

static inline Losses pass(Model *m, Tape *t, const Batch *b)
{
    Losses global = { 0 }, sum = { 0 };
    model_count(m, t, b, &global);
    op.zero(m->grads, m->table.grads);
    model_forward(m, t, b, &global, &sum);
    model_backward(m, t, b, NULL);
    return sum;
}
