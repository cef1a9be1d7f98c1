/*
 * blas.h -- the BLAS of this build (BLAS= in the Makefile), and how many threads it may take
 *
 * CBLAS itself is the same everywhere.  What OpenBLAS, MKL and BLIS each have a call of their own for is here.
 *
 * Local, main thread only.  Tests: tests/core/test_threads.c
 */
#pragma once
#if __has_include(<cblas.h>)
#include <cblas.h>
#elif __has_include(<mkl_cblas.h>)
#include <mkl_cblas.h>
#else
#include <armpl.h>
#endif
#undef I                        /* complex.h, by way of cblas.h, takes the letter that is a width here */

/* From here on a call that no parallel region makes has so many threads. */
void blas_threads(int n);
/* Between the two every sgemm runs on the thread that calls it.  start returns the number of threads, which parallel regions
   in between ask for by num_threads, and end restores. */
int  blas_alone_start(void);
void blas_alone_end(int threads);
