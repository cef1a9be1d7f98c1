/*
 * bf16.h -- products with a weight whose operands are rounded to bf16: three ops to lay over the others (train.compute = "bf16")
 *
 *     out = r(x) r(w)^T + b      dx = r(dout) r(w)      dw += r(dout)^T r(x)      db += sum_n dout
 *
 * r: to the nearest of 8 bits, ties to even.  Sums are of fp32, and so is everything that lies in memory: weights, the tape,
 * gradients.  A product of two roundings is exact in fp32, so what is lost is each operand's rounding, 2^-8 of it at most.
 * Subnormal operands are zeros, as AVX512-BF16 and AMX have it.
 *
 * Bits   a product is cut into tiles by its shape alone, a tile's sum is one thread's: the same for any number of threads
 * Memory each thread has two rounded pieces, a tile and oneDNN's scratch, some MiB, in an arena; a weight's 16 bits are never
 *        written to memory.  oneDNN's primitives for a shape are made when it is met for the first time, for any number of rows
 *
 * Local, main thread only.  The reference is OPS_REF_BF16 (core/ref/ref.h).
 * Source  oneDNN 2.6, 3.6 (docs/DECISIONS.md)
 * Tests   tests/core/test_bf16.c, tests/launch/bf16.sh
 */
#pragma once
#include "core/ops.h"

/* Why this program on this processor has no such products, in words; NULL: it has. */
const char *bf16_absent(void);
/* What the processor computes them with: "AVX512-BF16", "AMX". */
const char *bf16_by(void);
/* Before OPS_BF16 is called by up to so many threads.  Allocates, dies where bf16_absent says why. */
void bf16_open(int threads);

extern const Ops OPS_BF16;              /* three members and a name */
