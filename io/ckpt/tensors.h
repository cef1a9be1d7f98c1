/*
 * tensors.h -- the bytes of tensors.h5 (layout.h): elements at their places, sums, hashes
 *
 *     sum = sum over i of weight(i) word[i]       word[i] the file's 4-byte words, weight(i) odd, modulo 2^64
 *
 * is added up by the writers from memory and again by the readers from the file: independent of order and grid,
 * it says that what lies on the disk is what was meant, through caches, networks and shared pages.
 *
 * Local, any thread; HDF5 is not used.  Failing system: EXIT_IO.
 * Tests   tests/io/ckpt/test_ckpt.c
 */
#pragma once
#include "io/ckpt/ckpt.h"

enum { HASH_BLOCK = 1 << 20 };                  /* bytes a hash covers */
#define TENSORS_NAME "tensors.h5"

/* words: the sum above; weights, moments: of the fingerprints (core/bits.h), a weight's stream is its name without "weights/". */
typedef struct { uint64_t words, weights, moments; } TensorSums;

/* n elements that lie side by side in the tensor, the first of them element `at`. */
void tensors_add(TensorSums *sums, const CkptTensor *t, const float *data, int64_t at, int64_t n);
/* The slice's elements, dense in data, to their places; what is written is added to *sums.  s->size is t's shape. */
bool tensors_write(int fd, const char *path, const CkptTensor *t, const Slice *s, const float *data, TensorSums *sums, Err *e);
/* The sum over n words, the first of them word `first` of the file; a last part of a word is filled with zeros. */
uint64_t tensors_sum(const void *data, int64_t bytes, int64_t first);

/* Hashing is divided among ranks: rank's first block; the last one is in front of rank + 1's first. */
int64_t tensors_share(int64_t blocks, int rank, int size);
/* XXH64 of n blocks of an open file of `bytes`, the first of them block `first`, into hash (n); their share of the
   sum is added to *sum unless it is NULL. */
bool tensors_hash(int fd, const char *path, int64_t bytes, int64_t first, int64_t n, uint64_t *hash, uint64_t *sum, Err *e);
