/*
 * vectors.h -- core/cpu is compiled once for each kind of vectors (LEVELS in the Makefile); the processor chooses when the program runs
 *
 *     ARCH=native and other names of one processor     base                    what the compiler makes of -march
 *     ARCH=x86-64, x86-64-v2                           base, avx2, avx512      the same sources with -mavx2 -mfma, and with AVX-512's F, BW, DQ, VL
 *     ARCH=x86-64-v3                                   base, avx512
 *
 * Each level is one object whose only global symbol is its table, cpu_ops_LEVEL.  Bits differ between levels, as they do between processors.
 * Ops.name says which it is: avx512, avx2, sse, neon, plain.
 *
 * Local.  Tests: tests/core/test_vectors.c
 */
#pragma once
#include "core/ops.h"

/* How many levels this processor runs, one at least; vectors_ops (ops.h) is the table of the last of them. */
int vectors_levels(void);
/* From here on at most so many (1 ..): ranks of one run take the same, whatever their nodes have (launch/room.c). */
void vectors_limit(int levels);

/* What the flags of a level need. */
static inline bool vectors_base(void) { return true; }
#if defined __x86_64__
static inline bool vectors_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static inline bool vectors_avx512(void)
{
    return vectors_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif
