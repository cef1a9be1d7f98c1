/*
 * slice.h -- which elements of a global array are here
 *
 * A Slice is a regular rectangle of a global array of up to 4 dims: per dim, `count` blocks of `block`
 * elements, `stride` apart, the first at `start`.  That is HDF5's hyperslab, ScaLAPACK's block-cyclic piece
 * (block = nb, stride = nb * processes) and a plain slice (count = 1).  A local buffer holds the chosen
 * elements densely, row-major.  Resharding is copying between two lists of slices.
 *
 * Local; nothing fails but a bug (ASSERT).  Tests: tests/core/test_slice.c
 */
#pragma once
#include "core/base.h"

enum { SLICE_DIMS = 4, SHAPE_TEXT = 8 * 20 + 3 /* bytes of a shape of up to 8 dims as text */ };

typedef struct {
    int     dims;
    int64_t size[SLICE_DIMS];                   /* of the global array */
    int64_t start[SLICE_DIMS], stride[SLICE_DIMS], count[SLICE_DIMS], block[SLICE_DIMS];
} Slice;

Slice   slice_whole(int dims, const int64_t *size);
/* The part of `rank` among `ranks` equal contiguous parts along dim; size[dim] % ranks == 0. */
Slice   slice_part(Slice whole, int dim, int rank, int ranks);
/* Elements [start, start + n) along dim. */
Slice   slice_range(Slice whole, int dim, int64_t start, int64_t n);
int64_t slice_extent(const Slice *s, int dim);  /* chosen elements along dim */
int64_t slice_total(const Slice *s);            /* chosen elements in all */
/* n elements side by side: element `at` of the global array, row-major, is element `here` of the dense buffer. */
typedef struct { int64_t at, n, here; } SliceRun;
/* The slice's i-th such run; `at` and `here` grow with i.  False after the last. */
bool    slice_run(const Slice *s, int64_t i, SliceRun *r);
/* "(4096,4096)", as messages have it; returns out. */
const char *shape_text(char out[SHAPE_TEXT], int dims, const int64_t *size);
/* Copies the elements that both slices choose from src (dense in `from`) to dst (dense in `to`), elem bytes each;
   returns how many.  Both are slices of the same global array. */
int64_t slice_copy(void *dst, const Slice *to, const void *src, const Slice *from, size_t elem);
