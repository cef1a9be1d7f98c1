/* Slices against the definition: an element belongs to a slice if it does so in every dim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rng.h"
#include "core/slice.h"

static bool holds(const Slice *s, const int64_t *at)
{
    for (int d = 0; d < s->dims; d++) {
        bool in = false;
        for (int64_t c = 0; c < s->count[d]; c++) {
            int64_t first = s->start[d] + c * s->stride[d];
            in |= at[d] >= first && at[d] < first + s->block[d];
        }
        if (!in)
            return false;
    }
    return true;
}

static int64_t elements(const Slice *s)
{
    int64_t n = 1;
    for (int d = 0; d < s->dims; d++)
        n *= s->size[d];
    return n;
}

/* The global indices that s chooses, in row-major order, and how many. */
static int64_t chosen(const Slice *s, int32_t *out)
{
    int64_t n = 0;
    for (int64_t g = 0; g < elements(s); g++) {
        int64_t at[SLICE_DIMS], rest = g;
        for (int d = s->dims - 1; d >= 0; d--)
            at[d] = rest % s->size[d], rest /= s->size[d];
        if (holds(s, at))
            out[n++] = (int32_t)g;
    }
    return n;
}

/* Any blocks of any distance that fit into `size`. */
static Slice any_slice(Rng *r, int dims, const int64_t *size)
{
    Slice s = slice_whole(dims, size);
    for (int d = 0; d < dims; d++) {
        s.start[d] = rng_draw(r, size[d]);
        int64_t room = size[d] - s.start[d];
        s.block[d] = rng_draw(r, room + 1);
        s.stride[d] = max64(s.block[d], 1) + rng_draw(r, 3);
        s.count[d] = s.block[d] ? 1 + rng_draw(r, (room - s.block[d]) / s.stride[d] + 1) : rng_draw(r, 2);
    }
    return s;
}

enum { MOST = 7 * 5 * 4 * 3 };

/* What both hold is copied, what only `to` holds stays. */
static void check_copy(const Slice *to, const Slice *from)
{
    int32_t to_index[MOST], from_index[MOST], got[MOST], want[MOST];
    int64_t nt = chosen(to, to_index), nf = chosen(from, from_index), both = 0;
    assert_int_equal(slice_total(to), nt);
    for (int64_t i = 0; i < nt; i++) {
        got[i] = want[i] = -1;
        for (int64_t j = 0; j < nf; j++)
            if (from_index[j] == to_index[i])
                want[i] = to_index[i], both++;
    }
    assert_int_equal(slice_copy(got, to, from_index, from, sizeof *got), both);
    assert_memory_equal(got, want, (size_t)nt * sizeof *got);
}

static void copies_between_any_slices(void **state)
{
    (void)state;
    Rng r = { 7, 1, 0 };
    for (int t = 0; t < 2000; t++) {
        const int64_t size[] = { 1 + rng_draw(&r, 7), 1 + rng_draw(&r, 5), 1 + rng_draw(&r, 4), 1 + rng_draw(&r, 3) };
        int dims = 1 + (int)rng_draw(&r, SLICE_DIMS);
        Slice to = any_slice(&r, dims, size), from = any_slice(&r, dims, size), whole = slice_whole(dims, size);
        check_copy(&to, &from);
        check_copy(&to, &whole);
        check_copy(&whole, &from);
    }
}

/* Rows among 3, columns among 2: reading every piece of the one from every piece of the other moves all elements. */
static void reshards(void **state)
{
    (void)state;
    enum { ROWS = 6, COLS = 4 };
    Slice whole = slice_whole(2, (int64_t[]){ ROWS, COLS });
    int64_t moved = 0;
    for (int c = 0; c < 2; c++) {
        int16_t piece[ROWS * COLS / 2] = { 0 };
        Slice to = slice_part(whole, 1, c, 2);
        for (int p = 0; p < 3; p++) {
            int16_t rows[ROWS / 3 * COLS];
            for (int i = 0; i < ROWS / 3 * COLS; i++)
                rows[i] = (int16_t)(p * ROWS / 3 * COLS + i);
            Slice from = slice_part(whole, 0, p, 3);
            moved += slice_copy(piece, &to, rows, &from, sizeof *rows);
        }
        for (int i = 0; i < ROWS * COLS / 2; i++)
            assert_int_equal(piece[i], i / 2 * COLS + c * 2 + i % 2);
    }
    assert_int_equal(moved, ROWS * COLS);
}

static void parts_and_ranges(void **state)
{
    (void)state;
    Slice whole = slice_whole(2, (int64_t[]){ 6, 4 });
    assert_int_equal(slice_total(&whole), 24);
    Slice part = slice_part(whole, 0, 2, 3), range = slice_range(part, 1, 1, 3), none = slice_range(part, 0, 6, 0);
    assert_int_equal(part.start[0], 4);
    assert_int_equal(slice_extent(&part, 0), 2), assert_int_equal(slice_extent(&part, 1), 4);
    assert_int_equal(slice_total(&range), 6);
    assert_int_equal(slice_total(&none), 0);
    check_copy(&none, &whole);
    check_copy(&whole, &none);
    Slice empty = slice_whole(2, (int64_t[]){ 0, 4 });
    assert_int_equal(slice_copy(NULL, &empty, NULL, &empty, 4), 0);
}

static void shapes_as_text(void **state)
{
    (void)state;
    char text[SHAPE_TEXT];
    int64_t most[8];
    assert_string_equal(shape_text(text, 2, (int64_t[]){ 4096, 1152 }), "(4096,1152)");
    assert_string_equal(shape_text(text, 1, (int64_t[]){ 0 }), "(0)");
    assert_string_equal(shape_text(text, 0, most), "()");
    for (int d = 0; d < 8; d++)
        most[d] = INT64_MAX;
    assert_int_equal(strlen(shape_text(text, 8, most)), 8 * 20 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(copies_between_any_slices), cmocka_unit_test(reshards),
                                        cmocka_unit_test(parts_and_ranges), cmocka_unit_test(shapes_as_text) };
    return cmocka_run_group_tests_name("slice", tests, NULL, NULL);
}
