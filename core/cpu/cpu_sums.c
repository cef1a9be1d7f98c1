/* cpu_sums.c -- sums over flat ranges: squares by blocks, of several buffers along a tree, and in fixed point */
#include "core/cpu/cpu.h"

#include <string.h>

/* One order of additions for a block of this length. */
static double squares(const float *x, int n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

void cpu_sumsq_blocks(double *out, const float *x, int64_t n, int block, int first)
{
    const int64_t blocks = n > 0 ? 1 + ceil_div(max64(0, n - first), block) : 0;
#pragma omp parallel for if (n >= PARALLEL)
    for (int64_t k = 0; k < blocks; k++) {
        const int64_t from = k ? first + (k - 1) * block : 0, to = min64(n, first + k * block);
        out[k] = squares(x + from, (int)(to - from));
    }
}

/* A piece of all buffers stays in cache while they are added up. */
void cpu_sum_tree(float *out, float *const *x, const Addition *add, int additions, int64_t n)
{
    enum { PIECE = 4096 };
#pragma omp parallel for if (n * additions >= PARALLEL)
    for (int64_t at = 0; at < n; at += PIECE) {
        const int size = (int)min64(PIECE, n - at);
        for (int k = 0; k < additions; k++) {
            float *to = x[add[k].to] + at;
            const float *from = x[add[k].from] + at;
#pragma omp simd
            for (int i = 0; i < size; i++)
                to[i] += from[i];
        }
        if (out != x[0])
            memcpy(out + at, x[0] + at, (size_t)size * sizeof *out);
    }
}

/* ---- fixed point: no branches, and all in 64 bits, so that loops become vectors ---- */

static inline uint64_t bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* The double x, |x| < 2^62, as a whole number: to the nearest, ties to even.  Vectors of AVX2 have no such instruction; adding a number
   with the right last place leaves 51 bits in a double's low end, so it goes in two parts: multiples of 2^26, which is exact, and the rest. */
static inline uint64_t nearest_whole(double x)
{
    const double coarse = 0x1.8p78, fine = 0x1.8p52, upper = (x + coarse) - coarse;
    const uint64_t high = bits(upper * 0x1p-26 + fine) - bits(fine), low = bits((x - upper) + fine) - bits(fine);
    return (high << 26) + low;
}

/* What is lost has a mask of ones. */
static inline int64_t choose(uint64_t lost, uint64_t sum) { return (int64_t)((sum & ~lost) | ((uint64_t)FIXED_LOST & lost)); }
static inline uint64_t is_lost(int64_t sum) { return -(uint64_t)(sum == FIXED_LOST); }

void cpu_fixed_add(int64_t *out, const int64_t *sum, const float *x, int64_t n, float limit)
{
    const double unit = 0x1p50, most = (double)limit;
    _Static_assert(FIXED_BITS == 50, "unit");
    if (!sum) {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++)
            out[i] = choose(-(uint64_t)!(fabs((double)x[i]) < most), nearest_whole((double)x[i] * unit));
        return;
    }
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        out[i] = choose(is_lost(sum[i]) | -(uint64_t)!(fabs((double)x[i]) < most), (uint64_t)sum[i] + nearest_whole((double)x[i] * unit));
}

void cpu_fixed_join(int64_t *out, const int64_t *a, const int64_t *b, int64_t n)
{
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        out[i] = choose(is_lost(a[i]) | is_lost(b[i]), (uint64_t)a[i] + (uint64_t)b[i]);
}

void cpu_fixed_round(float *out, const int64_t *sum, int64_t n)
{
    const float unit = 0x1p-50f;
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        out[i] = sum[i] == FIXED_LOST ? NAN : (float)sum[i] * unit;
}
