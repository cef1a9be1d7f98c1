/*
 * fuzz_frame.c -- any bytes as a stored chunk of a shard
 *
 * The input is three bytes, the size that the index says it unpacks to (little endian, at most 1 MiB), and the stored bytes.
 *
 * Laws   refused: EXIT_DATA, and the place is the file, the dataset, the row and the byte
 *        the same bytes get the same verdict and the same content; nothing is written behind the buffer
 *        with another hash than its own a chunk is refused before it is unpacked
 *        accepted: what it unpacks to, packed again, unpacks to the same
 *        differences of pixels: decode(encode(x)) = x for any bytes
 */
#include <xxhash.h>

#include "io/set/frame.h"
#include "io/set/store.h"
#include "tests/fuzz/fuzz.h"

enum { RAW_MOST = 1 << 20, GUARD = 64 };

static void packs_again(const uint8_t *raw, size_t n)
{
    const size_t room = ZSTD_compressBound(n);
    uint8_t *packed = malloc(room), *back = malloc(n + 1);
    CHECK(packed && back, "no memory for %zu bytes", n);
    const size_t k = ZSTD_compress(packed, room, raw, n, 1);
    LAW(ZSTD_decompress(back, n, packed, k) == n && !memcmp(back, raw, n), "a chunk does not come back");
    free(packed);
    free(back);
}

static void differences(const uint8_t *bytes, size_t n)
{
    int side = 1;
    while (side < 64 && (size_t)(3 * (side + 1) * (side + 1)) <= n)
        side++;
    const size_t one = (size_t)(3 * side * side), all = n / one;
    if (!all)
        return;
    uint8_t *d = malloc(all * one);
    CHECK(d, "no memory for %zu pictures", all);
    store_encode(d, bytes, (int64_t)all, side);
    store_decode(d, (int64_t)all, side);
    LAW(!memcmp(d, bytes, all * one), "pictures of side %d do not come back", side);
    free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    const int64_t bytes = 1 + (data[0] | data[1] << 8 | data[2] << 16) % RAW_MOST, stored = (int64_t)size - 3;
    H5Chunk c = { .dataset = "pixels", .row = 7, .offset = 3, .size = stored, .xxh64 = XXH64(data + 3, (size_t)stored, 0) };
    uint8_t *raw = malloc((size_t)bytes + GUARD), *twin = malloc((size_t)bytes);
    CHECK(raw && twin, "no memory for %lld bytes", (long long)bytes);
    char path[32], place[96];
    const int fd = fuzz_file(data, size, path);
    Err e = { 0 }, same = { 0 }, hash = { 0 };
    Frame f;
    memset(raw + bytes, 0xA5, GUARD);
    snprintf(place, sizeof place, "%s, dataset \"pixels\", row 7, byte offset 3", path);
    frame_open(&f, stored);
    const bool ok = frame_read(&f, fd, path, &c, raw, bytes, &e);
    LAW(ok == frame_read(&f, fd, path, &c, twin, bytes, &same) && (!ok || !memcmp(raw, twin, (size_t)bytes)), "two verdicts");
    for (int i = 0; i < GUARD; i++)
        LAW(raw[bytes + i] == 0xA5, "byte %d behind the buffer was written", i);
    if (ok)
        packs_again(raw, (size_t)bytes);
    else
        fuzz_refused(&e, EXIT_DATA, place);
    c.xxh64 ^= 1;
    LAW(!frame_read(&f, fd, path, &c, raw, bytes, &hash) && strstr(hash.what, "not those that were written"), "a wrong hash is believed");
    fuzz_refused(&hash, EXIT_DATA, place);
    differences(data + 3, (size_t)stored);
    frame_close(&f);
    close(fd);
    free(raw);
    free(twin);
    return 0;
}
