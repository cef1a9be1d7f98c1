/*
 * bench_ops.c -- the ops of the hot path, alone, at the shapes of a small model
 *
 *     build/tests/bench/bench_ops [threads]
 *
 * One line per op: microseconds a call (best of several), GF/s for ops that multiply matrices and their share of
 * sgemm 1024^3 in the same run, GB/s (operands counted once) for the others, and `us x rate`: what the call costs in
 * units of the flops that sgemm would do meanwhile.  Rows N = 1024 of T = 128, decoder width 384, vision width 192.
 * Then the three products of a linear map by shape, and passes over 100 MB beside copying so much: the machine's own limit.
 */
#include "core/cpu/cpu.h"
#include "core/prof.h"
#include "core/rope.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N = 1024, T = 128, C = 384, F = 1024, H = 6, D = 64, V = 4096, CV = 192, PATCHES = 64, Q = 4, E = 256, BIG = N * V, LONG = 25000000 };

static float *a, *b, *c, *d, *e, *f, *g;        /* BIG floats each */
static int32_t index_of[N], start[N + 1];
static double freq[D / 2];
static double sgemm_rate, copy_rate;
static bool one_thread;
static double sink;

static float *range[4];                         /* LONG floats each */
static uint16_t *half;
static void long_copy(void) { OPS_CPU.copy(range[0], range[1], LONG); }
static void long_zero(void) { OPS_CPU.zero(range[0], LONG); }
static void long_fill(void) { OPS_CPU.fill(range[0], LONG, 0.5f); }
static void long_scale(void) { OPS_CPU.scale(range[0], LONG, 1.0001f); }
static void long_add(void) { OPS_CPU.add_fwd(range[0], range[0], range[1], LONG); }
static void long_blend(void) { OPS_CPU.blend(range[0], range[1], LONG, 0.5f, 0.5f); }
static void long_sumsq(void) { OPS_CPU.sumsq(&sink, range[0], LONG); }
static void long_to_bf16(void) { OPS_CPU.to_bf16(half, range[0], LONG); }
static void long_from_bf16(void) { OPS_CPU.from_bf16(range[0], half, LONG); }
static void long_adamw(void) { OPS_CPU.adamw(range[0], range[1], range[2], range[3], LONG, 1e-3f, .9f, .95f, 1e-8f, .1f, 10, 1); }

static struct { int n, in, out; } map;          /* of a linear map: out = x w^T, dx = dout w, dw += dout^T x */
static void product_out(void) { prof_gemm(map.n, map.in, map.out), OPS_CPU.product(c, map.out, a, map.in, false, b, map.in, true, map.n, map.out, map.in, 1, 0); }
static void product_dx(void) { prof_gemm(map.n, map.in, map.out), OPS_CPU.product(c, map.in, a, map.out, false, b, map.in, false, map.n, map.in, map.out, 1, 0); }
static void product_dw(void) { prof_gemm(map.n, map.in, map.out), OPS_CPU.product(c, map.in, a, map.out, true, b, map.in, false, map.out, map.in, map.n, 1, 1); }

static void sgemm_1024(void)
{
    prof_gemm(1024, 1024, 1024);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, 1024, 1024, 1024, 1, a, 1024, b, 1024, 0, c, 1024);
}
static void linear(int64_t n, int in, int out) { OPS_CPU.linear_fwd(c, a, &(Linear){ .w = b, .b = d, .I = in, .O = out }, n); }
static void linear_back(int64_t n, int in, int out)
{
    OPS_CPU.linear_dx(c, TERMS({ a, &(Linear){ .w = b, .I = in, .O = out } }), n, false);
    OPS_CPU.linear_dw(&(Linear){ .w = d, .b = e, .I = in, .O = out }, a, f, n);
}
static void qkvo(void) { linear(N, C, C); }
static void qkvo_bwd(void) { linear_back(N, C, C); }
static void up(void) { linear(N, C, F); }
static void up_bwd(void) { linear_back(N, C, F); }
static void down(void) { linear(N, F, C); }
static void down_bwd(void) { linear_back(N, F, C); }
static void vocab(void) { linear(N, C, V); }
static void vocab_bwd(void) { linear_back(N, C, V); }
static void vision(void) { linear(N, CV, CV); }
static void depth_ffn(void) { linear(N, E, 2 * E); }
static void depth_ffn_bwd(void) { linear_back(N, E, 2 * E); }
static void token(void) { linear(1, C, V); }

static int packed(int t)
{
    for (int s = 0; s <= N / t; s++)
        start[s] = s * t;
    return N / t;
}
static void attend(int t, int h, int k, int mask) { OPS_CPU.attention_fwd(c, d, a, b, e, packed(t), start, start, h, k, D, mask); }
static void attend_back(int t, int h, int k, int mask)
{
    OPS_CPU.attention_bwd(e, f, g, a, c, d, a, b, b, packed(t), start, start, h, k, D, mask, 0);
}
static void causal_64(void) { attend(64, H, H, CAUSAL); }
static void causal_128(void) { attend(T, H, H, CAUSAL); }
static void causal_128_bwd(void) { attend_back(T, H, H, CAUSAL); }
static void causal_512(void) { attend(512, H, H, CAUSAL); }
static void causal_512_bwd(void) { attend_back(512, H, H, CAUSAL); }
static void causal_2048(void)
{
    start[0] = 0, start[1] = 2048;
    OPS_CPU.attention_fwd(c, d, a, b, e, 1, start, start, 8, 8, D, CAUSAL);
}
static void causal_2048_bwd(void)
{
    start[0] = 0, start[1] = 2048;
    OPS_CPU.attention_bwd(e, f, g, a, c, d, a, b, b, 1, start, start, 8, 8, D, CAUSAL, 0);
}
static void grouped_128(void) { attend(T, H, 2, CAUSAL); }
static void grouped_128_bwd(void) { attend_back(T, H, 2, CAUSAL); }
static void full_64(void) { attend(PATCHES, CV / D, CV / D, FULL); }
static void full_64_bwd(void) { attend_back(PATCHES, CV / D, CV / D, FULL); }
static void one_query(void)
{
    const int32_t one[2] = { 0, 1 }, keys[2] = { 0, T };
    OPS_CPU.attention_fwd(c, d, a, b, e, 1, one, keys, H, H, D, CAUSAL);
}
static void depth(void) { OPS_CPU.depth_attention_fwd(c, d, a, b, e, Q, N, E / D, D); }
static void depth_bwd(void) { OPS_CPU.depth_attention_bwd(e, f, g, a, d, a, b, b, Q, N, E / D, D); }
static void nearest(void) { OPS_CPU.nearest(index_of, NULL, a, b, N, CV, V, 0); }

static void rmsnorm(void) { OPS_CPU.rmsnorm_fwd(c, d, a, b, N, C, 1e-5f); }
static void rmsnorm_bwd(void) { OPS_CPU.rmsnorm_bwd(c, e, a, b, d, b, N, C, 0, true); }
static void layernorm(void) { OPS_CPU.layernorm_fwd(c, d, e, a, b, b, N, CV, 1e-6f); }
static void layernorm_bwd(void) { OPS_CPU.layernorm_bwd(c, f, g, a, b, d, e, b, N, CV, 0, true); }
static void gelu_tanh(void) { OPS_CPU.gelu_fwd(c, a, N * F, GELU_TANH); }
static void gelu_tanh_bwd(void) { OPS_CPU.gelu_bwd(c, d, a, b, N * F, GELU_TANH); }
static void gelu_erf(void) { OPS_CPU.gelu_fwd(c, a, N * F, GELU_ERF); }
static void gelu_erf_bwd(void) { OPS_CPU.gelu_bwd(c, d, a, b, N * F, GELU_ERF); }
static void swiglu(void) { OPS_CPU.swiglu_fwd(c, a, b, N * F); }
static void swiglu_bwd(void) { OPS_CPU.swiglu_bwd(c, d, f, a, b, e, N * F); }
static void add(void) { OPS_CPU.add_fwd(c, a, b, N * C); }
static void rope(void) { OPS_CPU.rope(c, index_of, N, H, D, freq, 1); }
static void embed(void) { OPS_CPU.embed_fwd(c, a, index_of, N, C, N); }
static void embed_bwd(void) { OPS_CPU.embed_bwd(c, a, index_of, N, C, N); }
static void xent_max(void) { OPS_CPU.xent_max(c, a, N, V); }
static void xent_sum(void) { OPS_CPU.xent_sum(c, d, a, b, index_of, N, V, 0, 0); }
static void xent_bwd(void) { OPS_CPU.xent_bwd(c, a, b, index_of, N, V, 0, 1e-3f); }
static void sumsq(void) { OPS_CPU.sumsq(&sink, a, BIG); }
static void adamw(void) { OPS_CPU.adamw(c, d, e, a, BIG, 1e-3f, .9f, .95f, 1e-8f, .1f, 10, 1); }

/* Processor time for one thread, so that a busy machine does not count; the wall's for several. */
static double spent_time(void)
{
    struct timespec t;
    clock_gettime(one_thread ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fill(float *x)
{
    uint32_t bits = 1;
    for (int64_t i = 0; i < BIG; i++) {
        bits = bits * 1664525u + 1013904223u;
        x[i] = 0.01f + (float)(bits >> 8) * 0x1p-24f;
    }
}

/* The best time of a call. */
static void bench(const char *name, void (*op_once)(void), double floats)
{
    double best = 1e9, flops = 0, spent = 0;
    for (int i = 0; i < 200 && (i < 3 || spent < 0.1); i++) {
        prof_flops = 0;
        const double t = spent_time();
        op_once();
        const double took = spent_time() - t;
        spent += took;
        best = took < best ? took : best;
        flops = prof_flops;
    }
    if (sgemm_rate == 0)
        sgemm_rate = flops / best;
    printf("%-34s %9.1f us ", name, best * 1e6);
    if (flops > 0)
        printf("%8.1f GF/s %6.2f of sgemm\n", flops / best * 1e-9, flops / best / sgemm_rate);
    else if (copy_rate > 0)
        printf("%8.1f GB/s %6.2f of copying\n", floats * 4 / best * 1e-9, floats * 4 / best / copy_rate);
    else
        printf("%8.1f GB/s %6.0f Mflop of sgemm time\n", floats * 4 / best * 1e-9, best * sgemm_rate * 1e-6);
}

static const int MAPS[][3] = {                  /* rows, in, out: decoder, vision, vocabulary, head */
    { N, C, C }, { N, C, F }, { N, F, C }, { N / 2, CV, CV }, { N / 2, CV, 4 * CV }, { N / 2, 4 * CV, CV }, { N / 4, C, V }, { 2 * N, E, E }, { 2 * N, E, 2 * E },
};

static void products(void)
{
    for (size_t i = 0; i < sizeof MAPS / sizeof *MAPS; i++) {
        char name[3][64];
        map.n = MAPS[i][0], map.in = MAPS[i][1], map.out = MAPS[i][2];
        for (int k = 0; k < 3; k++)
            snprintf(name[k], sizeof name[k], "%d x %d -> %d, %s", map.n, map.in, map.out, k == 0 ? "out" : k == 1 ? "dx" : "dw");
        bench(name[0], product_out, 0), bench(name[1], product_dx, 0);
        fill(c);
        bench(name[2], product_dw, 0);
    }
}

/* Wall clock: what memory gives is not the processor's to count. */
static void passes(void)
{
    one_thread = false;
    half = aligned_alloc(64, LONG * sizeof *half);
    for (int i = 0; i < 4; i++) {
        range[i] = aligned_alloc(64, LONG * sizeof(float));
        CHECK(range[i] && half, "no memory for %d floats", LONG);
        for (int64_t k = 0; k < LONG; k++)
            range[i][k] = 0.01f + (float)(k % 97);
    }
    double best = 1e9;
    for (int i = 0; i < 10; i++) {
        const double t = spent_time();
        long_copy();
        best = spent_time() - t < best ? spent_time() - t : best;
    }
    copy_rate = 8.0 * LONG / best;
#define PASS(fn, floats) bench(#fn, fn, (floats) * (double)LONG)
    PASS(long_copy, 2), PASS(long_zero, 1), PASS(long_fill, 1), PASS(long_scale, 2), PASS(long_add, 3), PASS(long_blend, 3), PASS(long_sumsq, 1);
    PASS(long_to_bf16, 1.5), PASS(long_from_bf16, 1.5), PASS(long_adamw, 7);
}

int main(int argc, char **argv)
{
    const int threads = argc > 1 ? atoi(argv[1]) : 1;
    one_thread = threads == 1;
    ops_use(&OPS_CPU, threads);
    float **all[] = { &a, &b, &c, &d, &e, &f, &g };
    for (int i = 0; i < 7; i++) {
        *all[i] = aligned_alloc(64, BIG * sizeof(float));
        CHECK(*all[i], "no memory for %d floats", BIG);
        fill(*all[i]);
    }
    rope_freq(freq, D, 1e4, NULL);
    for (int n = 0; n < N; n++)
        index_of[n] = n % T;
#define BENCH(fn, floats) bench(#fn, fn, floats)
    BENCH(sgemm_1024, 0);
    BENCH(qkvo, 0), BENCH(qkvo_bwd, 0), BENCH(up, 0), BENCH(up_bwd, 0), BENCH(down, 0), BENCH(down_bwd, 0);
    BENCH(vocab, 0), BENCH(vocab_bwd, 0), BENCH(vision, 0), BENCH(depth_ffn, 0), BENCH(depth_ffn_bwd, 0), BENCH(token, 0);
    for (int i = 0; i < 7; i++)
        fill(*all[i]);
    BENCH(causal_64, 0), BENCH(causal_128, 0), BENCH(causal_128_bwd, 0), BENCH(causal_512, 0), BENCH(causal_512_bwd, 0);
    fill(e);
    BENCH(causal_2048, 0), BENCH(causal_2048_bwd, 0);
    fill(e);
    BENCH(grouped_128, 0), BENCH(grouped_128_bwd, 0);
    fill(e);
    BENCH(full_64, 0), BENCH(full_64_bwd, 0), BENCH(one_query, 0), BENCH(nearest, 0);
    for (int n = 0; n < N; n++)
        index_of[n] = n % T;
    fill(e);
    BENCH(depth, 4.0 * Q * N * E), BENCH(depth_bwd, 7.0 * Q * N * E);
    BENCH(rmsnorm, 2.0 * N * C), BENCH(rmsnorm_bwd, 3.0 * N * C), BENCH(layernorm, 2.0 * N * CV), BENCH(layernorm_bwd, 3.0 * N * CV);
    BENCH(gelu_tanh, 2.0 * N * F), BENCH(gelu_tanh_bwd, 3.0 * N * F), BENCH(gelu_erf, 2.0 * N * F), BENCH(gelu_erf_bwd, 3.0 * N * F);
    BENCH(swiglu, 3.0 * N * F), BENCH(swiglu_bwd, 5.0 * N * F), BENCH(add, 3.0 * N * C), BENCH(rope, 2.0 * N * C);
    BENCH(embed, 2.0 * N * C), BENCH(embed_bwd, 3.0 * N * C);
    BENCH(xent_max, N * V), BENCH(xent_sum, N * V);
    fill(c);
    BENCH(xent_bwd, 2.0 * N * V), BENCH(sumsq, BIG);
    for (int i = 0; i < 7; i++)
        fill(*all[i]);
    BENCH(adamw, 7.0 * BIG);
    for (int i = 0; i < 7; i++)
        fill(*all[i]);
    products();
    passes();
    return EXIT_DONE;
}
