#include "io/base/tfrecord.h"

#include <string.h>

/* By the nibble: sixteen numbers, and a kilobyte a step. */
uint32_t crc32c(const void *bytes, size_t n)
{
    static const uint32_t of[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    uint32_t crc = ~0u;
    for (const uint8_t *b = bytes, *end = b + n; b < end; b++) {
        crc = (crc >> 4) ^ of[(crc ^ *b) & 15];
        crc = (crc >> 4) ^ of[(crc ^ (*b >> 4)) & 15];
    }
    return ~crc;
}

static void put(uint8_t *out, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (uint8_t)(x >> 8 * i);
}

static uint32_t masked(const void *bytes, size_t n)
{
    const uint32_t crc = crc32c(bytes, n);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

size_t tfrecord_frame(uint8_t *out, const void *data, size_t n)
{
    put(out, n, 8);
    put(out + 8, masked(out, 8), 4);
    memcpy(out + 12, data, n);
    put(out + 12 + n, masked(data, n), 4);
    return n + TFRECORD_FRAME;
}
