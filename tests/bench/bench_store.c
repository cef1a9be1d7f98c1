/*
 * bench_store.c -- pixels in a shard: filters in front of zstd, their bytes and how fast one core gives pixels back
 *
 *     build/tests/bench/bench_store SIDE FILE.rgb...          each file one picture (SIDE, SIDE, 3)
 *
 * One line a filter and level: bytes a picture as stored, their share of the raw ones, the rate of zstd alone and of both in MB
 * of pixels, pictures a second, and whether all bits came back.  Chunks are those of shard.h, whole pictures of about 128 KiB,
 * packed one by one; unpacked and filtered in one buffer, as the reader does.  Processor time of one thread, best of ROUNDS.
 *
 * Filters: differences to the left, up, or both; `green`: green taken from red and blue; `planes`: all red values of a picture,
 * then all green, then all blue.  The last one without planes is STORE_DELTA, by io/set/store.h; the losers live here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

#include "io/set/store.h"

enum { LEFT = 1, UP = 2, GREEN = 4, PLANES = 8, DELTA = LEFT | UP | GREEN };
enum { CHUNK_BYTES = 128 << 10, ROUNDS = 7 };

static int side;
static int64_t pictures, picture, per;          /* per: pictures of a chunk */
static uint8_t *pixels, *filtered, *packed, *chunk, *plane;
static size_t *packed_bytes;                    /* of each chunk; they lie one behind the other */

static double processor_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *memory(int64_t bytes)
{
    void *p = malloc((size_t)bytes);
    CHECK(p, "no memory for %lld bytes", (long long)bytes);
    memset(p, 0, (size_t)bytes);
    return p;
}

static void read_pictures(char **path)
{
    for (int64_t i = 0; i < pictures; i++) {
        FILE *f = fopen(path[i], "rb");
        CHECK(f && fread(pixels + i * picture, 1, (size_t)picture, f) == (size_t)picture && fgetc(f) == EOF,
              "%s is no picture of %d x %d x 3 bytes", path[i], side, side);
        fclose(f);
    }
}

/* ---- the filters that lost: sums along a row in a plain loop, so their rates could be higher ---- */

static void subtract_left(uint8_t *px, int64_t row)
{
    for (int64_t x = row - 1; x >= 3; x--)
        px[x] -= px[x - 3];
}

static void add_left(uint8_t *px, int64_t row)
{
    uint8_t r = 0, g = 0, b = 0;
    for (int64_t x = 0; x < row; x += 3) {
        px[x] = r += px[x];
        px[x + 1] = g += px[x + 1];
        px[x + 2] = b += px[x + 2];
    }
}

static void add_left_plane(uint8_t *px, int64_t row)
{
    uint8_t v = 0;
    for (int64_t x = 0; x < row; x++)
        px[x] = v += px[x];
}

static void add_up(uint8_t *px, int64_t row)
{
    for (int64_t x = 0; x < row; x++)
        px[x] += px[x - row];
}

static void subtract_green(uint8_t *px, int64_t n)
{
    for (int64_t x = 0; x < n; x += 3) {
        px[x] -= px[x + 1];
        px[x + 2] -= px[x + 1];
    }
}

static void add_green(uint8_t *px, int64_t n)
{
    for (int64_t x = 0; x < n; x += 3) {
        px[x] += px[x + 1];
        px[x + 2] += px[x + 1];
    }
}

static void encode(uint8_t *out, const uint8_t *px, int filter)
{
    const int64_t row = 3 * (int64_t)side, values = picture / 3;
    memcpy(out, px, (size_t)picture);
    if (filter & GREEN)
        subtract_green(out, picture);
    for (int64_t y = side - 1; y > 0 && filter & UP; y--)
        for (int64_t x = 0; x < row; x++)
            out[y * row + x] -= out[(y - 1) * row + x];
    for (int64_t y = 0; y < side && filter & LEFT; y++)
        subtract_left(out + y * row, row);
    if (filter & PLANES) {
        memcpy(plane, out, (size_t)picture);
        for (int64_t i = 0; i < values; i++)
            for (int c = 0; c < 3; c++)
                out[c * values + i] = plane[3 * i + c];
    }
}

static void decode_planes(uint8_t *px, int filter)
{
    const int64_t values = picture / 3;
    memcpy(plane, px, (size_t)picture);
    for (int64_t y = 0; y < 3 * side; y++) {
        if (filter & LEFT)
            add_left_plane(plane + y * side, side);
        if (filter & UP && y % side)
            add_up(plane + y * side, side);
    }
    const uint8_t *r = plane, *g = plane + values, *b = plane + 2 * values, all = filter & GREEN ? 255 : 0;
    for (int64_t i = 0; i < values; i++) {
        const uint8_t green = g[i] & all;
        px[3 * i] = r[i] + green;
        px[3 * i + 1] = g[i];
        px[3 * i + 2] = b[i] + green;
    }
}

static void decode(uint8_t *px, int filter)
{
    const int64_t row = 3 * (int64_t)side;
    if (filter & PLANES) {
        decode_planes(px, filter);
        return;
    }
    for (int64_t y = 0; y < side && filter; y++, px += row) {
        if (filter & GREEN)
            add_green(px, row);
        if (filter & LEFT)
            add_left(px, row);
        if (filter & UP && y)
            add_up(px, row);
    }
}

/* ---- one line ---- */

static int64_t pack(int filter, int level)
{
    ZSTD_CCtx *z = ZSTD_createCCtx();
    const size_t room = ZSTD_compressBound((size_t)(per * picture));
    int64_t bytes = 0;
    if (filter == DELTA)
        store_encode(filtered, pixels, pictures, side);
    else
        for (int64_t i = 0; i < pictures; i++)
            encode(filtered + i * picture, pixels + i * picture, filter);
    for (int64_t i = 0, c = 0; i < pictures; i += per, c++) {
        const int64_t n = min64(per, pictures - i);
        packed_bytes[c] = ZSTD_compressCCtx(z, packed + bytes, room, filtered + i * picture, (size_t)(n * picture), level);
        CHECK(!ZSTD_isError(packed_bytes[c]), "zstd: %s", ZSTD_getErrorName(packed_bytes[c]));
        bytes += (int64_t)packed_bytes[c];
    }
    ZSTD_freeCCtx(z);
    return bytes;
}

/* Seconds of zstd and of the filter, over all chunks; are the pixels those that were packed? */
static bool unpack(ZSTD_DCtx *z, int filter, double *zstd, double *rest)
{
    const uint8_t *at = packed;
    bool equal = true;
    *zstd = *rest = 0;
    for (int64_t i = 0, c = 0; i < pictures; i += per, c++) {
        const int64_t n = min64(per, pictures - i);
        const double begin = processor_time();
        const size_t got = ZSTD_decompressDCtx(z, chunk, (size_t)(per * picture), at, packed_bytes[c]);
        const double middle = processor_time();
        if (filter == DELTA)
            store_decode(chunk, n, side);
        else
            for (int64_t k = 0; k < n; k++)
                decode(chunk + k * picture, filter);
        *rest += processor_time() - middle;
        *zstd += middle - begin;
        equal = equal && got == (size_t)(n * picture) && !memcmp(chunk, pixels + i * picture, got);
        at += packed_bytes[c];
    }
    return equal;
}

static void bench(const char *name, int filter, int level)
{
    const double raw = (double)(pictures * picture), bytes = (double)pack(filter, level);
    double best = 1e9, best_zstd = 1e9;
    bool equal = true;
    ZSTD_DCtx *z = ZSTD_createDCtx();
    for (int i = 0; i < ROUNDS; i++) {
        double zstd, rest;
        equal = unpack(z, filter, &zstd, &rest) && equal;
        best_zstd = zstd < best_zstd ? zstd : best_zstd;
        best = zstd + rest < best ? zstd + rest : best;
    }
    ZSTD_freeDCtx(z);
    printf("%-22s %5d %10.0f %6.3f %10.0f %10.0f %10.0f   %s\n", name, level, bytes / (double)pictures, bytes / raw,
           raw / best_zstd * 1e-6, raw / best * 1e-6, (double)pictures / best, equal ? "equal" : "NOT EQUAL");
}

int main(int argc, char **argv)
{
    static const struct { const char *name; int filter; } all[] = {
        { "raw", 0 },           { "green", GREEN },           { "left", LEFT },           { "left, green", LEFT | GREEN },
        { "up", UP },           { "up, green", UP | GREEN },  { "left, up", LEFT | UP },  { "left, up, green", DELTA },
        { "  the same, planes", DELTA | PLANES },
    };
    static const int levels[] = { 1, 3, 9 };
    side = argc > 2 ? atoi(argv[1]) : 0;
    if (side < 1) {
        fprintf(stderr, "usage: bench_store SIDE FILE.rgb...\n");
        return EXIT_USAGE;
    }
    pictures = argc - 2;
    picture = 3 * (int64_t)side * side;
    per = max64(1, CHUNK_BYTES / picture);
    pixels = memory(pictures * picture);
    filtered = memory(pictures * picture);
    packed = memory((int64_t)ZSTD_compressBound((size_t)(per * picture)) * ceil_div(pictures, per));
    packed_bytes = memory(ceil_div(pictures, per) * (int64_t)sizeof *packed_bytes);
    chunk = memory(per * picture);
    plane = memory(picture);
    read_pictures(argv + 2);
    printf("%lld pictures of %d x %d, %lld in a chunk, zstd %s\n", (long long)pictures, side, side, (long long)per, ZSTD_versionString());
    printf("%-22s %5s %10s %6s %10s %10s %10s   %s\n", "filter", "level", "bytes", "of raw", "zstd MB/s", "both MB/s", "pictures/s", "bits");
    for (size_t f = 0; f < sizeof all / sizeof *all; f++)
        for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
            bench(all[f].name, all[f].filter, levels[l]);
    return EXIT_DONE;
}
