/*
 * lanes.h -- vectors of the target: 16 lanes (AVX-512), 8 (AVX2), 4 (all others)
 *
 *     LANES      floats of a vector           TALL        rows of a tile that is a panel wide
 *     PANELS     panels of a wide tile        WIDE_TALL   its rows: with sixteen lanes two panels make better use of 32 registers
 *
 * What loops in plain C cannot say: sums that stay in registers from one pass of a loop to the next, squares of a matrix that are turned.
 *
 * Local.  Tests: tests/core/test_ops_attention.c
 */
#pragma once
#include <stdint.h>
#include <string.h>

enum { PANEL = 16, SQUARE = 8 };

/* Before a loop over an array of vectors: all of it, so that they are registers. */
#if defined __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#if defined __AVX__
#include <immintrin.h>
#endif
#if defined __AVX2__
/* to[d PANEL + i] = factor from[i step + d], a square of eight. */
static inline void tile_square(float *to, const float *from, int64_t step, float factor)
{
    __m256 x[SQUARE], y[SQUARE];
    const __m256 f = _mm256_set1_ps(factor);
    for (int i = 0; i < SQUARE; i++)
        x[i] = f * _mm256_loadu_ps(from + i * step);
    for (int i = 0; i < SQUARE; i += 2) {
        y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
        y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    }
    for (int i = 0; i < SQUARE; i += 4)
        for (int k = 0; k < 2; k++) {
            x[i + 2 * k] = _mm256_shuffle_ps(y[i + k], y[i + k + 2], _MM_SHUFFLE(1, 0, 1, 0));
            x[i + 2 * k + 1] = _mm256_shuffle_ps(y[i + k], y[i + k + 2], _MM_SHUFFLE(3, 2, 3, 2));
        }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * PANEL, _mm256_permute2f128_ps(x[i], x[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * PANEL, _mm256_permute2f128_ps(x[i], x[i + 4], 0x31));
    }
}
#else
static inline void tile_square(float *to, const float *from, int64_t step, float factor)
{
    for (int d = 0; d < SQUARE; d++)
        for (int i = 0; i < SQUARE; i++)
            to[d * PANEL + i] = factor * from[i * step + d];
}
#endif

#if defined __AVX__
/* x aligned to 64 bytes: written to memory past the caches; lanes_fence before another thread reads it. */
static inline void lanes_stream(void *x, const void *from)
{
    __m256 *to = x;
    const float *y = from;
    _mm256_stream_ps((float *)to, _mm256_loadu_ps(y));
    _mm256_stream_ps((float *)(to + 1), _mm256_loadu_ps(y + 8));
}
static inline void lanes_fence(void) { _mm_sfence(); }
#else
static inline void lanes_stream(void *x, const void *from) { memcpy(x, from, 64); }
static inline void lanes_fence(void) { }
#endif

/* An address that stays in its register, whatever others are multiples of the same step from it. */
static inline void address_hold(const float **x) { __asm__("" : "+r"(*x)); }

/* lanes_hold: a number that stays in its register; else gcc may read it from memory for each of its uses, which costs more than the sums. */
#if defined __AVX512F__
#define VECTORS "avx512"
enum { LANES = 16, TALL = 8, PANELS = 2, WIDE_TALL = 12 };
typedef __m512 Lanes;
static inline Lanes lanes_load(const float *x) { return _mm512_loadu_ps(x); }
static inline void  lanes_store(float *x, Lanes y) { _mm512_storeu_ps(x, y); }
static inline Lanes lanes_madd(float a, Lanes b, Lanes c) { return _mm512_fmadd_ps(_mm512_set1_ps(a), b, c); }
static inline Lanes lanes_fma(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
static inline void  lanes_hold(Lanes *x) { __asm__("" : "+v"(*x)); }
#elif defined __AVX2__ && defined __FMA__
#define VECTORS "avx2"
enum { LANES = 8, TALL = 6, PANELS = 1, WIDE_TALL = TALL };
typedef __m256 Lanes;
static inline Lanes lanes_load(const float *x) { return _mm256_loadu_ps(x); }
static inline void  lanes_store(float *x, Lanes y) { _mm256_storeu_ps(x, y); }
static inline Lanes lanes_madd(float a, Lanes b, Lanes c) { return _mm256_fmadd_ps(_mm256_set1_ps(a), b, c); }
static inline Lanes lanes_fma(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
static inline void  lanes_hold(Lanes *x) { __asm__("" : "+x"(*x)); }
#else
#if defined __aarch64__
#include <arm_neon.h>
#define VECTORS "neon"
enum { LANES = 4, TALL = 6, PANELS = 1, WIDE_TALL = TALL };
typedef float32x4_t Lanes;
static inline Lanes lanes_madd(float a, Lanes b, Lanes c) { return vfmaq_n_f32(c, b, a); }
static inline Lanes lanes_fma(Lanes a, Lanes b, Lanes c) { return vfmaq_f32(c, a, b); }
#else
#if defined __SSE__
#define VECTORS "sse"
#else
#define VECTORS "plain"
#endif
enum { LANES = 4, TALL = 2, PANELS = 1, WIDE_TALL = TALL };
typedef float Lanes __attribute__((vector_size(16)));
static inline Lanes lanes_madd(float a, Lanes b, Lanes c) { return a * b + c; }
static inline Lanes lanes_fma(Lanes a, Lanes b, Lanes c) { return a * b + c; }
#endif
static inline void  lanes_hold(Lanes *x) { (void)x; }
static inline Lanes lanes_load(const float *x) { Lanes y; memcpy(&y, x, sizeof y); return y; }
static inline void  lanes_store(float *x, Lanes y) { memcpy(x, &y, sizeof y); }
#endif

/* The sum of all lanes, by halves. */
static inline float lanes_total(Lanes x)
{
    float part[LANES];
    lanes_store(part, x);
    for (int half = LANES / 2; half > 0; half /= 2)
        UNROLL
        for (int i = 0; i < half; i++)
            part[i] += part[i + half];
    return part[0];
}
