/* test_scales.c -- pictures at several scales: resizing, tiles and means as PyTorch's (tests/ref/scales.py); bits */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/resize.h"
#include "core/scales.h"
#include "tests/core/model_case.h"

typedef struct { int size, scaled, kind; const float *want; } ResizeCase;
#include "tests/golden/scales_golden.h"

/* The sizes of tests/ref/scales.py: patches of 4 leave 2 pixels of a tile of 10; blocks of 3 x 3 reach over tiles' 2 x 2. */
enum { PICTURES = 2, IMAGE = 10, PATCH = 4, SIDE = 2, WIDTH = 3, P = SIDE * SIDE, MOST = 4, PIXELS = MOST * IMAGE };

/* Its numbers: the high bits of a linear congruence. */
static uint8_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (uint8_t)(*state >> 24);
}

static void pictures(uint8_t *pixels, int64_t n)
{
    uint32_t state = 1;
    for (int64_t i = 0; i < n; i++)
        pixels[i] = next(&state);
}

static void made(float *w, int n, uint32_t seed)
{
    for (int i = 0; i < n; i++)
        w[i] = (float)(next(&seed) - 128) / 256;
}

/* Resized values are below 2, features sums of 48 products below 1: floats err by some 1e-6; a tap, a tile or a patch in
   the wrong place errs by 1e-2 and more. */
static void assert_close(const char *what, int case_of, const float *got, const float *want, int n)
{
    for (int i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) < 1e-5f))
            fail_msg("%s %d: number %d is %.8g, not %.8g", what, case_of, i, (double)got[i], (double)want[i]);
}

/* The compiler may contract the loops of a wide and of a narrow patch differently: some last bits of values below 2. */
static bool same_value(float a, float b) { return fabsf(a - b) < 1e-6f; }
static void same_bits(const float *a, const float *b, int64_t n) { assert_memory_equal(a, b, (size_t)n * sizeof *a); }

/* Patches of one pixel are the picture, (y,x,c). */
static void resizes_as_torch(void **state)
{
    const Ops *o = *state;
    bool beyond = false;
    for (size_t k = 0; k < sizeof resize_cases / sizeof *resize_cases; k++) {
        const ResizeCase *r = &resize_cases[k];
        uint8_t pixels[10 * 10 * 3];
        float out[10 * 10 * 3];
        const int n = r->scaled * r->scaled * 3;
        pictures(pixels, r->size * r->size * 3);
        o->patches(out, pixels, 0, 1, r->size, r->scaled, r->scaled, 1, r->kind, &VISION_COLOURS[VISION_SIGLIP]);
        assert_close("resize", (int)k, out, r->want, n);
        for (int i = 0; i < n; i++)
            beyond |= fabsf(out[i]) > 1.1f;
    }
    assert_true(beyond);                                /* bicubic overshoots, and is not cut to the range of colours */
}

/* 12 -> 6 in tiles of 3 and patches of 2: what a tile has is what the whole picture has there, in any range of tiles. */
static void tiles_are_windows(void **state)
{
    const Ops *o = *state;
    enum { SIZE = 12, SCALED = 6, TILE = 3, S = SCALED / TILE, TILES = PICTURES * S * S, LEN = 3 * 2 * 2 };
    uint8_t pixels[PICTURES * SIZE * SIZE * 3];
    float whole[PICTURES][SCALED][SCALED][3], tile[TILES][3][2][2], again[TILES][3][2][2];
    pictures(pixels, sizeof pixels);
    o->patches(&whole[0][0][0][0], pixels, 0, PICTURES, SIZE, SCALED, SCALED, 1, RESIZE_BICUBIC, &VISION_COLOURS[VISION_SIGLIP]);
    o->patches(&tile[0][0][0][0], pixels, 0, TILES, SIZE, SCALED, TILE, 2, RESIZE_BICUBIC, &VISION_COLOURS[VISION_SIGLIP]);
    for (int i = 0; i < TILES * LEN; i++) {
        int k = i / LEN, c = i / 4 % 3, y = k % (S * S) / S * TILE + i / 2 % 2, x = k % S * TILE + i % 2;
        assert_true(same_value((&tile[0][0][0][0])[i], whole[k / (S * S)][y][x][c]));
    }
    for (int first = 0; first < TILES; first += 3)
        o->patches(&again[first][0][0][0], pixels, first, TILES - first < 3 ? TILES - first : 3, SIZE, SCALED, TILE, 2,
                   RESIZE_BICUBIC, &VISION_COLOURS[VISION_SIGLIP]);
    same_bits(&again[0][0][0][0], &tile[0][0][0][0], TILES * LEN);
}

/* A patch of 20 columns, more than the fast loop takes at a time, has the numbers of 20 x 20 patches of one pixel. */
static void wide_patches(void **state)
{
    const Ops *o = *state;
    enum { SIZE = 30, WIDE = 20 };
    uint8_t pixels[SIZE * SIZE * 3];
    static float whole[WIDE][WIDE][3], patch[3][WIDE][WIDE];
    pictures(pixels, sizeof pixels);
    o->patches(&whole[0][0][0], pixels, 0, 1, SIZE, WIDE, WIDE, 1, RESIZE_BICUBIC, &VISION_COLOURS[VISION_SIGLIP]);
    o->patches(&patch[0][0][0], pixels, 0, 1, SIZE, WIDE, WIDE, WIDE, RESIZE_BICUBIC, &VISION_COLOURS[VISION_SIGLIP]);
    for (int i = 0; i < 3 * WIDE * WIDE; i++)
        assert_true(same_value(patch[i % 3][i / 3 / WIDE][i / 3 % WIDE], whole[i / 3 / WIDE][i / 3 % WIDE][i % 3]));
}

/* A picture that is not resized has its own values, to the bit, in each of its tiles, for both kinds. */
static void not_resized_is_exact(void **state)
{
    const Ops *o = *state;
    enum { SIZE = 7, TILE = 3 };
    uint8_t pixels[SIZE * SIZE * 3];
    float whole[SIZE * SIZE * 3], tile[4 * TILE * TILE * 3];
    pictures(pixels, sizeof pixels);
    for (int kind = RESIZE_BICUBIC; kind <= RESIZE_BILINEAR; kind++) {
        o->patches(whole, pixels, 0, 1, SIZE, SIZE, SIZE, 1, kind, &VISION_COLOURS[VISION_SIGLIP]);
        for (int i = 0; i < SIZE * SIZE * 3; i++)
            assert_true(whole[i] == (o == &OPS_REF ? (float)(pixels[i] / 127.5 - 1) : pixels[i] / 127.5f - 1.f));
        o->patches(tile, pixels, 0, 4, SIZE, SIZE, TILE, 1, kind, &VISION_COLOURS[VISION_SIGLIP]);      /* the seventh row and column are no tile's */
        for (int i = 0; i < 4 * TILE * TILE * 3; i++) {
            int k = i / (TILE * TILE * 3), y = k / 2 * TILE + i / (TILE * 3) % TILE, x = k % 2 * TILE + i / 3 % TILE;
            assert_true(tile[i] == whole[(y * SIZE + x) * 3 + i % 3]);
        }
    }
}

/* Stitched by hand; other columns stay; the tiles in portions, in order, give the same bits.  33 columns and 53 rows of
   tiles are enough work for several threads. */
static void area_mean_by_hand(void **state)
{
    const Ops *o = *state;
    enum { C = 33, WIDE = 40, AT = 5, N = 7 };
    static const int shapes[][2] = { { 1, 5 }, { 2, 5 }, { 3, 5 }, { 4, 3 }, { 3, 2 }, { 4, 1 } };       /* s, side */
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        const int s = shapes[k][0], side = shapes[k][1], tiles = N * s * s, rows = side * side;
        float *x = malloc((size_t)(tiles * rows * C) * sizeof *x), *out = malloc((size_t)(N * rows * WIDE) * sizeof *out);
        float *parts = malloc((size_t)(N * rows * WIDE) * sizeof *parts);
        made(x, tiles * rows * C, 5);
        for (int i = 0; i < N * rows * WIDE; i++)
            out[i] = parts[i] = 1;
        o->area_mean(out, x, 0, tiles, s, side, C, WIDE, AT);
        for (int i = 0; i < N * rows * WIDE; i++) {
            int n = i / WIDE / rows, y = i / WIDE % rows / side, col = i / WIDE % side, c = i % WIDE - AT;
            double want = 0;
            for (int b = 0; b < s * s && c >= 0 && c < C; b++) {
                int gy = y * s + b / s, gx = col * s + b % s, tile = (n * s + gy / side) * s + gx / side;
                want += x[((int64_t)tile * rows + gy % side * side + gx % side) * C + c];
            }
            /* 16 additions near 1 */
            assert_true(fabs(out[i] - 1 - want / (s * s)) < 2e-6);
        }
        for (int first = 0, n; first < tiles; first += n) {
            n = tiles - first < 5 ? tiles - first : 5;
            o->area_mean(parts, x + (int64_t)first * rows * C, first, n, s, side, C, WIDE, AT);
        }
        same_bits(parts, out, N * rows * WIDE);
        free(x), free(out), free(parts);
    }
}

/* ---- the whole way: a tower without blocks ---- */

typedef struct {
    Vision     w;
    VisionTape t;
    Arena      arena;
    ScalesWork work;
    float      wp[WIDTH * 3 * PATCH * PATCH], bp[WIDTH], pos[P * WIDTH];
    uint8_t    pixels[PICTURES * PIXELS * PIXELS * 3];
} LinearTower;

static LinearTower *open_linear(int n, int room)
{
    LinearTower *l = calloc(1, sizeof *l);
    l->arena.name = "test";
    l->w = (Vision){ .image = IMAGE, .patch = PATCH, .P = P, .wp = { .w = l->wp, .b = l->bp, .I = 3 * PATCH * PATCH, .O = WIDTH }, .pos = l->pos };
    l->w.enc.d = (EncoderDims){ .C = WIDTH, .F = WIDTH, .H = 1, .eps = 1e-6f };
    made(l->wp, WIDTH * 3 * PATCH * PATCH, 2), made(l->bp, WIDTH, 3), made(l->pos, P * WIDTH, 4);
    pictures(l->pixels, (int64_t)PICTURES * n * IMAGE * n * IMAGE * 3);
    for (int pass = 0; pass < 2; pass++) {
        vision_tape(&l->t, &l->arena, &l->w, room, false, RECOMPUTE_NONE, &TP_ALONE);
        scales_work(&l->work, &l->arena, &l->w, n, room);
        if (pass == 0)
            arena_alloc(&l->arena);
    }
    return l;
}

static void close_linear(LinearTower *l)
{
    arena_free(&l->arena);
    free(l);
}

static void features_as_torch(void **state)
{
    (void)state;
    for (int n = 1; n <= MOST; n++)
        for (int room = 1; room <= 8; room += room) {
            LinearTower *l = open_linear(n, room);
            float out[PICTURES * P * MOST * WIDTH];
            scales_features(out, &l->t, &l->w, l->pixels, PICTURES, n, 0, &l->work, &TP_ALONE);
            assert_close("features, scales", n, out, features_golden[n - 1], PICTURES * P * n * WIDTH);
            close_linear(l);
        }
}

static void embed_down_as_torch(void **state)
{
    (void)state;
    for (int n = 1; n <= MOST; n++) {
        LinearTower *l = open_linear(n, PICTURES);
        vision_embed_down(&l->t, &l->w, l->pixels, PICTURES, n, &TP_ALONE);
        assert_close("smaller by", n, l->t.enc.x, down_golden[n - 1], PICTURES * P * WIDTH);
        close_linear(l);
    }
}

/* One scale is the way without scales, to the bit, in a whole tower. */
static void one_scale_is_as_before(void **state)
{
    (void)state;
    static Model m;
    static Tape t;
    static BatchCase c;
    const ModelConf conf = case_conf(STAGE_CONTRAST, "vision");
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    case_batch(&c, true);
    const int64_t n = (int64_t)CASE_I * m.w.vision.P * conf.vision.C;
    float *want = malloc((size_t)n * sizeof *want), *got = malloc((size_t)n * sizeof *got);
    ScalesWork work;
    scales_work(&work, NULL, &m.w.vision, 1, CASE_I);
    for (int layers = 0; layers <= conf.vision.L; layers++) {
        vision_embed(&t.vision, &m.w.vision, c.pixels, CASE_I, &TP_ALONE);
        op.copy(want, vision_forward(&t.vision, &m.w.vision, 0, layers, CASE_I, &TP_ALONE), n);
        scales_features(got, &t.vision, &m.w.vision, c.pixels, CASE_I, 1, layers, &work, &TP_ALONE);
        same_bits(got, want, n);
        vision_embed_down(&t.vision, &m.w.vision, c.pixels, CASE_I, 1, &TP_ALONE);
        op.copy(got, t.vision.enc.x, n);
        vision_embed(&t.vision, &m.w.vision, c.pixels, CASE_I, &TP_ALONE);
        same_bits(got, t.vision.enc.x, n);
    }
    free(want), free(got);
    case_close(&m, &t);
}

static int suite(const char *name, const Ops *o)
{
    void *s = (void *)(uintptr_t)o;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(resizes_as_torch, s),
        cmocka_unit_test_prestate(tiles_are_windows, s),
        cmocka_unit_test_prestate(wide_patches, s),
        cmocka_unit_test_prestate(not_resized_is_exact, s),
        cmocka_unit_test_prestate(area_mean_by_hand, s),
        cmocka_unit_test(features_as_torch),
        cmocka_unit_test(embed_down_as_torch),
        cmocka_unit_test(one_scale_is_as_before),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    ops_use(NULL, 1);
    int failed = suite("ref", &OPS_REF);
    ops_use(&OPS_CPU, 2);
    return failed + suite("fast", &op);
}
