#include "io/set/order.h"

#include "core/rng.h"

enum { ROUNDS = 8 };     /* 4 make a Feistel network pseudorandom; short halves want more */

static uint64_t feistel(uint64_t x, int half, uint64_t key)
{
    const uint64_t mask = (UINT64_C(1) << half) - 1;
    uint64_t left = x >> half, right = x & mask;
    for (uint64_t r = 0; r < ROUNDS; r++) {
        uint64_t mixed = left ^ (rng_bits(key, r, right) & mask);
        left = right;
        right = mixed;
    }
    return left << half | right;
}

int64_t order_sample(int64_t samples, uint64_t seed, int64_t position)
{
    ASSERT(samples >= 1 && samples <= INT64_C(1) << 40 && position >= 0);
    int half = 1;
    while (INT64_C(1) << (2 * half) < samples)
        half++;
    uint64_t key = rng_bits(seed, rng_stream("order"), (uint64_t)(position / samples));
    uint64_t x = (uint64_t)(position % samples);
    do
        x = feistel(x, half, key);
    while (x >= (uint64_t)samples);
    return (int64_t)x;
}
