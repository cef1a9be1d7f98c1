/*
 * sample_shard.h -- drawn samples for tests: sample i depends on i alone, so any rank can make any part
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "io/set/catalogue.h"

enum { T_IMAGE = 16, T_PATCH = 4, T_P = 16, T_DEPTH = 4, T_VOCAB = 1000, T_CODES = 64 };

static inline int64_t draw(int64_t i, int64_t j, int64_t n)
{
    return rng_below(n, 7, (uint64_t)i, (uint64_t)j);
}

static inline int drawn_images(int64_t i) { return i % 5 == 0 ? 0 : i % 7 == 3 ? 2 : 1; }
static inline int drawn_tokens(int64_t i) { return 4 + (int)draw(i, 0, 50); }
static inline int drawn_answer(int64_t i) { return (int)draw(i, 1, 9); }

static inline ShardMeta drawn_meta(bool eval)
{
    ShardMeta m = { .image = T_IMAGE, .patch = T_PATCH, .scales = 1, .depth = T_DEPTH, .eval = eval, .text_model = 0x1234,
                    .codes_model = 0xfedcba9876543210u, .template_ = "v1", .source = "drawn" };
    if (eval) {
        strcpy(m.tasks, "count,colour");
        strcpy(m.baseline, "two\nred");
    }
    return m;
}

static inline void *some(int64_t n, size_t size)
{
    void *p = calloc((size_t)n + 1, size);
    if (!p)
        abort();
    return p;
}

/* Samples [first, first + n). */
static inline ShardPart drawn_part(int64_t first, int64_t n)
{
    int64_t *is = some(n + 1, 8), *ts = some(n + 1, 8), *as = some(n + 1, 8);
    for (int64_t k = 0; k < n; k++) {
        is[k + 1] = is[k] + drawn_images(first + k);
        ts[k + 1] = ts[k] + drawn_tokens(first + k);
        as[k + 1] = as[k] + drawn_answer(first + k);
    }
    const int64_t pixels = T_IMAGE * T_IMAGE * 3, codes = T_P * T_DEPTH;
    uint8_t *px = some(is[n] * pixels, 1);
    uint16_t *co = some(is[n] * codes, 2);
    int32_t *to = some(ts[n], 4), *la = some(ts[n], 4), *task = some(n, 4);
    char *an = some(as[n], 1);
    for (int64_t k = 0; k < n; k++) {
        int64_t i = first + k;
        for (int64_t j = 0; j < (is[k + 1] - is[k]) * pixels; j++)
            px[is[k] * pixels + j] = (uint8_t)(i * 13 + j / 48 + draw(i, j, 4));
        for (int64_t j = 0; j < (is[k + 1] - is[k]) * codes; j++)
            co[is[k] * codes + j] = (uint16_t)draw(i, 1000 + j, T_CODES);
        for (int64_t j = 0; j < ts[k + 1] - ts[k]; j++) {
            bool image = j >= 1 && j < 1 + drawn_images(i);
            to[ts[k] + j] = image ? IMAGE_TOKEN : (int32_t)draw(i, 5000 + j, T_VOCAB);
            la[ts[k] + j] = image || j % 3 == 0 ? IGNORE : to[ts[k] + j];
        }
        for (int64_t j = 0; j < as[k + 1] - as[k]; j++)
            an[as[k] + j] = (char)('a' + draw(i, 9000 + j, 26));
        task[k] = (int32_t)(i % 2);
    }
    return (ShardPart){ n, is[n], ts[n], px, co, is, ts, to, la, an, as, task };
}

static inline void part_free(ShardPart *p)
{
    const void *const owned[] = { p->pixels, p->codes, p->image_start, p->token_start, p->tokens_, p->labels,
                                  p->answers, p->answer_start, p->task };
    for (size_t k = 0; k < sizeof owned / sizeof *owned; k++)
        free((void *)owned[k]);
}

/* Is s the drawn sample i, whole? */
static inline bool is_drawn(const Sample *s, int64_t i, bool eval)
{
    ShardPart p = drawn_part(i, 1);
    bool same = s->n_tokens == p.tokens && s->n_images == p.images && s->codes &&
                !memcmp(s->tokens, p.tokens_, (size_t)p.tokens * 4) && !memcmp(s->labels, p.labels, (size_t)p.tokens * 4) &&
                !memcmp(s->pixels, p.pixels, (size_t)p.images * T_IMAGE * T_IMAGE * 3) &&
                !memcmp(s->codes, p.codes, (size_t)p.images * T_P * T_DEPTH * 2);
    if (eval)
        same = same && s->task == p.task[0] && s->answer_len == p.answer_start[1] &&
               !memcmp(s->answer, p.answers, (size_t)s->answer_len);
    else
        same = same && s->task == -1 && !s->answer;
    part_free(&p);
    return same;
}
