/*
 * bench_bf16.c -- products with a weight in bf16 (core/dnnl) beside fp32's (core/cpu), by turns, best of many, processor time
 *
 *     build/tests/bench/bench_bf16 [threads]
 *
 * Shapes of configs/bench/small.cfg, then of wide.cfg.  GF/s of fp32, of bf16, and how many times as fast that is: out, dx, dw.
 */
#include "core/arena.h"
#include "core/cpu/cpu.h"
#include "core/dnnl/bf16.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const int SHAPES[][3] = {                /* rows, out, in */
    { 1024, 384, 384 }, { 1024, 1024, 384 }, { 1024, 384, 1024 }, { 1024, 4096, 384 }, { 512, 192, 192 }, { 512, 768, 192 }, { 512, 192, 768 },
    { 2048, 256, 256 }, { 128, 4096, 4096 }, { 128, 11008, 4096 }, { 128, 4096, 11008 }, { 128, 32000, 4096 }, { 2048, 4096, 4096 },
};
enum { NSHAPES = sizeof SHAPES / sizeof *SHAPES, PRODUCTS = 3 };

static double processor(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct { float *x, *w, *dout, *out, *dx, *dw; } Floats;

static void take(Floats *f, Arena *a, int64_t N, int64_t O, int64_t I)
{
    *f = (Floats){ TAKE(a, float, N * I), TAKE(a, float, O * I), TAKE(a, float, N * O), TAKE(a, float, N * O), TAKE(a, float, N * I), TAKE(a, float, O * I) };
}

static void one(const Ops *o, int product, const Floats *f, int N, int O, int I)
{
    if (product == 0)
        o->linear_fwd(f->out, f->x, &(Linear){ .w = f->w, .I = I, .O = O }, N);
    else if (product == 1)
        o->linear_dx(f->dx, TERMS({ f->dout, &(Linear){ .w = f->w, .I = I, .O = O } }), N, false);
    else
        o->linear_dw(&(Linear){ .w = f->dw, .I = I, .O = O }, f->dout, f->x, N);
}

static void shape(int N, int O, int I)
{
    const Ops *way[2] = { &OPS_CPU, &OPS_BF16 };
    const double flops = 2.0 * N * O * I;
    double best[2][PRODUCTS] = { { 1e9, 1e9, 1e9 }, { 1e9, 1e9, 1e9 } };
    Floats f;
    Arena a = { .name = "bench" };
    take(&f, &a, N, O, I);
    arena_alloc(&a);
    take(&f, &a, N, O, I);
    op.draw(f.x, N, I, 0, I, DRAW_NORMAL, 1, 1, 1), op.draw(f.w, O, I, 0, I, DRAW_NORMAL, 0.02, 1, 2), op.draw(f.dout, N, O, 0, O, DRAW_NORMAL, 1, 1, 3);
    const int turns = (int)max64(5, min64(200, (int64_t)(6e9 / flops)));
    for (int i = 0; i < turns; i++)
        for (int k = 0; k < 2 * PRODUCTS; k++) {
            const double since = processor();
            one(way[k & 1], k / 2, &f, N, O, I);
            const double took = processor() - since;
            best[k & 1][k / 2] = took < best[k & 1][k / 2] ? took : best[k & 1][k / 2];
        }
    printf("%5d x %5d -> %5d", N, I, O);
    for (int k = 0; k < PRODUCTS; k++)
        printf("   %s %5.1f %5.1f  %.2f", (const char *[]){ "out", "dx", "dw" }[k], 1e-9 * flops / best[0][k], 1e-9 * flops / best[1][k], best[0][k] / best[1][k]);
    putchar('\n');
    fflush(stdout);
    arena_free(&a);
}

int main(int argc, char **argv)
{
    const int threads = argc > 1 ? atoi(argv[1]) : 1;
    ops_use(&OPS_CPU, threads);
    if (bf16_absent()) {
        fprintf(stderr, "bench_bf16: %s\n", bf16_absent());
        return EXIT_CONFIG;
    }
    bf16_open(threads);
    for (int i = 0; i < NSHAPES; i++)
        shape(SHAPES[i][0], SHAPES[i][1], SHAPES[i][2]);
    return EXIT_DONE;
}
