/*
 * blas.h -- the BLAS of this build (BLAS= in the Makefile), and how many threads it may take
 *
 * CBLAS itself is the same everywhere.  What OpenBLAS, MKL and BLIS each have a call of their own for is here.
 *
 * Local, main thread only.  Tests: tests/core/test_threads.c
 */
#pragma once
#include <stdbool.h>

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
/* Does it ask OpenMP for its threads, whatever blas_threads said? */
bool blas_of_openmp(void);
