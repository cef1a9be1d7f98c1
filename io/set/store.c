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

/*
 * DESIGN.  The running sum along a row is the one part that looks sequential, and zstd gives back more than 1 GB/s.  So the sum
 * is made of vector additions alone: sums of 2, 4, 8, 16 neighbouring pixels by four passes, each adding a copy of itself
 * shifted by 3, 6, 12, 24 bytes; 16 pixels are STEP bytes, and the sum up to x is the sum of the 16 up to x plus that up
 * to x - STEP.  A row passes in blocks that stay in the first-level cache, two buffers in turn.  In front of each lie
 * STEP zeros; behind the row up to STEP bytes of any content, so that every inner loop is STEP long, without a rest.
 */
enum { STEP = 48, BLOCK = 24 * STEP };

static inline void add_shifted(uint8_t *restrict out, const uint8_t *restrict in, int shift, int bytes)
{
    for (int x = 0; x < bytes; x += STEP)
        for (int k = 0; k < STEP; k++)
            out[x + k] = in[x + k] + in[x + k - shift];
}

/* The sums before are kept apart from out: read from there, a vector might straddle two that were just written. */
static void add_before(uint8_t *restrict out, const uint8_t *restrict in, int bytes)
{
    uint8_t before[STEP] = { 0 };
    for (int x = 0; x < bytes; x += STEP)
        for (int k = 0; k < STEP; k++)
            out[x + k] = before[k] += in[x + k];
}

static void add_green(uint8_t *restrict out, const uint8_t *restrict in, int bytes)
{
#define FOUR(r, g, b) r, g, b, r, g, b, r, g, b, r, g, b
    static const uint8_t red[STEP] = { FOUR(255, 0, 0), FOUR(255, 0, 0), FOUR(255, 0, 0), FOUR(255, 0, 0) };
    static const uint8_t blue[STEP] = { FOUR(0, 0, 255), FOUR(0, 0, 255), FOUR(0, 0, 255), FOUR(0, 0, 255) };
#undef FOUR
    for (int x = 0; x < bytes; x += STEP)
        for (int k = 0; k < STEP; k++)
            out[x + k] = in[x + k] + (in[x + k + 1] & red[k]) + (in[x + k - 1] & blue[k]);
}

/* One row, `above` the finished one over it or NULL.  That green is in its red and blue already does no harm, since this
   row gets its own.  a, b: STEP zeros before, BLOCK + 1 bytes from there on. */
static void decode_row(uint8_t *px, const uint8_t *above, int64_t row, uint8_t *restrict a, uint8_t *restrict b)
{
    uint8_t before[3] = { 0 };                      /* the sums up to this block, as if they were its first pixel's */
    for (int64_t at = 0; at < row; at += BLOCK) {
        const int n = (int)min64(BLOCK, row - at), whole = (n + STEP - 1) / STEP * STEP;
        uint8_t *restrict out = px + at;
        memcpy(a, out, (size_t)n);
        for (int k = 0; k < 3; k++)
            a[k] += before[k];
        add_shifted(b, a, 3, whole);
        add_shifted(a, b, 6, whole);
        add_shifted(b, a, 12, whole);
        add_shifted(a, b, 24, whole);
        add_before(b, a, whole);
        memcpy(before, b + n - 3, 3);
        add_green(a, b, whole);
        for (int x = 0; x < n; x++)
            out[x] = above ? a[x] + above[at + x] : a[x];
    }
}

void store_decode(uint8_t *px, int64_t pictures, int side)
{
    const int64_t row = 3 * (int64_t)side;
    uint8_t a[STEP + BLOCK + 1] = { 0 }, b[STEP + BLOCK + 1] = { 0 };
    for (int64_t i = 0; i < pictures; i++)
        for (int64_t y = 0; y < side; y++, px += row)
            decode_row(px, y ? px - row : NULL, row, a + STEP, b + STEP);
}
