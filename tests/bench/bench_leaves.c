/*
 * bench_leaves.c -- what products in leaves (core/linear.h) cost beside those as they are fastest
 *
 *     build/tests/bench/bench_leaves [threads [turns]]
 *
 * One line per product of a decoder's block, of one rank that has all eight leaves: microseconds without and with them (the best of many, by
 * turns in one process), GF/s, their ratio; then the same of all of a block's products together.
 */
#include "core/arena.h"
#include "core/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LEAVES = 8, TERMS_HERE = 3, TURNS = 15 };

typedef struct { int C, F, N; } Block;
typedef struct { float *x, *y, *w[TERMS_HERE], *dout[TERMS_HERE]; } Floats;
enum { FWD, DX, DW };
typedef struct { const char *name; int kind, split, terms, O, I, times; } Line;         /* times: in a block's step */

static void take(Floats *f, Arena *a, const Block *b)
{
    const int64_t most = (int64_t)b->N * (b->F > b->C ? b->F : b->C), weight = (int64_t)b->F * b->C;
    f->x = TAKE(a, float, most);
    f->y = TAKE(a, float, most > weight ? most : weight);
    for (int t = 0; t < TERMS_HERE; t++) {
        f->w[t] = TAKE(a, float, weight);
        f->dout[t] = TAKE(a, float, most);
    }
}

/* Processor time for one thread, so that a busy machine does not count; the wall's for several. */
static double spent_time(bool one_thread)
{
    struct timespec t;
    clock_gettime(one_thread ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void product(const Line *l, const Floats *f, int N, int leaves)
{
    Linear w[TERMS_HERE];
    LinearTerm term[TERMS_HERE];
    for (int t = 0; t < TERMS_HERE; t++) {
        w[t] = (Linear){ .w = f->w[t], .I = l->I, .O = l->O, .split = l->split, .leaves = leaves };
        term[t] = (LinearTerm){ f->dout[t], &w[t] };
    }
    if (l->kind == DX)
        op.linear_dx(f->y, term, l->terms, N, false);
    else if (l->kind == DW)
        op.linear_dw(&(Linear){ .w = f->y, .I = l->I, .O = l->O, .split = l->split, .leaves = leaves }, f->dout[0], f->x, N);
    else
        op.linear_fwd(f->y, f->x, w, N);
}

static void block(const Block *b, int turns, bool one)
{
    const int C = b->C, F = b->F;
    const Line lines[] = {
        { "fwd q, k, v", FWD, 0, 1, C, C, 3 }, { "fwd o", FWD, 1, 1, C, C, 1 }, { "fwd gate, up", FWD, 0, 1, F, C, 2 }, { "fwd down", FWD, 1, 1, C, F, 1 },
        { "dx q + k + v", DX, 0, 3, C, C, 1 }, { "dx o", DX, 1, 1, C, C, 1 }, { "dx gate + up", DX, 0, 2, F, C, 1 }, { "dx down", DX, 1, 1, C, F, 1 },
        { "dw q, k, v", DW, 0, 1, C, C, 3 }, { "dw o", DW, 1, 1, C, C, 1 }, { "dw gate, up", DW, 0, 1, F, C, 2 }, { "dw down", DW, 1, 1, C, F, 1 },
        { "(dx of one q)", DX, 0, 1, C, C, 0 }, { "(dx of one up)", DX, 0, 1, F, C, 0 },
    };
    double sum[2] = { 0, 0 };
    Floats f;
    Arena a = { .name = "bench" };
    take(&f, &a, b);
    arena_alloc(&a);
    take(&f, &a, b);
    op.draw(f.x, 1, (int64_t)b->N * F, 0, 0, DRAW_NORMAL, 1, 1, 1);
    for (int t = 0; t < TERMS_HERE; t++) {
        op.draw(f.w[t], 1, (int64_t)F * C, 0, 0, DRAW_NORMAL, 0.02, 1, 2);
        op.draw(f.dout[t], 1, (int64_t)b->N * F, 0, 0, DRAW_NORMAL, 1, 1, 3);
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const Line *l = &lines[i];
        const double flops = 2.0 * b->N * l->O * l->I * l->terms;
        double best[2] = { 1e9, 1e9 };
        for (int k = 0; k < 2 * turns; k++) {
            if (l->kind == DW)
                op.zero(f.y, (int64_t)l->O * l->I);
            const double since = spent_time(one);
            product(l, &f, b->N, k % 2 ? LEAVES : 0);
            const double took = spent_time(one) - since;
            best[k % 2] = took < best[k % 2] ? took : best[k % 2];
        }
        printf("%5d x %-5d %5d rows  %-14s %10.1f us %6.1f GF/s   leaves %10.1f us %6.1f GF/s   %.3f\n", C, F, b->N, l->name, best[0] * 1e6,
               flops / best[0] * 1e-9, best[1] * 1e6, flops / best[1] * 1e-9, best[1] / best[0]);
        for (int k = 0; k < 2; k++)
            sum[k] += l->times * best[k];
    }
    printf("%5d x %-5d %5d rows  %-14s %10.1f us %15s   leaves %10.1f us %13s   %.3f\n", C, F, b->N, "a block's", sum[0] * 1e6, "", sum[1] * 1e6, "",
           sum[1] / sum[0]);
    arena_free(&a);
}

int main(int argc, char **argv)
{
    static const Block BLOCKS[] = { { 384, 1024, 1024 }, { 1024, 2816, 1024 }, { 4096, 11008, 512 } };
    const int threads = argc > 1 ? atoi(argv[1]) : 1, turns = argc > 2 ? atoi(argv[2]) : TURNS;
    ops_use(&OPS_CPU, threads);
    printf("%d threads, vectors %s\n", threads, OPS_CPU.name);
    for (size_t i = 0; i < sizeof BLOCKS / sizeof *BLOCKS; i++)
        block(&BLOCKS[i], (int)(turns * (BLOCKS[0].C * 4096.0 / BLOCKS[i].C / BLOCKS[i].C) / 4) + 3, threads == 1);
    return 0;
}
