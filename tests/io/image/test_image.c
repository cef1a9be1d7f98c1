/* Pictures: many kinds of files, Pillow's squares bit for bit, hostile files refused before they cost memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/rng.h"
#include "io/image/image.h"

typedef struct { const char *name; int w, h, bands, pixel[4], tolerance, len; const char *bytes; } Picture;
typedef struct { int w, h, bands, pad, size; uint8_t px[6 * 6 * 3]; } Square;
typedef struct { int w, h, bands, pad, len; const char *bytes; uint8_t px[15 * 15 * 3]; } Photo;
#include "tests/golden/pictures.h"

enum { PHOTOS = sizeof photos / sizeof *photos, SIDE = 15, PICTURES = sizeof pictures / sizeof *pictures, SQUARES = sizeof squares / sizeof *squares };

/* Under LeakSanitizer: fontconfig keeps its tables until the process ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libfontconfig\n"; }

static char dir[] = "/tmp/asvr-image-XXXXXX";
static const ImageOps *ops;

static const char *file(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static const char *write_bytes(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(file(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    return file(name);
}

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
    Err e = { 0 };
    ops = image_ops(&e);
    if (!ops)
        fprintf(stderr, "%s: %s %s (%s)\n", e.where, e.what, e.got, e.hint);
    assert_non_null(mkdtemp(dir));
    return ops ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir);      /* every test removed what it wrote, and image_save_png its temporary file */
}

static void test_kinds_of_files(void **state)
{
    (void)state;
    for (int i = 0; i < PICTURES; i++) {
        const Picture *p = &pictures[i];
        Err e = { 0 };
        Image im;
        if (!ops->load(&im, write_bytes(p->name, p->bytes, (size_t)p->len), 0, &e))
            fail_msg("%s: %s %s", p->name, e.what, e.got);
        if (im.w != p->w || im.h != p->h || im.bands != p->bands)
            fail_msg("%s is %d x %d x %d", p->name, im.w, im.h, im.bands);
        for (int b = 0; b < im.bands; b++) {
            const int got = im.px[(im.w + 1) * im.bands + b];
            if (abs(got - p->pixel[b]) > p->tolerance)      /* 0 where the file is lossless */
                fail_msg("%s, band %d: %d", p->name, b, got);
        }
        image_free(&im);
        unlink(file(p->name));
    }
}

/* Turned right by its EXIF mark: what was the left half is the upper half. */
static void test_upright(void **state)
{
    (void)state;
    const Picture *p = pictures;
    while (strcmp(p->name, "turned.jpg") != 0)
        p++;
    Err e = { 0 };
    uint8_t out[4 * 4 * 3];
    assert_true(ops->load_square(out, write_bytes(p->name, p->bytes, (size_t)p->len), 4, FIT_STRETCH, &e));
    assert_in_range(out[0], 240, 255);
    assert_in_range(out[3 * 3], 240, 255);
    assert_in_range(out[12 * 3], 0, 20);
    unlink(file(p->name));
}

static void draw(uint8_t *px, int w, int h, int bands)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int b = 0; b < bands; b++)
                px[(y * w + x) * bands + b] = (uint8_t)(x * 37 + y * 59 + b * 101 + x * y % 64 * 3);
}

static void test_squares_of_pillow(void **state)
{
    (void)state;
    for (int i = 0; i < SQUARES; i++) {
        const Square *s = &squares[i];
        uint8_t px[200 * 38 * 4], out[6 * 6 * 3];
        Err e = { 0 };
        draw(px, s->w, s->h, s->bands);
        assert_true(image_save_png(file("s.png"), px, s->w, s->h, s->bands, &e));
        assert_true(ops->load_square(out, file("s.png"), s->size, s->pad ? FIT_PAD : FIT_STRETCH, &e));
        assert_memory_equal(out, s->px, (size_t)(s->size * s->size * 3));
    }
    unlink(file("s.png"));
}

/* tests/ref/pictures.py says the same in Python. */
static int wave(int t, int half) { return abs(t % (2 * half) - half) * 255 / half; }

static uint8_t photograph(int x, int y, int b)
{
    const int light = (2 * wave(x + 2 * y + 40 * b, 197) + wave(3 * x - y + 5000, 61 + 10 * b) + wave(x * y / 64, 331)) / 4;
    uint32_t noise = (uint32_t)x * 374761393u + (uint32_t)y * 668265263u + (uint32_t)b * 2246822519u;
    noise = (noise ^ noise >> 13) * 1274126177u;
    const int v = light + (int)(noise >> 24) % 25 - 12;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static const char *write_photo(const Photo *p)
{
    if (p->w == 0)
        return write_bytes("photo", p->bytes, (size_t)p->len);
    Err e = { 0 };
    uint8_t *px = malloc((size_t)(p->w * p->h * p->bands));
    for (int i = 0; i < p->w * p->h * p->bands; i++)
        px[i] = photograph(i / p->bands % p->w, i / p->bands / p->w, i % p->bands);
    assert_true(image_save_png(file("photo"), px, p->w, p->h, p->bands, &e));
    free(px);
    return file("photo");
}

/* Where the pixels are given, Pillow's square to the bit.  JPEG leaves the decoder one grey level of freedom in the inverse
   DCT and in upsampling colours: 2 at most and under 0.5 on the mean are asked for; libjpeg-turbo's own gives 0. */
static void test_photos_of_pillow(void **state)
{
    (void)state;
    for (int i = 0; i < PHOTOS; i++) {
        const Photo *p = &photos[i];
        uint8_t out[SIDE * SIDE * 3];
        int most = 0, sum = 0;
        Err e = { 0 };
        assert_true(ops->load_square(out, write_photo(p), SIDE, p->pad ? FIT_PAD : FIT_STRETCH, &e));
        for (int k = 0; k < SIDE * SIDE * 3; k++) {
            const int d = abs(out[k] - p->px[k]);
            most = d > most ? d : most;
            sum += d;
        }
        if (most > (p->w ? 0 : 2) || 2 * sum >= SIDE * SIDE * 3)
            fail_msg("photo %d: differs by up to %d, by %g on the mean", i, most, sum / (SIDE * SIDE * 3.0));
    }
    unlink(file("photo"));
}

/* Both bars of a padded picture are grey 127, or CLIP's mean colour, and their share is right. */
static void test_colour_of_the_pad(void **state)
{
    (void)state;
    uint8_t px[32 * 8 * 3], out[32 * 32 * 3];
    memset(px, 200, sizeof px);
    Err e = { 0 };
    assert_true(image_save_png(file("s.png"), px, 32, 8, 3, &e));
    assert_true(ops->load_square(out, file("s.png"), 32, FIT_PAD, &e));
    for (int i = 0; i < 32 * 32 * 3; i++)
        assert_int_equal(out[i], i / 96 < 12 || i / 96 >= 20 ? 127 : 200);
    const uint8_t clip[3] = { 122, 116, 104 };
    assert_true(ops->load_square(out, file("s.png"), 32, FIT_PAD_CLIP, &e));
    for (int i = 0; i < 32 * 32 * 3; i++)
        assert_int_equal(out[i], i / 96 < 12 || i / 96 >= 20 ? clip[i % 3] : 200);
    unlink(file("s.png"));
}

static void test_save_and_load(void **state)
{
    (void)state;
    uint8_t px[9 * 7 * 4];
    static const int kinds[] = { 1, 3, 4 };
    for (int k = 0; k < 3; k++) {
        const int bands = kinds[k], back = bands == 4 ? 4 : 3;
        Err e = { 0 };
        Image im;
        draw(px, 9, 7, bands);
        assert_true(image_save_png(file("s.png"), px, 9, 7, bands, &e));
        assert_true(ops->load(&im, file("s.png"), 0, &e));
        assert_int_equal(im.bands, back);
        for (int i = 0; i < 9 * 7; i++)
            for (int b = 0; b < back; b++)
                assert_int_equal(im.px[i * back + b], px[i * bands + (bands == 1 ? 0 : b)]);
        image_free(&im);
    }
    Err e = { 0 };
    assert_false(image_save_png("/nowhere/s.png", px, 9, 7, 3, &e));
    assert_int_equal(e.code, EXIT_IO);
    unlink(file("s.png"));
}

static void test_shrink_to_fit(void **state)
{
    (void)state;
    uint8_t *px = malloc(200 * 50 * 4);
    for (int i = 0; i < 200 * 50; i++)      /* red where it is seen; black where it is not */
        memcpy(px + 4 * i, i % 200 < 100 ? (uint8_t[]){ 255, 0, 0, 255 } : (uint8_t[]){ 0, 0, 0, 0 }, 4);
    Err e = { 0 };
    Image im;
    assert_true(image_save_png(file("s.png"), px, 200, 50, 4, &e));
    assert_true(ops->load(&im, file("s.png"), 20, &e));
    assert_int_equal(im.w, 20);
    assert_int_equal(im.h, 5);
    assert_int_equal(im.bands, 4);
    for (int x = 0; x < 20; x++)
        if (im.px[4 * x + 3] > 40)
            assert_in_range(im.px[4 * x], 240, 255);      /* no dark rim: colours are weighted by alpha */
    image_free(&im);
    assert_true(ops->load(&im, file("s.png"), 500, &e));
    assert_int_equal(im.w, 200);      /* never enlarged */
    image_free(&im);
    free(px);
    unlink(file("s.png"));
}

/* ---- hostile files ---- */

static uint32_t crc(const uint8_t *p, size_t n)
{
    uint32_t c = ~0u;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xEDB88320u : 0);
    }
    return ~c;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void refused(const char *path, const char *what)
{
    Err e = { 0 };
    Image im;
    uint8_t out[4 * 4 * 3];
    if (ops->load(&im, path, 0, &e))
        fail_msg("%s was read", path);
    assert_int_equal(e.code, EXIT_DATA);
    assert_string_equal(e.where, path);
    if (!strstr(e.what, what))
        fail_msg("%s gave: %s %s", path, e.what, e.got);
    e = (Err){ 0 };
    assert_false(ops->load_square(out, path, 4, FIT_PAD, &e));
    assert_int_equal(e.code, EXIT_DATA);
}

static void test_bombs(void **state)
{
    (void)state;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    static const struct { uint32_t w, h; const char *what; } size[] = {
        { 65535, 65535, "picture is 65535 x 65535" }, { 65501, 1, "picture is 65501 x 1" },
        { 10001, 10000, "picture is 10001 x 10000" }, { 0x7fffffff, 0x7fffffff, "picture is 2147483647" }, { 0, 0, "picture is 0 x 0" },
    };
    uint8_t bytes[1000];
    for (int i = 0; i < 5; i++) {
        const Picture *p = pictures;
        while (strcmp(p->name, "rgb.png") != 0)
            p++;
        memcpy(bytes, p->bytes, (size_t)p->len);
        put32(bytes + 16, size[i].w);
        put32(bytes + 20, size[i].h);
        put32(bytes + 29, crc(bytes + 12, 17));
        refused(write_bytes("bomb.png", bytes, (size_t)p->len), size[i].what);
    }
    for (int i = 0; i < 3; i++) {
        const Picture *p = &pictures[0];
        assert_string_equal(p->name, "rgb.jpg");
        memcpy(bytes, p->bytes, (size_t)p->len);
        uint8_t *frame = memmem(bytes, (size_t)p->len, "\xFF\xC0", 2);
        put32(frame + 5, size[i].h << 16 | (size[i].w & 0xffff));
        refused(write_bytes("bomb.jpg", bytes, (size_t)p->len), size[i].what);
    }
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10);      /* KiB; the smallest bomb holds 300 MB */
    unlink(file("bomb.png"));
    unlink(file("bomb.jpg"));
}

static void test_cut_off(void **state)
{
    (void)state;
    enum { W = 96, H = 64 };
    static uint8_t px[W * H * 3], bytes[1 << 16];
    Rng r = { 1, rng_stream("noise"), 0 };
    for (int i = 0; i < W * H * 3; i++)
        px[i] = (uint8_t)rng_draw(&r, 256);
    Err e = { 0 };
    assert_true(image_save_png(file("whole.png"), px, W, H, 3, &e));
    FILE *f = fopen(file("whole.png"), "rb");
    const size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t k = 1; k < 10; k++)
        refused(write_bytes("cut.png", bytes, n * k / 10), "");
    for (int i = 0; i < PICTURES; i++)      /* half of any file is no file */
        refused(write_bytes(pictures[i].name, pictures[i].bytes, (size_t)pictures[i].len / 2), ""), unlink(file(pictures[i].name));
    unlink(file("whole.png"));
    unlink(file("cut.png"));
}

static void test_no_pictures(void **state)
{
    (void)state;
    static const char *const text[] = { "1,2,3\n4,5,6\n", "", "2 2\n1 2\n3 4\n", "%PDF-1.4\n%%EOF",
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"><rect width=\"9\" height=\"9\"/></svg>" };
    for (int i = 0; i < 5; i++)
        refused(write_bytes("text.jpg", text[i], strlen(text[i])), "no picture");
    unlink(file("text.jpg"));
    refused(file("none.png"), "no such picture");
    refused(dir, "no such picture");
    assert_int_equal(mkfifo(file("pipe.png"), 0666), 0);      /* must not wait for a writer */
    refused(file("pipe.png"), "no such picture");
    unlink(file("pipe.png"));
    refused("https://example.org/cat.png", "no such picture");
}

/* Square brackets in a name are letters, not options of libvips. */
static void test_odd_names(void **state)
{
    (void)state;
    static const uint8_t px[4 * 4 * 3];
    static const char *const names[] = { "a[shrink=2].png", "b[0", "ü %s.png" };
    for (int i = 0; i < 3; i++) {
        Err e = { 0 };
        Image im;
        assert_true(image_save_png(file(names[i]), px, 4, 4, 3, &e));
        assert_true(ops->load(&im, file(names[i]), 0, &e));
        assert_int_equal(im.w, 4);
        image_free(&im);
        assert_int_equal(unlink(file(names[i])), 0);
    }
}

/* Damaged at random, a file is refused or read, silently; it never brings the process down. */
static void test_random_damage(void **state)
{
    (void)state;
    Rng r = { 5, rng_stream("damage"), 0 };
    for (int i = 0; i < 320; i++) {
        const Picture *p = &pictures[i % PICTURES];
        uint8_t bytes[4096], out[8 * 8 * 3];
        assert_in_range(p->len, 16, sizeof bytes);
        memcpy(bytes, p->bytes, (size_t)p->len);
        for (int64_t k = 1 + rng_draw(&r, 4); k > 0; k--)
            bytes[rng_draw(&r, rng_draw(&r, 2) ? p->len : 16)] = (uint8_t)rng_draw(&r, 256);
        Err e = { 0 };
        if (!ops->load_square(out, write_bytes("odd", bytes, (size_t)p->len), 8, i % 2, &e))
            assert_true(e.code == EXIT_DATA && e.what[0]);
    }
    unlink(file("odd"));
}

static void test_label(void **state)
{
    (void)state;
    static const char *const text[] = { "What is on the left of the red apple, and what is below it?", "<b>&\xff", "",
                                        "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiii" };
    for (int i = 0; i < 4; i++) {
        Err e = { 0 };
        Image im;
        int ink = 0;
        assert_true(ops->label(&im, text[i], 60, 12, &e));
        assert_int_equal(im.w, 60);
        assert_int_equal(im.bands, 3);
        assert_true(i == 0 || i == 3 ? im.h > 20 : im.h < 20);      /* broken into lines where it does not fit */
        for (int k = 0; k < im.w * im.h * 3; k++)
            ink += im.px[k] < 128;
        assert_int_equal(ink > 0, i != 2);
        image_free(&im);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_of_files), cmocka_unit_test(test_upright),     cmocka_unit_test(test_squares_of_pillow),
        cmocka_unit_test(test_photos_of_pillow), cmocka_unit_test(test_colour_of_the_pad),
        cmocka_unit_test(test_save_and_load),  cmocka_unit_test(test_shrink_to_fit), cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_cut_off),        cmocka_unit_test(test_no_pictures), cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_random_damage),  cmocka_unit_test(test_label),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
