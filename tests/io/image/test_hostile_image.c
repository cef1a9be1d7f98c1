/*
 * Hostile pictures: refused with EXIT_DATA and the path before memory is taken for what they claim, or right to the pixel.
 * Made of the small pictures in tests/fuzz/corpus/picture, whose sizes, kinds and ends are written over.  The process may take
 * 256 MiB more than it has, except under AddressSanitizer, which needs all of the address space.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/image/header.h"
#include "io/image/image.h"

#define PICTURES "tests/fuzz/corpus/picture/"

void __asan_init(void) __attribute__((weak));

/* Under LeakSanitizer: fontconfig keeps its tables until the process ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libfontconfig\n"; }

static char dir[400], path[480];
static const ImageOps *ops;
static int cases;

/* ---- making ---- */

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

static void put(uint8_t *p, uint64_t v, int bytes, bool little)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> 8 * (little ? i : bytes - 1 - i));
}

static uint8_t *take(const char *name, size_t *n)
{
    char from[200], *bytes;
    Err e = { 0 };
    snprintf(from, sizeof from, PICTURES "%s", name);
    assert_true(file_read(from, 1 << 20, &bytes, n, &e));
    return (uint8_t *)bytes;
}

static void write_file(const void *bytes, size_t n)
{
    Err e = { 0 };
    snprintf(path, sizeof path, "%s/picture", dir);
    assert_true(file_replace(path, bytes, n, &e));
}

/* ---- judging ---- */

static void refused(const char *name, const char *what)
{
    Err e = { 0 }, square = { 0 };
    Image im;
    uint8_t out[4 * 4 * 3];
    cases++;
    if (ops->load(&im, path, 0, &e))
        fail_msg("%s is read as %d x %d", name, im.w, im.h);
    if (e.code != EXIT_DATA || !strstr(e.what, what) || strcmp(e.where, path) != 0)
        fail_msg("%s: expected \"%s\", got %d \"%s\" (%s) of \"%s\"", name, what, e.code, e.what, e.got, e.where);
    assert_false(ops->load_square(out, path, 4, FIT_PAD, &square));
    assert_int_equal(square.code, EXIT_DATA);
}

/* It is a picture of this size, and pixel (1,1) has this colour, give or take. */
static void right(const char *name, int w, int h, const int rgb[3], int give)
{
    Err e = { 0 };
    Image im;
    cases++;
    if (!ops->load(&im, path, 0, &e))
        fail_msg("%s is refused: %s %s", name, e.what, e.got);
    if (im.w != w || im.h != h)
        fail_msg("%s is %d x %d", name, im.w, im.h);
    const uint8_t *px = im.px + (im.w + 1) * im.bands;
    for (int b = 0; b < 3; b++)
        if (abs(px[b] - rgb[b]) > give)
            fail_msg("%s has the colour %d %d %d", name, px[0], px[1], px[2]);
    image_free(&im);
}

/* ---- sizes ---- */

static const struct { uint32_t w, h; const char *what; } sizes[] = {
    { 65535, 65535, "picture is 65535 x 65535" }, { 65501, 1, "picture is 65501 x 1" }, { 1, 65535, "picture is 1 x 65535" },
    { 10001, 10000, "picture is 10001 x 10000" }, { 0, 4, "picture is 0 x 4" }, { 8, 0, "picture is 8 x 0" }, { 0, 0, "picture is 0 x 0" },
    { 0x7fffffff, 0x7fffffff, "picture is 2147483647" }, { 0xffffffff, 1, "picture is 4294967295" },
};
enum { SIZES = sizeof sizes / sizeof *sizes, SHORT_SIZES = 7 /* of 16 bits */ };

static void png_size(uint8_t *b, uint32_t w, uint32_t h)
{
    put(b + 16, w, 4, false);
    put(b + 20, h, 4, false);
    put(b + 29, crc(b + 12, 17), 4, false);
}

static void claims_are_judged(void **state)
{
    (void)state;
    static const struct { const char *name; int bytes, w, h; bool little; const char *mark; } kind[] = {
        { "rgb.png", 4, 16, 20, false, "" }, { "rgb.jpg", 2, 7, 5, false, "\xFF\xC0" }, { "progressive.jpg", 2, 7, 5, false, "\xFF\xC2" },
        { "rgb.gif", 2, 6, 8, true, "" }, { "rgb.tif", 4, 8, 8, true, NULL },
    };
    for (size_t k = 0; k < sizeof kind / sizeof *kind; k++)
        for (int i = 0; i < (kind[k].bytes == 4 ? SIZES : SHORT_SIZES); i++) {
            size_t n;
            uint8_t *b = take(kind[k].name, &n), *at = kind[k].mark && kind[k].mark[0] ? memmem(b, n, kind[k].mark, 2) : b;
            assert_non_null(at);
            if (!strcmp(kind[k].name, "rgb.png")) {
                png_size(b, sizes[i].w, sizes[i].h);
            } else if (kind[k].mark) {
                put(at + kind[k].w, sizes[i].w, kind[k].bytes, kind[k].little);
                put(at + kind[k].h, sizes[i].h, kind[k].bytes, kind[k].little);
            } else {                                    /* TIFF: the entries 256 and 257, made 32 bits wide */
                uint8_t *w = memmem(b, n, "\0\1", 3 - 1), *h = NULL;
                for (size_t p = 8; p + 12 < n; p++) {
                    w = !memcmp(b + p, "\0\1\3\0\1\0\0\0", 8) || !memcmp(b + p, "\0\1\4\0\1\0\0\0", 8) ? b + p : w;
                    h = !memcmp(b + p, "\1\1\3\0\1\0\0\0", 8) || !memcmp(b + p, "\1\1\4\0\1\0\0\0", 8) ? b + p : h;
                }
                assert_true(w && h);
                w[2] = h[2] = 4;
                put(w + 8, sizes[i].w, 4, true);
                put(h + 8, sizes[i].h, 4, true);
            }
            write_file(b, n);
            refused(kind[k].name, sizes[i].what);
            free(b);
        }
}

static void ppm_is_read_in_full(void **state)
{
    (void)state;
    static const struct { const char *what, *head; } claim[] = {
        { "picture is 4294967297 x 1", "P6 4294967297 1 255\n" }, { "picture is 1 x 4294967297", "P6 1 4294967297 255\n" },
        { "picture is", "P6 18446744073709551617 1 255\n" }, { "picture is", "P5 99999999999999999999999999999999 1 255\n" },
        { "picture is 65535 x 65535", "P6 65535 65535 255\n" }, { "picture is 65535 x 65535", "P4\n# \n65535 # c\n65535\n" },
        { "picture is 0 x 1", "P6 0 1 255\n" }, { "picture is 0 x 1", "P6 -1 1 255\n" }, { "picture is 0 x 0", "P6" }, { "picture is 0 x 0", "P6 2" },
        { "picture is 0 x 0", "P6 x y z\n" }, { "picture is 0 x", "P6 1e3 1 255\n" }, { "picture is", "PF 4294967297 1 -1\n" }, { "", "P6 1 1 0\nabc" },
        { "", "P6 1 1 65536\nabcdef" }, { "", "P6 2 2 255\nabc" }, { "", "P7 1 1 255\nabc" },
        { "ends before", "P1\n202 20101\n1 0 1 2 a" }, { "ends before", "P2 2 2 255\n1 2 3 a" }, { "ends before", "P3 1 1 255\n1 2 a" },
        { "another size", "P5\n# one\n# two\n2 2\n255\nabcd" },
    };
    for (size_t i = 0; i < sizeof claim / sizeof *claim; i++) {
        char b[200];
        memset(b, 'x', sizeof b);
        memcpy(b, claim[i].head, strlen(claim[i].head));
        write_file(b, strchr(claim[i].head, 'a') || strlen(claim[i].head) < 8 ? strlen(claim[i].head) : sizeof b);
        refused(claim[i].head, claim[i].what);
    }
}

/* ---- other kinds ---- */

static void no_pictures(void **state)
{
    (void)state;
    static const char *const text[] = {
        "", "\x89PNG\r\n\x1a\n", "GIF89a", "\xFF\xD8\xFF", "\xFF\xD8\xFF\xD9", "RIFF\x10\0\0\0WEBPVP8L", "BM\x46", "II*", "MM",
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:x=\"http://www.w3.org/1999/xlink\" width=\"9\" height=\"9\"><image x:href=\"file:///etc/passwd\"/></svg>",
        "<?xml version=\"1.0\"?><!DOCTYPE svg [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><svg xmlns=\"http://www.w3.org/2000/svg\"><text>&e;</text></svg>",
        "<svg width=\"1000000\" height=\"1000000\"/>", "%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF", "%!PS-Adobe-3.0\n(/etc/passwd) (r) file\n",
        "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 9 +X 9\n", "SIMPLE  =                    T", "\x76\x2f\x31\x01", ("\0\0\0\x18" "ftypheic"), "PK\3\4", "push graphic-context\nimage over 0,0 0,0 'https://example.org/'",
    };
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        write_file(text[i], strlen(text[i]));
        refused(text[i], "");
    }
}

/* A byte written over, or the file cut: at, byte; at < 0: that much is left. */
static void damaged_is_refused(void **state)
{
    (void)state;
    static const struct { const char *name; int at, byte; } harm[] = {
        { "rgb.png", 24, 3 }, { "rgb.png", 25, 7 }, { "rgb.png", 26, 1 }, { "rgb.png", 28, 2 }, { "rgb.png", 12, 'X' }, { "rgb.png", -40, 0 }, { "rgb.jpg", -300, 0 },
        { "progressive.jpg", -400, 0 }, { "rgb.gif", -30, 0 }, { "rgb.tif", -200, 0 }, { "rgb.tif", 4, 255 }, { "rgb.webp", -30, 0 }, { "rgb.webp", 12, 'X' },
        { "rgb.ppm", -100, 0 }, { "cmyk.jpg", -200, 0 }, { "two.webp", -60, 0 }, { "lzw.tif", -30, 0 },
    };
    for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
        size_t n;
        uint8_t *b = take(harm[i].name, &n);
        if (harm[i].at >= 0)
            b[harm[i].at] = (uint8_t)harm[i].byte;
        if (harm[i].at >= 12 && !strcmp(harm[i].name, "rgb.png"))
            put(b + 29, crc(b + 12, 17), 4, false);
        write_file(b, harm[i].at < 0 ? (size_t)-harm[i].at : n);
        refused(harm[i].name, "");
        free(b);
    }
}

/* ---- bombs ---- */

typedef struct { uint8_t *out; size_t n; uint32_t bits; int held; } Bits;

static void bits(Bits *b, uint32_t code, int n, bool reversed)
{
    for (int i = 0; i < n; i++) {
        b->bits |= (code >> (reversed ? n - 1 - i : i) & 1) << b->held;
        if (++b->held == 8) {
            b->out[b->n++] = (uint8_t)b->bits;
            b->bits = 0;
            b->held = 0;
        }
    }
}

/* zlib's stream of `zeros` zeros (a multiple of 258, and one more): a literal, then copies of 258 bytes, 13 bits each. */
static size_t deflate_zeros(uint8_t *out, int64_t zeros)
{
    Bits b = { .out = out };
    bits(&b, 0x0178, 16, false);
    bits(&b, 3, 3, false);                              /* the last block, fixed codes */
    bits(&b, 0x30, 8, true);
    for (int64_t k = 1; k < zeros; k += 258) {
        bits(&b, 0xC5, 8, true);
        bits(&b, 0, 5, true);
    }
    bits(&b, 0, 7, true);
    while (b.held)
        bits(&b, 0, 1, false);
    put(out + b.n, (uint64_t)(zeros % 65521) << 16 | 1, 4, false);
    return b.n + 4;
}

static size_t chunk(uint8_t *at, const char *name, const uint8_t *data, size_t n)
{
    put(at, n, 4, false);
    memcpy(at + 4, name, 4);
    memmove(at + 8, data, n);
    put(at + 8 + n, crc(at + 4, n + 4), 4, false);
    return n + 12;
}

/* A small picture that holds 64 MiB of zeros: as pixels, as a comment, as a profile.  Refused, or right: black. */
static void bombs(void **state)
{
    (void)state;
    enum { ZEROS = 258 * 260000 + 1, SMALL = 258 + 1, ROOM = 600000 };
    uint8_t *b = calloc(1, 2 * ROOM), *data = calloc(1, ROOM);
    static const char *const where[] = { "IDAT", "zTXt", "iCCP", "iTXt" };
    for (int k = 0; k < 4; k++) {
        size_t n;
        uint8_t *head = take("rgb.png", &n);
        memcpy(b, head, 33);
        free(head);
        png_size(b, 7, 11);                             /* 11 rows of 1 + 3 x 7 = 242 bytes: less than SMALL */
        n = 33;
        if (k) {
            const size_t name = k == 3 ? 5 : 3;         /* keyword, 0, [compressed 1,] method 0, [language, translation] */
            memcpy(data, k == 3 ? "x\0\1\0\0\0" : "x\0\0", name + (k == 3));
            n += chunk(b + n, where[k], data, name + (k == 3) + deflate_zeros(data + name + (k == 3), ZEROS));
        }
        n += chunk(b + n, "IDAT", data, deflate_zeros(data, k ? SMALL : ZEROS));
        n += chunk(b + n, "IEND", data, 0);
        write_file(b, n);
        Err e = { 0 };
        Image im;
        if (ops->load(&im, path, 0, &e)) {
            image_free(&im);
            right(where[k], 7, 11, (const int[]){ 0, 0, 0 }, 0);
        } else {
            refused(where[k], "");
        }
    }
    free(b);
    free(data);
}

/* ---- odd, and right ---- */

static void odd_ones_are_right(void **state)
{
    (void)state;
    static const struct { const char *name; int w, h, rgb[3], give; } odd[] = {
        { "cmyk.jpg", 8, 4, { 198, 46, 114 }, 2 }, { "turned.jpg", 8, 16, { 250, 0, 0 }, 2 }, { "grey16.png", 8, 4, { 156, 156, 156 }, 0 }, { "rgba16.png", 8, 4, { 156, 78, 39 }, 0 },
        { "bit.png", 8, 4, { 255, 255, 255 }, 0 }, { "palette.png", 8, 4, { 200, 40, 60 }, 0 }, { "two.png", 5, 3, { 1, 2, 3 }, 0 }, { "two.webp", 5, 3, { 1, 2, 3 }, 0 },
        { "two.gif", 5, 3, { 0, 0, 0 }, 3 }, { "lzw.tif", 5, 3, { 1, 2, 3 }, 0 }, { "deflate.tif", 5, 3, { 1, 2, 3 }, 0 }, { "cmyk.tif", 5, 3, { 1, 2, 3 }, 1 },
        { "g16.tif", 4, 3, { 156, 156, 156 }, 0 }, { "text.pgm", 2, 2, { 113, 113, 113 }, 1 }, { "text.pbm", 2, 2, { 0, 0, 0 }, 0 },
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        size_t n;
        uint8_t *b = take(odd[i].name, &n);
        write_file(b, n);
        right(odd[i].name, odd[i].w, odd[i].h, odd[i].rgb, odd[i].give);
        free(b);
    }
}

/* Orientations that EXIF does not know are none. */
static void turns_of_nowhere(void **state)
{
    (void)state;
    size_t n;
    uint8_t *b = take("turned.jpg", &n), *at = NULL;
    for (size_t p = 0; p + 12 < n && !at; p++)
        at = b[p] + b[p + 1] == 0x13 && (b[p] == 1 || b[p] == 0x12) ? b + p : NULL;
    assert_non_null(at);
    const bool little = at[0] == 0x12;
    for (int k = 0; k < 3; k++) {
        put(at + 8, (const uint64_t[]){ 0, 9, 255 }[k], 2, little);
        write_file(b, n);
        Err e = { 0 };
        Image im;
        cases++;
        assert_true(ops->load(&im, path, 0, &e));
        assert_true(im.w == 16 && im.h == 8);
        image_free(&im);
    }
    free(b);
}

static void enough(void **state)
{
    (void)state;
    print_message("%d hostile pictures\n", cases);
    assert_true(cases >= 40);
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
    snprintf(dir, sizeof dir, "%s/asvr-hostile-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(dir));
    Err e = { 0 };
    ops = image_ops(&e);
    assert_non_null(ops);
    size_t bytes;
    uint8_t *b = take("rgb.png", &bytes);               /* what libvips needs to start is not counted */
    write_file(b, bytes);
    free(b);
    right("rgb.png", 8, 4, (const int[]){ 200, 40, 60 }, 0);
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_true(f && fscanf(f, "%ld", &pages) == 1);
    fclose(f);
    const rlim_t most = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (256u << 20);
    const struct rlimit limit = { most, most };
    return !__asan_init ? setrlimit(RLIMIT_AS, &limit) : 0;
}

static int teardown(void **state)
{
    (void)state;
    Err e = { 0 };
    return dir_remove(dir, &e) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_are_judged), cmocka_unit_test(ppm_is_read_in_full), cmocka_unit_test(no_pictures), cmocka_unit_test(damaged_is_refused),
        cmocka_unit_test(bombs), cmocka_unit_test(odd_ones_are_right), cmocka_unit_test(turns_of_nowhere), cmocka_unit_test(enough),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
