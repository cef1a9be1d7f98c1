/* test_splice.c -- where image rows sit among text tokens, and which rows have what to learn: every rule of splice.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/splice.h"
#include "tests/core/dies.h"

enum { P = 3, MAX_B = 4, MAX_I = 4, ROOM = 16, IMG = IMAGE_TOKEN, NO = IGNORE };

typedef struct {
    Arena  arena;
    Splice s;
} Work;

static void open_work(Work *w)
{
    *w = (Work){ .arena.name = "splice" };
    splice_layout(&w->s, &w->arena, MAX_B, ROOM, MAX_I, P);
    arena_alloc(&w->arena);
    splice_layout(&w->s, &w->arena, MAX_B, ROOM, MAX_I, P);
}

static Splice *build(Work *w, int B, const int32_t *tokens, const int32_t *labels, const int32_t *token_start,
                     const int32_t *image_start, int max_len, int shift)
{
    const int64_t sample[MAX_B] = { 10, 11, 12, 13 };
    Batch b = { .B = B, .I = image_start[B], .M = token_start[B], .tokens = tokens, .labels = labels,
                .token_start = token_start, .image_start = image_start, .sample = sample };
    open_work(w);
    splice_build(&w->s, &b, P, max_len, shift);
    return &w->s;
}

/* A list of the splice against the values that follow. */
#define HOLDS(list, n, ...)                                                                        \
    do {                                                                                          \
        const int32_t want[] = { __VA_ARGS__ };                                                   \
        assert_int_equal(n, sizeof want / sizeof *want);                                          \
        assert_memory_equal(list, want, sizeof want);                                             \
    } while (0)
#define TOKENS(...) (const int32_t[]){ __VA_ARGS__ }

static void image_in_the_middle(void **state)
{
    (void)state;
    Work w;
    const Splice *s = build(&w, 1, TOKENS(1, 7, IMG, 8, 9), TOKENS(NO, NO, NO, 8, 9), TOKENS(0, 5), TOKENS(0, 1), ROOM, 0);
    HOLDS(s->start, s->B + 1, 0, 7);
    HOLDS(s->id, s->N, 1, 7, -1, -1, -1, 8, 9);
    HOLDS(s->pos, s->N, 0, 1, 2, 3, 4, 5, 6);
    HOLDS(s->image_row, s->images, 2, 3, 4);
    HOLDS(s->image_src, s->images, 0, 1, 2);
    HOLDS(s->text_row, s->text, 4, 5);                      /* the image's last row learns the token behind it */
    HOLDS(s->text_id, s->text, 8, 9);
    HOLDS(s->vis_row, s->vis, 2, 3, 4);
    HOLDS(s->vis_src, s->vis, 0, 1, 2);
    arena_free(&w.arena);
}

static void shift_one(void **state)
{
    (void)state;
    Work w;
    const Splice *s = build(&w, 1, TOKENS(1, IMG, 8), TOKENS(NO, NO, 8), TOKENS(0, 3), TOKENS(0, 1), ROOM, 1);
    HOLDS(s->vis_row, s->vis, 0, 1, 2);                     /* the token before the image learns its first patch */
    HOLDS(s->vis_src, s->vis, 0, 1, 2);
    HOLDS(s->image_row, s->images, 1, 2, 3);
    arena_free(&w.arena);
}

/* Nothing stands before the first row of a sequence: not the sequence before it either. */
static void shift_one_at_the_start(void **state)
{
    (void)state;
    Work w;
    const Splice *s = build(&w, 2, TOKENS(1, 2, IMG, 8), TOKENS(NO, 2, NO, 8), TOKENS(0, 2, 4), TOKENS(0, 0, 1), ROOM, 1);
    HOLDS(s->start, s->B + 1, 0, 2, 6);
    HOLDS(s->pos, s->N, 0, 1, 0, 1, 2, 3);
    HOLDS(s->vis_row, s->vis, 2, 3);
    HOLDS(s->vis_src, s->vis, 1, 2);
    HOLDS(s->image_row, s->images, 2, 3, 4);                /* the row of patch 0 is there, it is no target */
    arena_free(&w.arena);
}

static void label_of_a_first_token(void **state)
{
    (void)state;
    Work w;
    const Splice *s = build(&w, 2, TOKENS(4, 5, 6, 7), TOKENS(4, 5, 6, 7), TOKENS(0, 2, 4), TOKENS(0, 0, 0), ROOM, 0);
    HOLDS(s->text_row, s->text, 0, 2);                      /* 4 and 6 have no row before them in their own sequence */
    HOLDS(s->text_id, s->text, 5, 7);
    assert_int_equal(s->images, 0);
    assert_int_equal(s->vis, 0);
    arena_free(&w.arena);
}

static void labels_differ_from_tokens(void **state)
{
    (void)state;
    Work w;
    const Splice *s = build(&w, 1, TOKENS(1, 5, 6, 7), TOKENS(NO, NO, 9, NO), TOKENS(0, 4), TOKENS(0, 0), ROOM, 0);
    HOLDS(s->id, s->N, 1, 5, 6, 7);
    HOLDS(s->text_row, s->text, 1);
    HOLDS(s->text_id, s->text, 9);
    arena_free(&w.arena);
}

/* A label on a placeholder is none: images learn codes. */
static void label_on_an_image(void **state)
{
    (void)state;
    Work w;
    const Splice *s = build(&w, 1, TOKENS(1, IMG, 6), TOKENS(NO, 3, 6), TOKENS(0, 3), TOKENS(0, 1), ROOM, 0);
    HOLDS(s->text_id, s->text, 6);
    arena_free(&w.arena);
}

static void several_images(void **state)
{
    (void)state;
    Work w;
    const Splice *s = build(&w, 3, TOKENS(IMG, IMG, 5, 1, 6, IMG, 7), TOKENS(NO, NO, 5, NO, 6, NO, 7), TOKENS(0, 3, 5, 7),
                            TOKENS(0, 2, 2, 3), ROOM, 0);
    HOLDS(s->start, s->B + 1, 0, 7, 9, 13);
    HOLDS(s->id, s->N, -1, -1, -1, -1, -1, -1, 5, 1, 6, -1, -1, -1, 7);
    HOLDS(s->pos, s->N, 0, 1, 2, 3, 4, 5, 6, 0, 1, 0, 1, 2, 3);
    HOLDS(s->image_row, s->images, 0, 1, 2, 3, 4, 5, 9, 10, 11);
    HOLDS(s->image_src, s->images, 0, 1, 2, 3, 4, 5, 6, 7, 8);
    HOLDS(s->vis_row, s->vis, 0, 1, 2, 3, 4, 5, 9, 10, 11);
    HOLDS(s->text_row, s->text, 5, 7, 11);
    HOLDS(s->text_id, s->text, 5, 6, 7);
    arena_free(&w.arena);
}

/* Between two images that touch, shift 1 lets the first one's last row learn the second one's first patch. */
static void shift_one_between_images(void **state)
{
    (void)state;
    Work w;
    const Splice *s = build(&w, 1, TOKENS(1, IMG, IMG), TOKENS(NO, NO, NO), TOKENS(0, 3), TOKENS(0, 2), ROOM, 1);
    HOLDS(s->vis_row, s->vis, 0, 1, 2, 3, 4, 5);
    HOLDS(s->vis_src, s->vis, 0, 1, 2, 3, 4, 5);
    assert_int_equal(s->text, 0);
    arena_free(&w.arena);
}

static void cut_inside_an_image(void **state)
{
    (void)state;
    Work w;
    for (int shift = 0; shift < 2; shift++) {
        const Splice *s = build(&w, 2, TOKENS(1, 2, IMG, 8, 1, IMG, 9), TOKENS(NO, 2, NO, 8, NO, NO, 9), TOKENS(0, 4, 7),
                                TOKENS(0, 1, 2), 4, shift);
        HOLDS(s->start, s->B + 1, 0, 4, 8);
        HOLDS(s->id, s->N, 1, 2, -1, -1, 1, -1, -1, -1);
        HOLDS(s->image_row, s->images, 2, 3, 5, 6, 7);
        HOLDS(s->image_src, s->images, 0, 1, 3, 4, 5);      /* patch 2 of the first image was cut off */
        HOLDS(s->vis_src, s->vis, 0, 1, 3, 4, 5);
        HOLDS(s->vis_row, s->vis, 2 - shift, 3 - shift, 5 - shift, 6 - shift, 7 - shift);
        HOLDS(s->text_row, s->text, 0);                     /* 8 and 9 were cut off */
        HOLDS(s->text_id, s->text, 2);
        arena_free(&w.arena);
    }
}

static void cut_before_an_image(void **state)
{
    (void)state;
    Work w;
    const Splice *s = build(&w, 1, TOKENS(1, 2, IMG, 8), TOKENS(NO, 2, NO, 8), TOKENS(0, 4), TOKENS(0, 1), 2, 0);
    assert_int_equal(s->N, 2);
    assert_int_equal(s->images, 0);
    assert_int_equal(s->vis, 0);
    arena_free(&w.arena);
}

/* An image that no placeholder asks for takes no row, and the next sequence still finds its own. */
static void image_without_placeholder(void **state)
{
    (void)state;
    Work w;
    const Splice *s = build(&w, 2, TOKENS(1, 2, IMG, 3), TOKENS(NO, 2, NO, 3), TOKENS(0, 2, 4), TOKENS(0, 1, 2), ROOM, 0);
    HOLDS(s->image_src, s->images, 3, 4, 5);
    HOLDS(s->image_row, s->images, 2, 3, 4);
    arena_free(&w.arena);
}

static void empty_sequence(void **state)
{
    (void)state;
    Work w;
    const Splice *s = build(&w, 2, TOKENS(1, 2), TOKENS(NO, 2), TOKENS(0, 0, 2), TOKENS(0, 0, 0), ROOM, 0);
    HOLDS(s->start, s->B + 1, 0, 0, 2);
    HOLDS(s->text_row, s->text, 0);
    arena_free(&w.arena);
}

/* The batch before leaves nothing behind. */
static void built_again(void **state)
{
    (void)state;
    Work w;
    const int64_t sample[1] = { 0 };
    Splice *s = build(&w, 2, TOKENS(1, IMG, 5, 1, 6), TOKENS(NO, NO, 5, NO, 6), TOKENS(0, 3, 5), TOKENS(0, 1, 1), ROOM, 0);
    Batch b = { .B = 1, .M = 2, .tokens = TOKENS(3, 4), .labels = TOKENS(NO, 4), .token_start = TOKENS(0, 2),
                .image_start = TOKENS(0, 0), .sample = sample };
    splice_build(s, &b, P, ROOM, 0);
    HOLDS(s->start, s->B + 1, 0, 2);
    HOLDS(s->id, s->N, 3, 4);
    HOLDS(s->text_id, s->text, 4);
    assert_int_equal(s->images + s->vis, 0);
    arena_free(&w.arena);
}

static void too_many_placeholders(void **state)
{
    (void)state;
    static Work w;                                         /* outlives the jump out of die_at */
    assert_true(DIES(build(&w, 1, TOKENS(1, IMG, IMG), TOKENS(NO, NO, NO), TOKENS(0, 3), TOKENS(0, 1), ROOM, 0)));
    arena_free(&w.arena);
    /* The images of the next sequence are not his. */
    assert_true(DIES(build(&w, 2, TOKENS(1, IMG, 1, IMG), TOKENS(NO, NO, NO, NO), TOKENS(0, 2, 4), TOKENS(0, 0, 2), ROOM, 0)));
    arena_free(&w.arena);
}

/* Which targets a share keeps depends on a patch's number in the global batch alone; what is kept stays in order. */
static void share(void **state)
{
    (void)state;
    enum { N = 4 };
    const int32_t tokens[2 * N] = { 1, IMG, 1, IMG, 1, IMG, 1, IMG }, labels[2 * N] = { NO, NO, NO, NO, NO, NO, NO, NO };
    int64_t whole[N * P], apart[N * P], kept = 0, total = 0, drawn = 0;
    for (int64_t step = 0; step < 50; step++) {
        Work w;
        Splice *s = build(&w, N, tokens, labels, TOKENS(0, 2, 4, 6, 8), TOKENS(0, 1, 2, 3, 4), ROOM, 0);
        assert_int_equal(s->vis_images, N);
        for (int64_t i = 0; i < s->vis; i++)
            assert_int_equal(s->vis_key[i], i / P * 65536 * P + i % P);
        splice_share(s, 0.4f, 7, step);
        const int64_t n = s->vis;
        memcpy(whole, s->vis_key, (size_t)n * sizeof *whole);
        assert_int_equal(s->vis_start[s->vis_images], n);
        for (int i = 0; i < s->vis_images; i++) {          /* each picture's targets lie together, in order */
            assert_true(s->vis_start[i] < s->vis_start[i + 1]);
            for (int32_t v = s->vis_start[i]; v < s->vis_start[i + 1]; v++) {
                assert_int_equal(s->vis_src[v] / P, s->vis_src[s->vis_start[i]] / P);
                assert_int_equal(s->vis_row[v], s->vis_src[v] / P * (1 + P) + 1 + s->vis_src[v] % P);
            }
        }
        arena_free(&w.arena);
        int64_t m = 0;
        for (int b = 0; b < N; b++) {                      /* each sequence as a micro-batch of its own */
            const int64_t sample = 10 + b;
            Batch one = { .B = 1, .I = 1, .M = 2, .tokens = tokens, .labels = labels, .token_start = TOKENS(0, 2),
                          .image_start = TOKENS(0, 1), .sample = &sample, .first = b, .global_batch = N };
            open_work(&w);
            splice_build(&w.s, &one, P, ROOM, 0);
            splice_share(&w.s, 0.4f, 7, step);
            memcpy(apart + m, w.s.vis_key, (size_t)w.s.vis * sizeof *apart);
            m += w.s.vis;
            arena_free(&w.arena);
        }
        assert_int_equal(m, n);
        assert_memory_equal(whole, apart, (size_t)n * sizeof *whole);
        kept += n;
        total += N * P;
        drawn |= (int64_t)1 << n;
    }
    assert_true(kept > 0.3 * (double)total && kept < 0.5 * (double)total);     /* 600 draws: 0.4 +- 0.02 */
    assert_true((drawn & (drawn - 1)) != 0);               /* not the same in every step */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(image_in_the_middle),       cmocka_unit_test(shift_one),
        cmocka_unit_test(shift_one_at_the_start),    cmocka_unit_test(label_of_a_first_token),
        cmocka_unit_test(labels_differ_from_tokens), cmocka_unit_test(label_on_an_image),
        cmocka_unit_test(several_images),            cmocka_unit_test(shift_one_between_images),
        cmocka_unit_test(cut_inside_an_image),       cmocka_unit_test(cut_before_an_image),
        cmocka_unit_test(image_without_placeholder), cmocka_unit_test(empty_sequence),
        cmocka_unit_test(built_again),               cmocka_unit_test(too_many_placeholders),
        cmocka_unit_test(share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
