/*
 * bench_ops.c -- the ops of the hot path, alone, at the shapes of a small model
 *
 *     build/tests/bench/bench_ops [threads]
 *
 * One line per op: microseconds a call (best of several), GF/s for ops that multiply matrices and their share of
 * sgemm 1024^3 in the same run, GB/s (operands counted once) for the others, and `us x rate`: what the call costs in
 * units of the flops that sgemm would do meanwhile.  Rows N = 1024 of T = 128, decoder width 384, vision width 192.
 */
#include "core/cpu/cpu.h"
#include "core/prof.h"
#include "core/rope.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N = 1024, T = 128, C = 384, F = 1024, H = 6, D = 64, V = 4096, CV = 192, PATCHES = 64, Q = 4, E = 256, BIG = N * V };

static float *a, *b, *c, *d, *e, *f, *g;        /* BIG floats each */
static int32_t index_of[N], start[N + 1];
static double freq[D / 2];
static double sgemm_rate;
static bool one_thread;
static double sink;

static void sgemm_1024(void)
{
    prof_gemm(1024, 1024, 1024);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, 1024, 1024, 1024, 1, a, 1024, b, 1024, 0, c, 1024);
}
static void linear(int64_t n, int in, int out) { OPS_CPU.linear_fwd(c, a, &(Linear){ b, d, in, out }, n); }
static void linear_back(int64_t n, int in, int out)
{
    OPS_CPU.linear_dx(c, a, &(Linear){ b, NULL, in, out }, n, false);
    OPS_CPU.linear_dw(&(Linear){ d, e, in, out }, a, f, n);
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
    OPS_CPU.attention_bwd(e, f, g, a, c, d, a, b, b, packed(t), start, start, h, k, D, mask);
}
static void causal_64(void) { attend(64, H, H, CAUSAL); }
static void causal_128(void) { attend(T, H, H, CAUSAL); }
static void causal_128_bwd(void) { attend_back(T, H, H, CAUSAL); }
static void causal_512(void) { attend(512, H, H, CAUSAL); }
static void causal_512_bwd(void) { attend_back(512, H, H, CAUSAL); }
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
static void nearest(void) { OPS_CPU.nearest(index_of, NULL, a, b, N, CV, V); }

static void rmsnorm(void) { OPS_CPU.rmsnorm_fwd(c, d, a, b, N, C, 1e-5f); }
static void rmsnorm_bwd(void) { OPS_CPU.rmsnorm_bwd(c, e, a, b, d, b, N, C, true); }
static void layernorm(void) { OPS_CPU.layernorm_fwd(c, d, e, a, b, b, N, CV, 1e-6f); }
static void layernorm_bwd(void) { OPS_CPU.layernorm_bwd(c, f, g, a, b, d, e, b, N, CV, true); }
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
static void xent_sum(void) { OPS_CPU.xent_sum(c, d, a, b, index_of, N, V, 0); }
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
    else
        printf("%8.1f GB/s %6.0f Mflop of sgemm time\n", floats * 4 / best * 1e-9, best * sgemm_rate * 1e-6);
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
    return EXIT_DONE;
}
