#include "core/blas.h"

#include <omp.h>
#include <stdbool.h>
#include <stdint.h>

/* Of these at most one library's are there; the linker leaves the others NULL. */
__attribute__((weak)) void openblas_set_num_threads(int n);
__attribute__((weak)) int  openblas_get_parallel(void);
__attribute__((weak)) void MKL_Set_Num_Threads(int n);
__attribute__((weak)) void bli_thread_set_num_threads(int64_t n);

void blas_threads(int n)
{
    if (openblas_set_num_threads)
        openblas_set_num_threads(n);
    if (MKL_Set_Num_Threads)
        MKL_Set_Num_Threads(n);
    if (bli_thread_set_num_threads)
        bli_thread_set_num_threads(n);
}

/* Does it ask OpenMP for its threads, whatever blas_threads said?  The others have had one since ops_use. */
static bool of_openmp(void)
{
    enum { OPENMP = 2 };        /* OPENBLAS_OPENMP, in the header of OpenBLAS alone */
    if (openblas_get_parallel)
        return openblas_get_parallel() == OPENMP;
    return !MKL_Set_Num_Threads && !bli_thread_set_num_threads;
}

int blas_alone_start(void)
{
    const int threads = omp_get_max_threads();
    if (of_openmp())
        omp_set_num_threads(1);
    return threads;
}

void blas_alone_end(int threads)
{
    if (of_openmp())
        omp_set_num_threads(threads);
}
