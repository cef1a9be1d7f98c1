/*
 * ckptstream.h -- a checkpoint of what nobody holds: each rank asks for its rows, a few MiB at a time, and writes them
 *
 *     ckpt_stream(comm, "RUN/ckpt", &meta, p, n, rows, with, e);
 *
 * As ckpt_save, but that a piece has no data, and its slice is the whole tensor: rows(with, i, row, n, x) fills rows [row, row + n) of
 * piece i.  The elements of all tensors are divided among the ranks in the file's order, cut at rows, so a rank's memory is one
 * buffer whatever the model's size, and each writes one long stretch.  What is written is read back and hashed, and appears whole or
 * not at all (ckpt.h).  rows is Local, called on the main thread; its errors are agreed.
 *
 * Collective over comm, agreed.  Errors  those of rows; the disk's: EXIT_IO
 * Tests   tests/io/ckpt/test_ckptstream.c (the same bytes as ckpt_save, on 1, 2 and 4 ranks), tests/launch/hf.sh
 */
#pragma once
#include "io/ckpt/ckpt.h"

enum { STREAM_FLOATS = 4 << 20 };       /* of the buffer; more only where one row has more */

typedef bool CkptRows(void *with, int i, int64_t row, int64_t n, float *x, Err *e);

bool ckpt_stream(MPI_Comm comm, const char *dir, const CkptMeta *m, const Piece *p, int n, CkptRows *rows, void *with, Err *e);
