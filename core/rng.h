/*
 * rng.h -- random numbers without a state: value = f(seed, stream, index)
 *
 * Whoever asks for the same triple gets the same number, on any rank and in any order, so initial weights
 * and data depend on the seed and on global indices only.  64 mixed bits per call (two rounds of the
 * SplitMix64 finaliser over an odd-multiplied triple).
 *
 * Source  Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014
 * Tests   tests/core/test_rng.c
 */
#pragma once
#include "core/base.h"

/* SplitMix64's finaliser, and the number of a triple whose stream is mixed already: for loops over one stream (bits.h). */
static inline uint64_t rng_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t rng_keyed(uint64_t seed, uint64_t mixed, uint64_t index)
{
    uint64_t key = rng_mix(seed + 0x9e3779b97f4a7c15u) ^ mixed;
    return rng_mix(rng_mix(index * 0x9e3779b97f4a7c15u + key) + key);
}

uint64_t rng_stream(const char *name);                                  /* a stream's number from its name */
uint64_t rng_bits(uint64_t seed, uint64_t stream, uint64_t index);
double   rng_uniform(uint64_t seed, uint64_t stream, uint64_t index);   /* in [0,1), 53 bits */
double   rng_normal(uint64_t seed, uint64_t stream, uint64_t index);    /* mean 0, variance 1 */
int64_t  rng_below(int64_t n, uint64_t seed, uint64_t stream, uint64_t index);   /* 0 <= . < n, n > 0 */

/* A position in a stream, for code that draws a varying number of values: each draw advances `index`. */
typedef struct { uint64_t seed, stream, index; } Rng;
static inline int64_t rng_draw(Rng *r, int64_t n) { return rng_below(n, r->seed, r->stream, r->index++); }
static inline double  rng_draw01(Rng *r) { return rng_uniform(r->seed, r->stream, r->index++); }
