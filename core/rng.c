#include "core/rng.h"

#include <math.h>

uint64_t rng_stream(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;          /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return rng_mix(h);
}

uint64_t rng_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    return rng_keyed(seed, rng_mix(stream * 0xd1342543de82ef95u + 1), index);
}

double rng_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (double)(rng_bits(seed, stream, index) >> 11) * 0x1p-53;
}

double rng_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint64_t b = rng_bits(seed, stream, index);
    double u = ((double)(b >> 32) + 0.5) * 0x1p-32, v = (double)(uint32_t)b * 0x1p-32;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

int64_t rng_below(int64_t n, uint64_t seed, uint64_t stream, uint64_t index)
{
    ASSERT(n > 0);
    __extension__ typedef unsigned __int128 wide;          /* multiply-shift: bias below n / 2^64 */
    return (int64_t)(((wide)rng_bits(seed, stream, index) * (uint64_t)n) >> 64);
}
