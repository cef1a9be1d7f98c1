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

/* Text tokens of sample b of B: all rows beside the picture's, or from bench.min_len rows up to that, evenly. */
static int text_of(const Config *c, int P, int b, int B)
{
    const int most = c->model.decoder.max_len, least = c->bench.min_len ? c->bench.min_len : most;
    return (B == 1 ? most : least + (int)((int64_t)(most - least) * b / (B - 1))) - P;
}

/* Lengths, then values: each sample is its picture's token and its text. */
static void fill_tokens(Synthetic *s, const Config *c, int rank)
{
    for (int b = 0; b < c->train.micro_batch; b++)
        for (int i = s->token_start[b]; i < s->token_start[b + 1]; i++) {
            const bool picture = i == s->token_start[b];
            s->tokens[i] = picture ? IMAGE_TOKEN : (int32_t)rng_below(c->model.decoder.vocab, (uint64_t)rank, 1, (uint64_t)i);
            s->labels[i] = picture ? IGNORE : s->tokens[i];
        }
}

void synthetic_open(Synthetic *s, const Config *c, int P, int rank)
{
    const int B = c->train.micro_batch, Q = codes_of(c);
    const int64_t pixels = (int64_t)B * config_picture(c) * config_picture(c) * 3;
    s->token_start = room(B + 1, sizeof *s->token_start);
    s->image_start = room(B + 1, sizeof *s->image_start);
    for (int b = 0; b < B; b++) {
        CHECK(text_of(c, P, b, B) > 1, "%d rows leave no text beside a picture of %d (model.decoder.max_len, bench.min_len)", text_of(c, P, b, B) + P, P);
        s->token_start[b + 1] = s->token_start[b] + text_of(c, P, b, B) + 1;
        s->image_start[b + 1] = b + 1;
    }
    s->tokens = room(s->token_start[B], sizeof *s->tokens);
    s->labels = room(s->token_start[B], sizeof *s->labels);
    s->pixels = room(pixels, 1);
    s->codes = room((int64_t)B * P * Q, sizeof *s->codes);
    s->sample = room(B, sizeof *s->sample);
    fill_tokens(s, c, rank);
    for (int64_t i = 0; i < pixels; i++)
        s->pixels[i] = (uint8_t)rng_below(256, (uint64_t)rank, 2, (uint64_t)i);
    for (int i = 0; i < B * P * Q; i++)
        s->codes[i] = (uint16_t)rng_below(c->model.codes.size, (uint64_t)rank, 3, (uint64_t)i);
    s->batch = (Batch){ .B = B, .I = B, .M = s->token_start[B], .tokens = s->tokens, .labels = s->labels,
                        .token_start = s->token_start, .image_start = s->image_start, .pixels = s->pixels,
                        .codes = s->codes, .sample = s->sample, .global_batch = B };
}

void synthetic_close(Synthetic *s)
{
    void *all[] = { s->tokens, s->labels, s->token_start, s->image_start, s->pixels, s->codes, s->sample };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}
