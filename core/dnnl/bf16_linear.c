/*
 * bf16_linear.c -- the three products with a weight, cut into tiles
 *
 * A thread rounds the pieces of both operands that it multiplies next into buffers that its second cache holds, and oneDNN
 * multiplies them into a tile; the tile's whole sum then goes to the result.  Pieces at an edge are computed as multiples of
 * TILE_STEP: rows and columns that are too many are not looked at, and zeros fill up the sum.
 */
#include "core/arena.h"
#include "core/cpu/simd.h"
#include "core/dnnl/bf16.h"
#include "core/dnnl/bf16_tile.h"
#include "core/meanwhile.h"
#include "core/prof.h"

#include <string.h>

/* Tiles of a product at least, where its rows suffice: of a LARGE result more.  More tiles are more roundings of the same numbers.
   LEAST: multiply-adds that are worth other threads' waking. */
enum { TILES = 4, MANY_TILES = 32, LARGE = 1 << 22, LEAST = 1 << 22 };

typedef struct {
    uint16_t *a, *b;                    /* (TILE_M,TILE_K) (TILE_K,TILE_N) */
    float    *c;                        /* (TILE_M,TILE_N) */
    char     *scratch;
} Room;                                 /* of one thread */

typedef struct {
    TileKind kind;
    int64_t M, N, K;                    /* c (M,N) */
    const float *a, *b;                 /* stored as the kind says */
    int lda, ldb;
    int down, across, deep;             /* parts of M, N, K */
} Product;

static Arena arena = { .name = "bf16" };
static Room *rooms;                     /* (opened) */
static int opened;

static void layout(int threads, size_t scratch)
{
    rooms = TAKE(&arena, Room, threads);
    for (int t = 0; t < threads; t++) {
        const Room r = { TAKE(&arena, uint16_t, TILE_M * TILE_K), TAKE(&arena, uint16_t, TILE_K * TILE_N),
                         TAKE(&arena, float, TILE_M * TILE_N), TAKE(&arena, char, scratch) };
        if (rooms)
            rooms[t] = r;
    }
}

const char *bf16_absent(void) { return bf16_tile_absent(); }
const char *bf16_by(void) { return bf16_tile_by(); }

void bf16_open(int threads)
{
    if (threads <= opened)
        return;
    if (opened)
        arena_free(&arena);
    arena = (Arena){ .name = "bf16" };
    const size_t scratch = bf16_tile_open(threads);
    layout(threads, scratch);
    arena_alloc(&arena);
    layout(threads, scratch);
    opened = threads;
}

static int whole_steps(int64_t n) { return (int)ceil_div(n, TILE_STEP) * TILE_STEP; }

/* Where part i of n begins. */
static int64_t border(int64_t size, int i, int n) { return min64(size, ceil_div(size, TILE_STEP) * i / n * TILE_STEP); }

/* Columns and depth as few parts as tiles allow: what a weight's shape decides.  Rows, which are another number in each micro-batch
   (but of dw), are halved until there are tiles enough. */
static Product cut(Product p)
{
    const int want = p.M * p.N < LARGE ? TILES : MANY_TILES;
    p.down = (int)ceil_div(p.M, TILE_M);
    p.across = (int)ceil_div(p.N, TILE_N);
    p.deep = (int)ceil_div(p.K, TILE_K);
    while (p.down * p.across < want && p.M / (2 * p.down) >= TILE_STEP)
        p.down *= 2;
    return p;
}

/* Primitives for all tiles.  The number of rows changes from one micro-batch to the next: so for each that may come. */
static void make_tiles(const Product *p)
{
    const bool of_rows = p->kind == TILE_DW;
    for (int n = 0; n < p->across; n++) {
        const int cols = whole_steps(border(p->N, n + 1, p->across) - border(p->N, n, p->across));
        for (int i = 0; i < (of_rows ? p->down : p->deep); i++) {
            const int fixed = of_rows ? whole_steps(border(p->M, i + 1, p->down) - border(p->M, i, p->down))
                                      : whole_steps(border(p->K, i + 1, p->deep) - border(p->K, i, p->deep));
            for (int rows = TILE_STEP; rows <= (of_rows ? TILE_K : TILE_M); rows += TILE_STEP)
                bf16_tile_make(p->kind, of_rows ? fixed : rows, cols, of_rows ? rows : fixed);
        }
    }
}

static inline void narrow(uint16_t *restrict to, const float *restrict x, int n)
{
#pragma omp simd
    for (int i = 0; i < n; i++) {
        const uint32_t bits = simd_bits(x[i]), even = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        to[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : even);
    }
}

/* x (rows,cols) of ld floats a row, rounded, as a dense matrix of whole steps; zeros behind the end of the sum. */
static void round_piece(uint16_t *to, const float *x, int ld, int rows, int cols, bool sum_is_rows)
{
    const int wide = whole_steps(cols), tall = whole_steps(rows);
    for (int r = 0; r < rows; r++, to += wide) {
        narrow(to, x + (int64_t)r * ld, cols);
        if (!sum_is_rows)
            memset(to + cols, 0, (size_t)(wide - cols) * sizeof *to);
    }
    if (sum_is_rows)
        memset(to, 0, (size_t)(tall - rows) * (size_t)wide * sizeof *to);
}

/* r->c = the sum for rows [m, m+rows) and columns [n, n+cols). */
static void sum_tile(const Product *p, const Room *r, int thread, int64_t m, int rows, int64_t n, int cols)
{
    for (int i = 0; i < p->deep; i++) {
        const int64_t k = border(p->K, i, p->deep);
        const int depth = (int)(border(p->K, i + 1, p->deep) - k);
        if (p->kind == TILE_DW)
            round_piece(r->a, p->a + k * p->lda + m, p->lda, depth, rows, true);
        else
            round_piece(r->a, p->a + m * p->lda + k, p->lda, rows, depth, false);
        if (p->kind == TILE_FWD)
            round_piece(r->b, p->b + n * p->ldb + k, p->ldb, cols, depth, false);
        else
            round_piece(r->b, p->b + k * p->ldb + n, p->ldb, depth, cols, true);
        bf16_tile(thread, r->c, r->a, r->b, p->kind, whole_steps(rows), whole_steps(cols), whole_steps(depth), i > 0, r->scratch);
    }
}

/* c = tile, c += tile, or c = tile + bias. */
static void put_tile(float *c, int64_t ldc, const float *tile, int rows, int cols, bool add, const float *bias)
{
    const int wide = whole_steps(cols);
    for (int r = 0; r < rows; r++, c += ldc, tile += wide) {
        const float *to_add = add ? c : bias;
        if (!to_add)
            memcpy(c, tile, (size_t)cols * sizeof *c);
        else
#pragma omp simd
            for (int i = 0; i < cols; i++)
                c[i] = to_add[i] + tile[i];
    }
}

static void product(float *c, Product given, bool add, const float *bias)
{
    if (given.M == 0 || given.K == 0)   /* no rows */
        return;
    const Product p = cut(given);
    const int threads = omp_get_max_threads(), tiles = p.down * p.across;
    ASSERT(threads <= opened);
    make_tiles(&p);
    omp_set_num_threads(1);             /* which is what oneDNN then finds (bf16_tile) */
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (tiles > 1 && (double)p.M * (double)p.N * (double)p.K >= LEAST)
    for (int i = 0; i < tiles; i++) {
        const int64_t m = border(p.M, i / p.across, p.down), n = border(p.N, i % p.across, p.across);
        const int rows = (int)(border(p.M, i / p.across + 1, p.down) - m), cols = (int)(border(p.N, i % p.across + 1, p.across) - n);
        const int thread = omp_get_thread_num();
        sum_tile(&p, &rooms[thread], thread, m, rows, n, cols);
        put_tile(c + m * p.N + n, p.N, rooms[thread].c, rows, cols, add, bias ? bias + n : NULL);
        tile_done();
    }
    omp_set_num_threads(threads);
}

static void linear_fwd(float *out, const float *x, const Linear *w, int64_t N)
{
    ASSERT(w->leaves == 0);             /* a sum in bf16 has none: launch refuses them together */
    prof_gemm(N, w->O, w->I);
    product(out, (Product){ .kind = TILE_FWD, .M = N, .N = w->O, .K = w->I, .a = x, .lda = w->I, .b = w->w, .ldb = w->I }, w->add, w->b);
}

static void linear_dx(float *dx, const LinearTerm *term, int terms, int64_t N, bool add)
{
    for (int i = 0; i < terms; i++) {
        const Linear *w = term[i].w;
        ASSERT(w->leaves == 0);
        prof_gemm(N, w->I, w->O);
        product(dx, (Product){ .kind = TILE_DX, .M = N, .N = w->I, .K = w->O, .a = term[i].dout, .lda = w->O, .b = w->w, .ldb = w->I }, add || i > 0, NULL);
    }
}

/* The bias's gradient is a sum, no product: fp32's. */
static void linear_dw(Linear *dw, const float *dout, const float *x, int64_t N)
{
    if (dw->w) {
        prof_gemm(dw->O, dw->I, N);
        product(dw->w, (Product){ .kind = TILE_DW, .M = dw->O, .N = dw->I, .K = N, .a = dout, .lda = dw->O, .b = x, .ldb = dw->I }, true, NULL);
    }
    OPS_CPU.linear_dw(&(Linear){ .b = dw->b, .I = dw->I, .O = dw->O }, dout, x, N);
}

const Ops OPS_BF16 = { .name = "bf16", .linear_fwd = linear_fwd, .linear_dx = linear_dx, .linear_dw = linear_dw };
