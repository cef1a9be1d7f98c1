/*
 * prof.h -- counts what the arithmetic costs; prints nothing
 *
 * Ops that multiply matrices add their multiply-adds (two flops each) here; the caller's spans time phases.
 * Local, main thread only.
 */
#pragma once
#include "core/base.h"

extern double prof_flops;                         /* since the program started */
static inline void prof_gemm(int64_t m, int64_t n, int64_t k) { prof_flops += 2.0 * (double)m * (double)n * (double)k; }
