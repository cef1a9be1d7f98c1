/*
 * bits.h -- a number for the bits of tensors, independent of order, grid and threads
 *
 *     bits_sum = sum over i of rng_bits(bits of x[i], stream, first + i)      modulo 2^64
 *
 * A tensor's stream is rng_stream(its name), an element's index is the global, row-major one.  So the sums of pieces add
 * up to the sum of the tensor however it is cut, and sums of tensors to the fingerprint of a model (params_fingerprint, and
 * of a checkpoint, io/ckpt): the same from memory as from a file.
 *
 * Local; on the calling thread alone, any thread.  Tests: tests/core/test_param.c
 */
#pragma once
#include "core/base.h"

/* Of n elements that lie side by side in the tensor, the first of them element `first`. */
uint64_t bits_sum(uint64_t stream, int64_t first, const float *x, int64_t n);
