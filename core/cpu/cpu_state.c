/* cpu_state.c -- what parameters begin with, and a number for their bits: whole tensors, cut into pieces for the threads */
#include "core/bits.h"
#include "core/cpu/cpu.h"
#include "core/ref/ref.h"

enum { PIECE = 1 << 15 };       /* elements that a thread takes at once */

/* Elements [e, end) of a piece lie in runs: the rest of a row, or all of them where whole rows follow each other. */
static int64_t run_of(int64_t e, int64_t end, int64_t cols, int64_t stride)
{
    return cols == stride ? end - e : min64(end - e, cols - e % cols);
}

void cpu_draw(float *x, int64_t rows, int64_t cols, int64_t first, int64_t stride, int kind, double size, uint64_t seed, uint64_t stream)
{
#pragma omp parallel for schedule(static) if (rows * cols > PIECE)
    for (int64_t p = 0; p < rows * cols; p += PIECE) {
        const int64_t end = min64(p + PIECE, rows * cols);
        for (int64_t e = p, n; e < end; e += n) {
            n = run_of(e, end, cols, stride);
            ref_draw(x + e, 1, n, first + e / cols * stride + e % cols, n, kind, size, seed, stream);
        }
    }
}

/* A sum modulo 2^64: in any order. */
void cpu_hash(uint64_t *sum, const float *x, int64_t rows, int64_t cols, int64_t first, int64_t stride, uint64_t stream)
{
    uint64_t all = 0;
#pragma omp parallel for schedule(static) reduction(+ : all) if (rows * cols > PIECE)
    for (int64_t p = 0; p < rows * cols; p += PIECE) {
        const int64_t end = min64(p + PIECE, rows * cols);
        for (int64_t e = p, n; e < end; e += n) {
            n = run_of(e, end, cols, stride);
            all += bits_sum(stream, first + e / cols * stride + e % cols, x + e, n);
        }
    }
    *sum = all;
}
