#include "core/bits.h"

#include <string.h>

#include "core/rng.h"

uint64_t bits_sum(uint64_t stream, int64_t first, const float *x, int64_t n)
{
    const uint64_t mixed = rng_mix(stream * 0xd1342543de82ef95u + 1);
    uint64_t sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        sum += rng_keyed(bits, mixed, (uint64_t)(first + i));
    }
    return sum;
}
