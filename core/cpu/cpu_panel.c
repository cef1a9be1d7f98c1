/*
 * cpu_panel.c -- products by tiles of our own
 *
 * A BLAS packs both matrices, clears the result and then adds to it: of 1000 rows times 384 x 384 that is a sixth of its time.  Here b is packed
 * once, a is read where it lies or copied as it is, and the result is written once for each DEEP of K.  An element is a sum in the order of k
 * wherever it lies, one for each DEEP, so rows and columns are cut as threads like.  What is faster by sgemm with the vectors of this build is
 * left to it (docs/PERF.md).
 */
#include "core/cpu/cpu.h"
#include "core/cpu/tile.h"
#include "core/meanwhile.h"

/* MOST: floats of b that are packed at a time.  EVIL: rows so many floats apart meet in one set of the first cache. */
enum { MOST = 128 * 1024, ROWS = 48, DEEP = 256, DEEPEST = 400, EVIL = 512, APART = 16, WIDE = PANELS * PANEL, GROUP = 4 * PANEL };

/* op(a), its element (m,k) at from[m row + k col]. */
typedef struct { const float *from; int64_t row, col; } Left;

static Left left_at(Left a, int64_t m, int64_t k) { return (Left){ a.from + m * a.row + k * a.col, a.row, a.col }; }

/* Most lines are whole, of a length that the compiler knows. */
static inline void copy_line(float *to, const float *from, int n)
{
    if (n == ROWS)
        memcpy(to, from, ROWS * sizeof *to);
    else
        memcpy(to, from, (size_t)n * sizeof *to);
}

/* Rows of a, `depth` of each; in `own` where they lie badly. */
static Left near(float *own, Left a, int rows, int depth)
{
    if (a.row == 1) {
        for (int k = 0; k < depth; k++)
            copy_line(own + k * ROWS, a.from + k * a.col, rows);
        return (Left){ own, 1, ROWS };
    }
    if (a.row % EVIL != 0)
        return a;
    for (int r = 0; r < rows; r++)
        memcpy(own + r * (depth + APART), a.from + r * a.row, (size_t)depth * sizeof *own);
    return (Left){ own, depth + APART, 1 };
}

static void pack(float *packed, const float *b, int ldb, bool tb, int n, int cols, int depth, float alpha)
{
    float *to = packed + (int64_t)n * depth;
    if (tb)
        tile_turn(to, b + (int64_t)n * ldb, ldb, cols, depth, alpha);
    else
        tile_pack(to, b + n, ldb, depth, cols, alpha);
}

/* cols <= WIDE */
static __attribute__((noinline)) void wide_product(float *c, int64_t cstep, Left a, const float *b, int M, int K, int cols, bool add)
{
    if (cols == WIDE)
        tile_whole(WIDE_TALL, PANELS, c, cstep, a.from, a.row, a.col, b, M, K, add);
    else
        for (int n = 0; n < cols; n += PANEL)
            tile_product(c + n, cstep, a.from, a.row, a.col, b + (int64_t)n * K, M, K, (int)min64(PANEL, cols - n), add);
}

/* c (M,N) = or += alpha a (M,depth) b (depth,N), shared by the threads of the region that calls it. */
static void stripe(float *c, int ldc, Left a, const float *b, int ldb, bool tb, float *packed, int64_t M, int N, int depth, float alpha, bool add)
{
    _Alignas(64) float own[ROWS * (DEEPEST + APART)];
    const int64_t blocks = ceil_div(M, ROWS), most = ceil_div(N, GROUP);
    const int64_t groups = min64(most, ceil_div((int64_t)4 * omp_get_num_threads(), blocks));
    const int wide = (int)(ceil_div(most, omp_get_num_threads() == 1 ? 1 : groups) * GROUP);
#pragma omp for
    for (int n = 0; n < N; n += GROUP)
        pack(packed, b, ldb, tb, n, (int)min64(GROUP, N - n), depth, alpha);
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t m = 0; m < M; m += ROWS)
        for (int n0 = 0; n0 < N; n0 += wide) {
            const int rows = (int)min64(ROWS, M - m);
            const Left l = near(own, left_at(a, m, 0), rows, depth);
            for (int n = n0; n < N && n < n0 + wide; n += WIDE)
                wide_product(c + m * ldc + n, ldc, l, packed + (int64_t)n * depth, rows, depth, (int)min64(WIDE, N - n), add);
            tile_done();
        }
}

bool panel_shape(bool ta, int64_t M, int64_t N, int64_t K, float beta)
{
    enum { FEW = 64, LONG = 2048, LARGE = 1 << 21 };
    if (M < FEW || K < PANEL || (beta != 0 && beta != 1))
        return false;
    return LANES == 16 || (LANES == 8 && !ta && K <= LONG && N * K <= LARGE);
}

void panel_product(float *c, int ldc, const float *a, int lda, bool ta, const float *b, int ldb, bool tb, int64_t M, int N, int K, float alpha,
                   bool add)
{
    enum { ALONE = 1 << 22 };
    _Alignas(64) float packed[MOST];
    const Left l = { a, ta ? 1 : lda, ta ? lda : 1 };
    const int deep = K <= DEEPEST ? K : DEEP, wide = MOST / deep / GROUP * GROUP;
#pragma omp parallel if (M * N * K >= ALONE)
    for (int n = 0; n < N; n += wide)
        for (int k = 0; k < K; k += deep)
            stripe(c + n, ldc, left_at(l, 0, k), tb ? b + (int64_t)n * ldb + k : b + (int64_t)k * ldb + n, ldb, tb, packed, M,
                   (int)min64(wide, N - n), (int)min64(deep, K - k), alpha, k > 0 || add);
}
