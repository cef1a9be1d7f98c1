/*
 * ckpt.h -- a checkpoint: every tensor under its name in its global shape, committed or not there at all (reading: ckptread.h)
 *
 *     RUN/ckpt/step-00000100/tensors.h5       fp32, contiguous, the same on any process grid
 *         /weights/decoder.3.attn.wq  (C,C)       /m/...  /v/...  optimizer moments
 *     RUN/ckpt/step-00000100/manifest.json    step, seed, grid, tensors, a hash per MiB, a hash of itself (manifest.h)
 *     RUN/ckpt/latest                         the newest one's name: a hint, nobody trusts it
 *
 * Commit.  Everything goes to ckpt/.tmp-step-N; written, closed, fsynced, hashed; all ranks agree; rank 0 writes
 * the manifest (temporary file, fsync, rename), fsyncs the folder, renames it to step-N, fsyncs the parent; only
 * then `latest`; only then old ones go.  A directory without a whole, matching manifest does not exist.
 *
 * Resharding.  A piece is a Slice: saving writes my slices, loading reads the slices I want, on any grid.
 *
 *     Piece p[] = { { "weights/decoder.3.attn.wq", param_slice(&t, i), w + t.p[i].offset, dp_rank == 0 } };
 *     ckpt_save(comm, "RUN/ckpt", &meta, p, 1, 3, e);                  a run saves by saver.h
 *
 * Errors  the disk's: EXIT_IO
 * Source  Pillai et al., "All file systems are not created equal", OSDI 2014 (why each fsync)
 * Tests   tests/io/ckpt/test_ckpt.c, tests/io/ckpt/test_ckpt_faults.c, tests/io/ckpt/test_manifest.c
 */
#pragma once
#include "core/slice.h"
#include "io/base/err.h"

#include <mpi.h>
#include <string.h>

enum { CKPT_VERSION = 3, CKPT_NAME = 96, CKPT_NORMS = 32 };

/* One tensor's part on this rank.  All ranks give the same names and global shapes in the same order; who has several boxes of a
   tensor gives several pieces of its name, one behind the other, and all ranks as many. */
typedef struct {
    const char *name;               /* "weights/decoder.3.attn.wq", "m/...", "v/..." */
    Slice       slice;              /* this rank's part; may be empty */
    float      *data;               /* dense; NULL if the part is empty */
    bool        write;              /* it counts in ckpt_sums: of those that hold the same, one */
} Piece;

/* The first piece behind i that is of another tensor. */
static inline int piece_next(const Piece *p, int n, int i)
{
    const char *name = p[i].name;
    while (++i < n && !strcmp(p[i].name, name))
        ;
    return i;
}

/* Gradient norms of the last updates, the oldest first; each finite and above 0. */
typedef struct { int n; double norm[CKPT_NORMS]; } CkptNorms;

typedef struct {
    int64_t  step;
    uint64_t seed, config_hash;
    uint64_t fingerprint, moments;  /* of what lies under weights/, and of the rest: saving works them out */
    int      dp, tp;                /* the grid at save, for the record */
    char     stage[16];
    char     data[64];              /* the caller's identity of the data set */
    char     init[288];             /* the caller's identity of the weights it started from; "" in version 1 */
    char     beside[16];            /* a folder of RUN whose files belong to it ("hf"), hashed into the manifest; "": none */
    int      version;               /* of the format, in a loaded one */
    int64_t  global_batch, samples; /* the data cursor is step * global_batch */
    char     base[1024];            /* folders of the checkpoints that `init` names, with commas: what is not here is there; "": all is here */
    int      lora_rank;             /* of its low-rank pairs; 0: it has none */
    double   lora_alpha;
    CkptNorms norms;                /* none in a checkpoint from before there were any */
} CkptMeta;

typedef struct {
    char    name[CKPT_NAME];
    int     dims;
    int64_t size[SLICE_DIMS];
    int64_t offset;                 /* of its first element in tensors.h5, bytes */
} CkptTensor;

/* Saves; keeps the newest `keep` valid ones (0: all).  Collective over comm, agreed.  On failure the temporary
   directory is removed and older checkpoints are untouched.  Failing to write `latest` or to delete an old one
   is a warning: the checkpoint is safe by then. */
bool ckpt_save(MPI_Comm comm, const char *dir, const CkptMeta *m, const Piece *p, int n, int keep, Err *e);

/* Removes what dead jobs left in dir (.tmp-*).  Local: rank 0 of the job that holds the run's lock. */
void ckpt_clean(const char *dir);

/* Gets each warning, on rank 0; log_warn unless launch sets another. */
extern void (*ckpt_warn)(const char *message);

/* Fault injection: called on every rank after each phase of a save.  NULL outside tests. */
enum { CKPT_MKDIR, CKPT_LAYOUT, CKPT_TENSORS, CKPT_HASH, CKPT_MANIFEST, CKPT_RENAME, CKPT_LATEST, CKPT_PRUNE, CKPT_PHASES };
extern void (*ckpt_phase_hook)(int phase);
