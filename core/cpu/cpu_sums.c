/* cpu_sums.c -- sums over flat ranges: squares by blocks, of several buffers along a tree, and in fixed point */
#include "core/cpu/cpu.h"
#include "core/cpu/simd.h"

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

/* Of up to 256 squares, each exact as a double: what of them is a multiple of a unit so coarse that their sum is exact, then the same of the
   rest, then what is left, below 2^-89 of the largest, where rounding is nobody's concern.  Adding `coarse` and taking it off again rounds. */
static void split_squares(double *out, const float *x, int n)
{
    enum { ROOM = 8, FINER = 45 };
    uint32_t most = 0;                                          /* bits of a size: they are in its order, and a largest integer is a vector's */
#pragma omp simd reduction(max : most)
    for (int i = 0; i < n; i++) {
        const uint32_t size = simd_bits(x[i]) & INT32_MAX;
        most = size > most ? size : most;
    }
    const int e = (int)(most >> 23) - 126;                      /* all are below 2^e */
    const double coarse = ldexp(1.5, 2 * e + ROOM), fine = ldexp(coarse, -FINER);
    double high = 0, middle = 0, low = 0;
#pragma omp simd reduction(+ : high, middle, low)
    for (int i = 0; i < n; i++) {
        const double square = (double)x[i] * (double)x[i], h = (square + coarse) - coarse, rest = square - h, m = (rest + fine) - fine;
        high += h;
        middle += m;
        low += rest - m;
    }
    out[0] = high;
    out[1] = middle;
    out[2] = low;
}

void cpu_sumsq_blocks(double *out, const float *x, int64_t n, int block, int first, bool split)
{
    const int64_t blocks = n > 0 ? 1 + ceil_div(max64(0, n - first), block) : 0;
    ASSERT(!split || block <= 256);
#pragma omp parallel for if (n >= PARALLEL)
    for (int64_t k = 0; k < blocks; k++) {
        const int64_t from = k ? first + (k - 1) * block : 0, to = min64(n, first + k * block);
        if (split)
            split_squares(out + 3 * k, x + from, (int)(to - from));
        else
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

/* ---- fixed point: additions modulo 2^64 and choices by masks ---- */

static inline uint64_t bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* The double x, |x| < 2^62, as a whole number: to the nearest, ties to even; of any other x some number.  AVX2 has no such instruction, and
   gcc does not take AVX-512's: a number is added after which the last place is a double's last, which has room for 51 bits; so in two
   parts, multiples of 2^26 and what is left. */
static inline uint64_t whole(double x)
{
    const double coarse = 0x1.8p78, fine = 0x1.8p52, upper = x + coarse, lower = (x - (upper - coarse)) + fine;
    return (bits(upper) << 26) + bits(lower) - ((bits(coarse) << 26) + bits(fine));
}

static inline int64_t plus(int64_t a, uint64_t b) { return (int64_t)((uint64_t)a + b); }

/* Pieces that threads share.  A loop of its own in each: clang believes that a store of 64 bits may change the bounds of a shared one. */
enum { PIECE = 8192 };

static void fixed_add(int64_t *out, const int64_t *sum, const float *x, int64_t n, float limit)
{
    const double unit = 0x1p50, most = (double)limit;
    _Static_assert(FIXED_BITS == 50, "unit");
    if (!sum) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            out[i] = fabs((double)x[i]) < most ? (int64_t)whole((double)x[i] * unit) : FIXED_LOST;
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const bool kept = (sum[i] != FIXED_LOST) & (fabs((double)x[i]) < most);
        const int64_t s = plus(sum[i], whole((double)x[i] * unit));
        out[i] = kept ? s : FIXED_LOST;
    }
}

void cpu_fixed_add(int64_t *out, const int64_t *sum, const float *x, int64_t n, float limit)
{
#pragma omp parallel for if (n >= PARALLEL)
    for (int64_t at = 0; at < n; at += PIECE)
        fixed_add(out + at, sum ? sum + at : NULL, x + at, min64(PIECE, n - at), limit);
}

static void fixed_join(int64_t *out, const int64_t *a, const int64_t *b, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const int64_t s = plus(a[i], (uint64_t)b[i]);
        out[i] = ((a[i] != FIXED_LOST) & (b[i] != FIXED_LOST)) ? s : FIXED_LOST;
    }
}

void cpu_fixed_join(int64_t *out, const int64_t *a, const int64_t *b, int64_t n)
{
#pragma omp parallel for if (n >= PARALLEL)
    for (int64_t at = 0; at < n; at += PIECE)
        fixed_join(out + at, a + at, b + at, min64(PIECE, n - at));
}

void cpu_fixed_round(float *out, const int64_t *sum, int64_t n)
{
    const float unit = 0x1p-50f;
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
    for (int64_t i = 0; i < n; i++)
        out[i] = sum[i] == FIXED_LOST ? NAN : (float)sum[i] * unit;
}
