/*
 * simd.h -- exp, sigmoid, the normal distribution and sin/cos as straight-line code that the compiler vectorises
 *
 * Plain C without branches, calls or tables: in a loop marked `#pragma omp simd` each function becomes vector
 * instructions of whatever width the target has, and the remainder loop gives the same bits.
 *
 *     function       largest error                              at the edges
 *     simd_exp       1.0e-7 relative, gradual underflow         -inf -> 0, +inf -> inf, NaN -> NaN
 *     simd_sigmoid   2e-7 relative                              -inf -> 0, +inf -> 1,   NaN -> NaN
 *     simd_normal    6e-7 + 1e-7 x^2 relative, both tails     cdf 0 and 1, pdf 0,     NaN -> NaN
 *     simd_turn      1.2e-7 absolute                            any finite number of turns below 2^50
 *
 * tanh(u) = 2 sigmoid(2u) - 1 and erf(x / sqrt 2) = 2 cdf(x) - 1 are never formed: the gelus want 1 + tanh and
 * 1 + erf, which would cancel in the left tail.
 *
 * Local.  Source: range reduction after Cody and Waite; exp's polynomial from Cephes; erfc(z) = e^(-z^2) t P(t) with
 * t = 1 / (1 + 0.39 z), P a minimax fit (5.1e-8), after Abramowitz and Stegun 7.1.26.  Tests: tests/core/test_simd.c
 */
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

/* a b + c, fused where the hardware does that: -std=c11 forbids the compiler to fuse on its own, and without
   the hardware fmaf would be a library call. */
static inline float madd(float a, float b, float c)
{
#ifdef FP_FAST_FMAF
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

static inline float simd_from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t simd_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float simd_exp(float x)
{
    const float round = 0x1.8p23f + 254.f;              /* adding it leaves the nearest integer in the low bits, and 254 more */
    const float y = x > 89.f ? 89.f : x;                /* e^89 is inf; a NaN passes */
    const float t = madd(y, 0x1.715476p+0f, round), n = t - round;
    float r = madd(n, -0x1.62e4p-1f, y);                /* ln 2 in two parts: n times the first is exact */
    r = madd(n, -0x1.7f7d1cp-20f, r);
    float p = 1.9875691500e-4f;
    p = madd(p, r, 1.3981999507e-3f);
    p = madd(p, r, 8.3334519073e-3f);
    p = madd(p, r, 4.1665795894e-2f);
    p = madd(p, r, 1.6666665459e-1f);
    p = madd(p, r, 5.0000001201e-1f);
    p = madd(p, r, 1.f);
    p = madd(p, r, 1.f);
    const uint32_t k = simd_bits(t), half = k >> 1;     /* 2^n in two factors: exponents n / 2, each 127 more, lie in nine low bits */
    p = p * simd_from_bits(half << 23) * simd_from_bits((k - half) << 23);
    const uint32_t seen = x < -104.f ? 0u : ~0u;        /* e^-104 is 0.  A mask, not a second clamp: two comparisons of one number */
    return simd_from_bits(simd_bits(p) & seen);         /* become a chain of them */
}

static inline float simd_sigmoid(float x) { return 1.f / (1.f + simd_exp(-x)); }

/* Phi(x), the share of a standard normal variable below x, and its density at x. */
static inline void simd_normal(float *cdf, float *pdf, float x)
{
    const float e = simd_exp(-0.5f * x * x), t = 1.f / madd(fabsf(x), 0.39f * 0x1.6a09e6p-1f, 1.f);
    float p = 0.0537703942f;
    p = madd(p, t, -0.21629449f);
    p = madd(p, t, 0.247693681f);
    p = madd(p, t, -0.0590333863f);
    p = madd(p, t, 0.169006024f);
    p = madd(p, t, 0.16050777f);
    p = madd(p, t, 0.204328678f);
    p = madd(p, t, 0.219987495f);
    p = madd(p, t, 0.220033886f);
    const float tail = 0.5f * e * t * p;
    const uint32_t below = -(simd_bits(x) >> 31);              /* all ones where x < 0; a choice by ?: would be a branch (1 - tail may trap) */
    *cdf = simd_from_bits((simd_bits(tail) & below) | (simd_bits(1.f - tail) & ~below));
    *pdf = e * 0.398942280f;
}

/* The largest of n numbers, -inf of none; NaNs are passed over.  Lanes by hand: a max reduction is not vectorised by
   every compiler without -ffast-math. */
static inline float simd_max(const float *x, int n)
{
    enum { WIDE = 16 };
    float lane[WIDE], top = -INFINITY;
    int i = 0;
    for (int l = 0; l < WIDE; l++)
        lane[l] = -INFINITY;
    for (; i + WIDE <= n; i += WIDE)
#pragma omp simd
        for (int l = 0; l < WIDE; l++)
            lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
    for (int l = 0; l < WIDE; l++)
        top = lane[l] > top ? lane[l] : top;
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* sine and cosine of an angle given in turns (1 turn = 2 pi), a double so that large positions keep their fraction */
static inline void simd_turn(float *sine, float *cosine, double turns)
{
    const double round = 0x1.8p52, quarters = 4.0 * turns, t = quarters + round;
    uint64_t bits;
    memcpy(&bits, &t, sizeof bits);
    const float r = (float)(quarters - (t - round)), x = r * r;         /* -1/2 .. 1/2 of a quarter turn */
    float s = madd(-0.004602177f, x, 0.0796802281f);
    s = madd(s, x, -0.645963479f);
    s = madd(s, x, 1.57079632f) * r;
    float c = madd(0.000903631712f, x, -0.0208600713f);
    c = madd(c, x, 0.253669204f);
    c = madd(c, x, -1.23370054f);
    c = madd(c, x, 1.f);
    const uint32_t quadrant = (uint32_t)bits, odd = -(quadrant & 1u);   /* all ones in the 2nd and 4th: swap */
    const uint32_t a = simd_bits(s), b = simd_bits(c);
    *sine = simd_from_bits(((a & ~odd) | (b & odd)) ^ ((quadrant & 2u) << 30));
    *cosine = simd_from_bits(((b & ~odd) | (a & odd)) ^ (((quadrant + 1) & 2u) << 30));
}
