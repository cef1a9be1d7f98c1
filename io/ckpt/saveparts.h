/*
 * saveparts.h -- the parts of a save that are the same whoever has the numbers: a saver's memory (saver.h), or a stream (ckptstream.h)
 *
 * save_layout and save_collect: collective over comm, agreed.  save_make and save_commit: rank 0's, any thread; they pass the points
 * of ckpt_phase_hook and of fault.h.
 * Tests   tests/io/ckpt/test_ckpt_faults.c, tests/io/ckpt/test_ckptstream.c
 */
#pragma once
#include "io/ckpt/commit.h"
#include "io/ckpt/layout.h"
#include "io/ckpt/tensors.h"

/* Rank 0 lays the file out and tells where each tensor lies.  layout_close in either case. */
bool save_layout(Layout *l, MPI_Comm comm, const Piece *p, int n, Err *e);
static inline int64_t save_blocks(const Layout *l) { return ceil_div(l->bytes, HASH_BLOCK); }
/* Memory for the hashes of this rank's share of the blocks; on rank 0 for all. */
uint64_t *save_hashes(const Layout *l, int rank, int size);

void save_hook(int phase);
/* The temporary folder, and in it the file without its tensors. */
bool save_make(const Commit *c, const Layout *l, uint64_t *words, Err *e);
/* Was what all ranks read back (read) what they wrote (*sums, which becomes the sum of all)?  Rank 0 gets all hashes. */
bool save_collect(MPI_Comm comm, const Layout *l, TensorSums *sums, uint64_t read, uint64_t *block, const char *path, Err *e);
/* Manifest, rename, `latest`, older ones. */
bool save_commit(const Commit *c, const CkptMeta *meta, const Layout *l, const uint64_t *block, Err *e);
