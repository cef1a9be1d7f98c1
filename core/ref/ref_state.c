/* ref_state.c -- what parameters begin with, and a number for their bits */
#include <math.h>

#include "core/bits.h"
#include "core/ref/ref.h"
#include "core/rng.h"

static float drawn(int kind, double size, uint64_t seed, uint64_t stream, uint64_t i)
{
    return (float)(kind == DRAW_NORMAL ? size * rng_normal(seed, stream, i) : (2 * rng_uniform(seed, stream, i) - 1) / size);
}

void ref_draw(float *x, int64_t rows, int64_t cols, int64_t first, int64_t stride, int kind, double size, uint64_t seed, uint64_t stream)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            x[r * cols + c] = drawn(kind, size, seed, stream, (uint64_t)(first + r * stride + c));
}

void ref_hash(uint64_t *sum, const float *x, int64_t rows, int64_t cols, int64_t first, int64_t stride, uint64_t stream)
{
    *sum = 0;
    for (int64_t r = 0; r < rows; r++)
        *sum += bits_sum(stream, first + r * stride, x + r * cols, cols);
}
