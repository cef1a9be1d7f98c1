/*
 * layout.h -- where each tensor lies in tensors.h5, and HDF5's own bytes around them, worked out in memory
 *
 * A write that fails on one rank inside parallel HDF5 leaves the others in a collective call for ever, and a close
 * that fails (a full disk) leaves a library that crashes at exit.  A checkpoint must survive both.  So HDF5 writes its
 * bookkeeping, a few KiB, into a sparse file in memory; what is not a hole of it is kept, and every save of the same tensors
 * writes it again, by whatever thread.  Any HDF5 reader opens the result.
 *
 * Source  HDF5 file format specification 3.0, section IV.A.2.i (contiguous layout)
 * Tests   tests/io/ckpt/test_ckpt.c
 */
#pragma once
#include "io/ckpt/ckpt.h"

typedef struct { int64_t offset, bytes; char *data; } Extent;

typedef struct {
    CkptTensor *tensor;                 /* (tensors) with their offsets */
    int         tensors;
    int64_t     bytes;                  /* of the file */
    Extent     *extent;                 /* (extents) of HDF5; none on other ranks than 0 */
    int         extents;
} Layout;

/* Lays out the tensors of these pieces, of which only names and shapes are looked at.  layout_close in either case.  A name that comes
   again behind another: EXIT_INTERNAL.  HDF5: main thread only.  Local. */
bool layout_make(Layout *l, const Piece *p, int n, Err *e);
void layout_close(Layout *l);
/* Makes the file at path, all but the tensors, and reserves its space; adds to *sum (tensors.h).  Local, any thread. */
bool layout_write(const Layout *l, const char *path, uint64_t *sum, Err *e);
