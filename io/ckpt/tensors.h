/*
 * tensors.h -- tensors.h5 of a checkpoint: HDF5 lays the file out in memory, every byte reaches the disk by pwrite
 *
 * A write that fails on one rank inside parallel HDF5 leaves the others in a collective call for ever, and a close
 * that fails (a full disk) leaves a library that crashes at exit.  A checkpoint must survive both.  So HDF5 writes its
 * bookkeeping, a few KiB, into a sparse file in memory; that is copied; each rank then writes its slices at the
 * offsets that HDF5 gave the datasets.  Reading uses the offsets in the manifest.  Any HDF5 reader opens the file.
 *
 *     sum = sum over i of mix(i, word[i])       word[i] the file's 4-byte words, mix(i, 0) = 0, modulo 2^64
 *
 * is added up by the writers from memory and again by the readers from the file: independent of order and grid,
 * it says that what lies on the disk is what was meant, through caches, networks and shared pages.
 *
 * Local.  Failing system: EXIT_IO.  Source  HDF5 file format specification 3.0, section IV.A.2.i (contiguous layout)
 * Tests   tests/io/ckpt/test_ckpt.c
 */
#pragma once
#include "io/ckpt/ckpt.h"

enum { HASH_BLOCK = 1 << 20 };                  /* bytes a hash covers */
#define TENSORS_NAME "tensors.h5"

/* Creates the file at path, all but the elements, reserves its space, fills in offsets; bytes = its size.  HDF5: main
   thread only. */
bool tensors_layout(const char *path, CkptTensor *t, int n, int64_t *bytes, uint64_t *sum, Err *e);
/* The slice's elements, dense in data, to their places.  s->size is t's shape. */
bool tensors_write(int fd, const char *path, const CkptTensor *t, const Slice *s, const float *data, uint64_t *sum, Err *e);
/* The sum over n words, the first of them word `first` of the file; a last part of a word is filled with zeros. */
uint64_t tensors_sum(const void *data, int64_t bytes, int64_t first);

/* Hashing is divided among ranks: rank's first block; the last one is in front of rank + 1's first. */
int64_t tensors_share(int64_t blocks, int rank, int size);
/* XXH64 of n blocks of an open file of `bytes`, the first of them block `first`, into hash (n); their share of the
   sum is added to *sum unless it is NULL. */
bool tensors_hash(int fd, const char *path, int64_t bytes, int64_t first, int64_t n, uint64_t *hash, uint64_t *sum, Err *e);
