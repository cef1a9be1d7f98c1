#include "launch/bench/synthetic.h"

#include <stdlib.h>

#include "core/rng.h"

static void *room(int64_t n, size_t elem)
{
    void *p = calloc((size_t)n, elem);
    CHECK(p, "no memory for a batch of the benchmark");
    return p;
}

/* Codes a patch: both kinds, where both are learned. */
static int codes_of(const Config *c) { return c->model.codes.depth * (c->train.supervision >= SUPERVISE_APPEARANCE ? 2 : 1); }

RunShape synthetic_shape(const Config *c)
{
    return (RunShape){ .stage = (Stage)c->train.stage, .train = true, .codes_given = codes_of(c), .micro_batch = c->train.micro_batch,
                       .max_images = c->train.micro_batch, .max_len = c->model.decoder.max_len };
}

void synthetic_open(Synthetic *s, const Config *c, int P, int rank)
{
    const int B = c->train.micro_batch, text = c->model.decoder.max_len - P, T = text + 1, Q = codes_of(c);
    const int64_t pixels = (int64_t)B * config_picture(c) * config_picture(c) * 3;
    CHECK(text > 1, "model.decoder.max_len = %d leaves no text beside a picture of %d rows", c->model.decoder.max_len, P);
    s->tokens = room(B * T, sizeof *s->tokens);
    s->labels = room(B * T, sizeof *s->labels);
    s->token_start = room(B + 1, sizeof *s->token_start);
    s->image_start = room(B + 1, sizeof *s->image_start);
    s->pixels = room(pixels, 1);
    s->codes = room((int64_t)B * P * Q, sizeof *s->codes);
    s->sample = room(B, sizeof *s->sample);
    for (int b = 0; b <= B; b++) {
        s->token_start[b] = b * T;
        s->image_start[b] = b;
    }
    for (int i = 0; i < B * T; i++) {
        s->tokens[i] = i % T ? (int32_t)rng_below(c->model.decoder.vocab, (uint64_t)rank, 1, (uint64_t)i) : IMAGE_TOKEN;
        s->labels[i] = i % T ? s->tokens[i] : IGNORE;
    }
    for (int64_t i = 0; i < pixels; i++)
        s->pixels[i] = (uint8_t)rng_below(256, (uint64_t)rank, 2, (uint64_t)i);
    for (int i = 0; i < B * P * Q; i++)
        s->codes[i] = (uint16_t)rng_below(c->model.codes.size, (uint64_t)rank, 3, (uint64_t)i);
    s->batch = (Batch){ .B = B, .I = B, .M = (int64_t)B * T, .tokens = s->tokens, .labels = s->labels,
                        .token_start = s->token_start, .image_start = s->image_start, .pixels = s->pixels,
                        .codes = s->codes, .sample = s->sample, .global_batch = B };
}

void synthetic_close(Synthetic *s)
{
    void *all[] = { s->tokens, s->labels, s->token_start, s->image_start, s->pixels, s->codes, s->sample };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}
