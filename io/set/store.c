#include "io/set/store.h"

#include <string.h>

const char *const store_names[STORE_KINDS] = { [STORE_RAW] = "raw", [STORE_DELTA] = "delta" };

int store_find(const char *name)
{
    for (int k = 0; k < STORE_KINDS; k++)
        if (!strcmp(name, store_names[k]))
            return k;
    return -1;
}

/* Rows of three running values: short chains of bytes, several times faster than what zstd does before. */
static void row_differences(uint8_t *restrict out, const uint8_t *restrict px, int side)
{
    uint8_t r = 0, g = 0, b = 0;
    for (int x = 0; x < 3 * side; x += 3) {
        const uint8_t green = px[x + 1], red = px[x] - green, blue = px[x + 2] - green;
        out[x] = red - r;
        out[x + 1] = green - g;
        out[x + 2] = blue - b;
        r = red, g = green, b = blue;
    }
}

static void row_sums(uint8_t *px, int side)
{
    uint8_t r = 0, g = 0, b = 0;
    for (int x = 0; x < 3 * side; x += 3) {
        r += px[x];
        g += px[x + 1];
        b += px[x + 2];
        px[x] = r + g;
        px[x + 1] = g;
        px[x + 2] = b + g;
    }
}

/* From the last row up, as row - 1 must still be what row_differences made. */
static void columns_subtract(uint8_t *px, int side)
{
    const int64_t row = 3 * (int64_t)side;
    for (int64_t y = side - 1; y > 0; y--)
        for (int64_t x = 0; x < row; x++)
            px[y * row + x] -= px[(y - 1) * row + x];
}

void store_encode(uint8_t *out, const uint8_t *px, int64_t pictures, int side)
{
    const int64_t row = 3 * (int64_t)side, picture = row * side;
    ASSERT(out + pictures * picture <= px || px + pictures * picture <= out);
    for (int64_t i = 0; i < pictures; i++, out += picture, px += picture) {
        for (int64_t y = 0; y < side; y++)
            row_differences(out + y * row, px + y * row, side);
        columns_subtract(out, side);
    }
}

/* A finished row is added to the next while it is in the cache; that green is in red and blue again by then does no
   harm, since the row below gets its own. */
void store_decode(uint8_t *px, int64_t pictures, int side)
{
    const int64_t row = 3 * (int64_t)side;
    for (int64_t i = 0; i < pictures; i++)
        for (int64_t y = 0; y < side; y++, px += row) {
            row_sums(px, side);
            if (y > 0)
                for (int64_t x = 0; x < row; x++)
                    px[x] += px[x - row];
        }
}
