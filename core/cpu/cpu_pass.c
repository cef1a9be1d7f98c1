/*
 * cpu_pass.c -- passes over ranges that only move numbers: zero, fill, copy, to bf16 and back
 *
 * What is larger than caches are (HUGE floats) is written past them: a line that is written whole need not be read first.  The length
 * alone decides; whichever way, the same numbers are written.
 */
#include "core/cpu/cpu.h"
#include "core/cpu/lanes.h"
#include "core/cpu/simd.h"
#include "core/half.h"

#include <omp.h>

enum { HUGE = 1 << 23, LINE = 64, SOME = 1024, MUCH = 1 << 16 };

/* out <- in, or all of it <- *in where step is 0; past the caches; lanes_fence is the caller's. */
static void stream(void *out, const void *in, int64_t bytes, int step)
{
    char *to = out;
    const char *from = in;
    int64_t at = (int64_t)(-(uintptr_t)to % LINE);
    at = at < bytes ? at : bytes;
    memcpy(to, from, (size_t)at);
    for (from += at * step; at + LINE <= bytes; at += LINE, from += LINE * step)
        lanes_stream(to + at, from);
    memcpy(to + at, from, (size_t)(bytes - at));
}

void cpu_fill(float *x, int64_t n, float value)
{
    if (n < HUGE) {
#pragma omp parallel for simd if (parallel : n >= PARALLEL)
        for (int64_t i = 0; i < n; i++)
            x[i] = value;
        return;
    }
    float line[LINE];
    for (int i = 0; i < LINE; i++)
        line[i] = value;
#pragma omp parallel
    {
#pragma omp for nowait
        for (int64_t i = 0; i < n; i += MUCH)
            stream(x + i, line, min64(MUCH, n - i) * (int64_t)sizeof *x, 0);
        lanes_fence();
    }
}

/* A long memset writes past the caches by itself, if it is one call. */
void cpu_zero(float *x, int64_t n)
{
#pragma omp parallel if (n >= PARALLEL)
    {
        const int64_t share = ceil_div(n, (int64_t)LINE * omp_get_num_threads()) * LINE, from = share * omp_get_thread_num();
        if (from < n)
            memset(x + from, 0, (size_t)min64(share, n - from) * sizeof *x);
    }
}

void cpu_copy(float *out, const float *x, int64_t n)
{
#pragma omp parallel if (n >= PARALLEL)
    {
#pragma omp for nowait
        for (int64_t i = 0; i < n; i += SOME) {
            const int64_t bytes = min64(SOME, n - i) * (int64_t)sizeof *x;
            if (n < HUGE)
                memcpy(out + i, x + i, (size_t)bytes);
            else
                stream(out + i, x + i, bytes, 1);
        }
        lanes_fence();
    }
}

/* n <= SOME */
static void narrow(uint16_t *out, const float *x, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const uint32_t bits = simd_bits(x[i]), even = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        const uint32_t nan = bits >> 16 | (bits & 0x7f0000 ? 0 : 0x40);
        out[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? nan : even);
    }
}

static void widen(float *out, const uint16_t *x, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        out[i] = simd_from_bits(bf16_widen(x[i]));
}

void cpu_to_bf16(uint16_t *out, const float *x, int64_t n)
{
#pragma omp parallel if (n >= PARALLEL)
    {
#pragma omp for nowait
        for (int64_t i = 0; i < n; i += SOME) {
            uint16_t some[SOME];
            const int64_t m = min64(SOME, n - i);
            narrow(n < HUGE ? out + i : some, x + i, m);
            if (n >= HUGE)
                stream(out + i, some, m * (int64_t)sizeof *out, 1);
        }
        lanes_fence();
    }
}

void cpu_from_bf16(float *out, const uint16_t *x, int64_t n)
{
#pragma omp parallel if (n >= PARALLEL)
    {
#pragma omp for nowait
        for (int64_t i = 0; i < n; i += SOME) {
            float some[SOME];
            const int64_t m = min64(SOME, n - i);
            widen(n < HUGE ? out + i : some, x + i, m);
            if (n >= HUGE)
                stream(out + i, some, m * (int64_t)sizeof *out, 1);
        }
        lanes_fence();
    }
}
