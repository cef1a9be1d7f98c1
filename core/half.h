/*
 * half.h -- the 16-bit floats of weight files: F16 (1 sign, 5 exponent, 10 mantissa bits) and BF16 (1, 8, 7)
 *
 * Widening is exact for every pattern, subnormals, infinities and NaNs with their payload included.  Narrowing
 * rounds to the nearest, ties to even; what is too large becomes infinite; a NaN keeps the upper bits of its
 * payload and stays a NaN.  So narrow(widen(h)) == h for all 65536 patterns.
 * On bit patterns: no arithmetic unit quietens a signalling NaN on the way.  Local.
 * Source  IEEE 754-2019, section 3.4 (binary16)
 * Tests   tests/io/hf/test_safetensors.c
 */
#pragma once
#include <stdint.h>

static inline uint32_t f16_widen(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31;
    uint32_t mantissa = h & 0x3ff;
    if (exponent == 31)
        return sign | 0x7f800000u | mantissa << 13;
    if (exponent)
        return sign | (exponent + 112) << 23 | mantissa << 13;
    if (!mantissa)
        return sign;
    const int shift = __builtin_clz(mantissa) - 21;           /* subnormal: mantissa 2^-24 */
    mantissa = (mantissa << shift) & 0x3ff;
    return sign | (uint32_t)(113 - shift) << 23 | mantissa << 13;
}

/* v >> n, to the nearest, ties to even; 1 <= n <= 31 */
static inline uint32_t shift_even(uint32_t v, int n)
{
    const uint32_t kept = v >> n, rest = v & ((1u << n) - 1), tie = 1u << (n - 1);
    return kept + (rest > tie || (rest == tie && (kept & 1)));
}

static inline uint16_t f16_narrow(uint32_t f)
{
    const uint32_t sign = f >> 16 & 0x8000, mantissa = f & 0x7fffff;
    const int exponent = (int)(f >> 23 & 255) - 112;
    if (exponent == 143) {
        const uint32_t payload = mantissa >> 13;
        return (uint16_t)(sign | 0x7c00 | (mantissa && !payload ? 0x200 : payload));
    }
    if (exponent >= 31)
        return (uint16_t)(sign | 0x7c00);
    if (exponent > 0)                                          /* a carry moves into the exponent, at most to infinity */
        return (uint16_t)(sign | (((uint32_t)exponent << 10) + shift_even(mantissa, 13)));
    if (exponent < -10)
        return (uint16_t)sign;
    return (uint16_t)(sign | shift_even(mantissa | 0x800000, 14 - exponent));
}

static inline uint32_t bf16_widen(uint16_t h) { return (uint32_t)h << 16; }

static inline uint16_t bf16_narrow(uint32_t f)
{
    if ((f & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(f >> 16 | (f & 0x7f0000 ? 0 : 0x40));
    return (uint16_t)shift_even(f, 16);
}
