/*
 * bf16_tile.h -- products of bf16 tiles by oneDNN's matmul: what knows the library
 *
 *     c (m,n) = a b, or += :  a (m,k), or stored as (k,m);  b (k,n), or stored as (n,k);  all dense, sums in fp32
 *
 * m, n and k are multiples of TILE_STEP, up to TILE_M, TILE_N and TILE_K: so there is a bounded number of oneDNN's primitives.
 * Each takes a fraction of a millisecond to make, before threads need it, and is kept until the program ends.  It is one thread's,
 * with scratch of the caller's: what oneDNN itself allocates when it is called are its arguments, some hundred bytes.
 *
 * Two files have these functions: bf16_onednn.c, and where the library is not there bf16_none.c (Makefile).  oneDNN must take OpenMP's
 * number of threads for its own: TBB's or SYCL's it would not be kept to one.
 * Local.  Source: oneDNN 2.6 and 3.6, "Matrix Multiplication".  Tests: tests/core/test_bf16.c
 */
#pragma once
#include "core/base.h"

enum { TILE_STEP = 64, TILE_M = 512, TILE_N = 512, TILE_K = 256 };

/* How a and b are stored: (m,k) (n,k);  (m,k) (k,n);  (k,m) (k,n). */
typedef enum { TILE_FWD, TILE_DX, TILE_DW, TILE_KINDS } TileKind;

const char *bf16_tile_absent(void);             /* as bf16_absent, bf16_by (bf16.h) */
const char *bf16_tile_by(void);
/* For so many threads.  Returns the bytes of scratch that each of them brings. */
size_t bf16_tile_open(int threads);
/* c = and c += of this size can be asked for from here on.  Main thread, outside of parallel regions. */
void   bf16_tile_make(TileKind kind, int m, int n, int k);
/* By one of the threads that were opened for.  omp_get_max_threads() is 1, which oneDNN asks for. */
void   bf16_tile(int thread, float *c, const uint16_t *a, const uint16_t *b, TileKind kind, int m, int n, int k, bool add, void *scratch);
