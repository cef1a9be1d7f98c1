/* Kinds of pictures beyond the common ones, from a file and from memory: the pixels of Pillow, or a refusal that says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "io/base/files.h"
#include "io/image/header.h"
#include "io/image/image.h"

typedef struct { const char *name; int w, h, bands, tolerance, len; const char *bytes, *px; } Format;
#include "tests/golden/formats.h"

enum { FORMATS = sizeof formats / sizeof *formats, REFUSED = sizeof refused / sizeof *refused, SIDE = 5 };

static const ImageOps *ops;
static char path[PATH_ROOM];

/* The module lies beside the program: three folders above this test. */
static int setup(void **state)
{
    (void)state;
    char exe[4000];
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    assert_true(n > 0);
    exe[n] = 0;
    for (int up = 0; up < 4; up++)
        *strrchr(exe, '/') = 0;
    setenv("ASVR_MODULES", exe, 0);
    snprintf(path, sizeof path, "%s/asvr-formats-%d", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
    Err e = { 0 };
    ops = image_ops(&e);
    return ops ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_file(const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void pixels_are_pillows(void **state)
{
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        const Format *f = &formats[i];
        Err e = { 0 };
        Image im;
        write_file(f->bytes, (size_t)f->len);
        if (!ops->load(&im, path, 0, &e))
            fail_msg("%s: %s %s", f->name, e.what, e.got);
        if (im.w != f->w || im.h != f->h || im.bands != f->bands)
            fail_msg("%s is %d x %d x %d", f->name, im.w, im.h, im.bands);
        for (int k = 0; k < f->w * f->h * f->bands; k++)
            if (abs(im.px[k] - (uint8_t)f->px[k]) > f->tolerance)
                fail_msg("%s: number %d is %d, not %d", f->name, k, im.px[k], (uint8_t)f->px[k]);
        image_free(&im);
    }
}

static void memory_is_as_a_file(void **state)
{
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        const Format *f = &formats[i];
        uint8_t one[SIDE * SIDE * 3], two[SIDE * SIDE * 3];
        Err e = { 0 };
        write_file(f->bytes, (size_t)f->len);
        assert_true(ops->load_square(one, path, SIDE, FIT_PAD, &e));
        if (!ops->load_square_bytes(two, f->bytes, (size_t)f->len, "0.tar: byte 512", SIDE, FIT_PAD, &e))
            fail_msg("%s: %s %s", f->name, e.what, e.got);
        assert_memory_equal(one, two, sizeof one);
    }
}

static void says(const Format *f, int n, const char *what)
{
    uint8_t out[SIDE * SIDE * 3];
    Err e = { 0 };
    if (ops->load_square_bytes(out, f->bytes, (size_t)n, "the place", SIDE, FIT_PAD, &e))
        fail_msg("%s: %d of %d bytes are read", f->name, n, f->len);
    assert_int_equal(e.code, EXIT_DATA);
    assert_string_equal(e.where, "the place");
    if (!strstr(e.what, what))
        fail_msg("%s: \"%s\", not \"%s\"", f->name, e.what, what);
}

static void no_white_is_refused(void **state)
{
    (void)state;
    says(&refused[0], refused[0].len, "beyond 0 to 1");
    says(&refused[1], refused[1].len, "beyond 0 to 1");
    says(&refused[2], refused[2].len, "have a sign");
    assert_int_equal(REFUSED, 3);
}

static void cut_off_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < FORMATS; i++)
        for (int k = 0; k < 4; k++)
            says(&formats[i], formats[i].len * k / 5, "");
    says(&formats[0], formats[0].len - 4, "before its last pixel");
}

static void size_is_claimed(void **state)
{
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        int64_t w = 0, h = 0;
        const int claim = picture_size_bytes((const uint8_t *)formats[i].bytes, (size_t)formats[i].len, &w, &h);
        const bool coded = !strcmp(formats[i].name, "a.heic");      /* whole blocks, of which a part is shown */
        if (claim == SIZE_UNKNOWN || (coded ? w != 64 || h != 64 : w != formats[i].w || h != formats[i].h))
            fail_msg("%s claims %d: %lld x %lld", formats[i].name, claim, (long long)w, (long long)h);
    }
}

/* Boxes in boxes, a hundred thousand deep. */
static void deep_boxes_have_no_size(void **state)
{
    (void)state;
    enum { DEEP = 100000, HEAD = 16 };
    uint8_t *b = calloc(HEAD + 12 * DEEP, 1);
    int64_t w, h;
    assert_non_null(b);
    memcpy(b, "\0\0\0\x10" "ftypheic", 12);
    for (int i = 0; i < DEEP; i++) {
        const uint32_t left = 12 * (uint32_t)(DEEP - i);
        const uint8_t box[8] = { (uint8_t)(left >> 24), (uint8_t)(left >> 16), (uint8_t)(left >> 8), (uint8_t)left, 'm', 'e', 't', 'a' };
        memcpy(b + HEAD + 12 * i, box, sizeof box);
    }
    assert_int_equal(picture_size_bytes(b, HEAD + 12 * DEEP, &w, &h), SIZE_UNKNOWN);
    free(b);
}

/* A JPEG 2000 that begins at (2, 0) of its grid: found by fuzz_picture, other pixels each time. */
static void shifted_is_refused(void **state)
{
    (void)state;
    uint8_t b[4096];
    for (int i = 0; i < FORMATS; i++)
        if (!strcmp(formats[i].name, "a.j2k")) {
            Format f = formats[i];
            memcpy(b, f.bytes, (size_t)f.len);
            b[19] = 2;
            f.bytes = (const char *)b;
            says(&f, f.len, "begin at (0, 0)");
            return;
        }
    fail();
}

/* data.max_pixels */
static void limit_is_the_users(void **state)
{
    (void)state;
    uint8_t out[SIDE * SIDE * 3];
    for (int i = 0; i < FORMATS; i++) {
        const Format *f = &formats[i];
        Err e = { 0 };
        ops->allow(f->w * f->h - 1);
        says(f, f->len, "picture is");
        ops->allow(strcmp(f->name, "a.heic") ? f->w * f->h : 64 * 64);
        assert_true(ops->load_square_bytes(out, f->bytes, (size_t)f->len, "x", SIDE, FIT_PAD, &e));
    }
    ops->allow(IMAGE_PIXELS);
}

/* Sizes written over with what is too large, with what is none, and with what is negative. */
static void hostile_bitmaps(void **state)
{
    (void)state;
    static const struct { int at, n; uint8_t byte[4]; } harm[] = {
        { 18, 4, { 255, 255, 255, 127 } }, { 22, 4, { 0, 0, 0, 128 } }, { 18, 4, { 0, 0, 0, 0 } }, { 18, 4, { 255, 255, 255, 255 } },
        { 10, 4, { 255, 255, 255, 255 } }, { 10, 4, { 2, 0, 0, 0 } },    { 14, 4, { 41, 0, 0, 0 } }, { 28, 2, { 7, 0, 0, 0 } },
        { 30, 4, { 4, 0, 0, 0 } },         { 26, 2, { 2, 0, 0, 0 } },     { 22, 4, { 6, 0, 0, 0 } },
    };
    uint8_t b[4096], out[SIDE * SIDE * 3];
    for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
        const Format *f = &formats[0];
        Err e = { 0 };
        memcpy(b, f->bytes, (size_t)f->len);
        memcpy(b + harm[i].at, harm[i].byte, (size_t)harm[i].n);
        if (ops->load_square_bytes(out, b, (size_t)f->len, "x", SIDE, FIT_PAD, &e))
            fail_msg("harm %zu is read", i);
        assert_int_equal(e.code, EXIT_DATA);
    }
    Rng r = { 9, rng_stream("damage"), 0 };
    for (int i = 0; i < 4000; i++) {
        const Format *f = &formats[i % FORMATS];
        Err e = { 0 };
        assert_in_range(f->len, 8, sizeof b);
        memcpy(b, f->bytes, (size_t)f->len);
        for (int64_t k = 1 + rng_draw(&r, 4); k > 0; k--)
            b[rng_draw(&r, rng_draw(&r, 2) ? f->len : 60)] = (uint8_t)rng_draw(&r, 256);
        if (!ops->load_square_bytes(out, b, (size_t)f->len, "x", SIDE, FIT_PAD, &e))
            assert_true(e.code == EXIT_DATA && e.what[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_pillows), cmocka_unit_test(memory_is_as_a_file), cmocka_unit_test(no_white_is_refused),
        cmocka_unit_test(cut_off_is_refused), cmocka_unit_test(size_is_claimed), cmocka_unit_test(deep_boxes_have_no_size), cmocka_unit_test(limit_is_the_users),
        cmocka_unit_test(shifted_is_refused), cmocka_unit_test(hostile_bitmaps),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
