/*
 * ckpt.h -- a checkpoint: every tensor under its name in its global shape, committed or not there at all
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
 * One judge.  Which checkpoint exists and is valid is rank 0's verdict, broadcast.  Hashing is divided over the
 * ranks.  HDF5 never parses a checkpoint: offsets come from the manifest, whose hash and the file's are compared first.
 *
 * Resharding.  A piece is a Slice: saving writes my slices, loading reads the slices I want, on any grid.
 *
 *     Piece p[] = { { "weights/decoder.3.attn.wq", param_slice(&t, i), w + t.p[i].offset, dp_rank == 0 } };
 *     ckpt_save(comm, "RUN/ckpt", &meta, p, 1, 3, e);
 *     ckpt_newest(comm, "RUN/ckpt", path, sizeof path, &meta, e) && *path && ckpt_load(comm, path, p, 1, e);
 *
 * Errors  damaged or unfitting: EXIT_DATA; disk: EXIT_IO; no valid one left among several: EXIT_IO
 * Source  Pillai et al., "All file systems are not created equal", OSDI 2014 (why each fsync)
 * Tests   tests/io/ckpt/test_ckpt.c, tests/io/ckpt/test_ckpt_faults.c, tests/io/ckpt/test_manifest.c
 */
#pragma once
#include "core/slice.h"
#include "io/base/err.h"

#include <mpi.h>

enum { CKPT_VERSION = 2, CKPT_NAME = 96 };

/* One tensor's part on this rank.  All ranks give the same names and global shapes in the same order. */
typedef struct {
    const char *name;               /* "weights/decoder.3.attn.wq", "m/...", "v/..." */
    Slice       slice;              /* this rank's part; may be empty */
    float      *data;               /* dense; NULL if the part is empty */
    bool        write;              /* false: another rank holds the same and writes it */
} Piece;

typedef struct {
    int64_t  step;
    uint64_t seed, config_hash;
    uint64_t fingerprint;           /* of the whole model, computed by the caller */
    int      dp, tp;                /* the grid at save, for the record */
    char     stage[16];
    char     data[64];              /* the caller's identity of the data set */
    char     init[288];             /* the caller's identity of the weights it started from; "" in version 1 */
    int      version;               /* of the format, in a loaded one */
    int64_t  global_batch, samples; /* the data cursor is step * global_batch */
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

/* The newest valid checkpoint of dir.  True with path "" when there is none at all (a fresh start); false when some
   exist but none is valid (EXIT_IO, each named) or the newest is of a newer format (EXIT_DATA).  Every one
   passed over is warned of.  Collective over comm, agreed. */
bool ckpt_newest(MPI_Comm comm, const char *dir, char path[], size_t cap, CkptMeta *m, Err *e);

/* Validates the checkpoint at path whole and reads its meta data.  Collective over comm, agreed. */
bool ckpt_open_meta(MPI_Comm comm, const char *path, CkptMeta *m, Err *e);

/* The tensors of a checkpoint, on every rank; the caller frees *list.  Collective over comm, agreed. */
bool ckpt_tensors(MPI_Comm comm, const char *path, CkptTensor **list, int *n, Err *e);

/* Whether such a list has a tensor of this name. */
bool ckpt_has(const CkptTensor *list, int n, const char *name);

/* Fills data of each piece (`write` is not looked at); validates first what this process has not validated yet.
   A missing tensor or another shape: EXIT_DATA, before anything is read.  Collective over comm, agreed. */
bool ckpt_load(MPI_Comm comm, const char *path, const Piece *p, int n, Err *e);

/* As ckpt_open_meta, for one process without MPI.  Local. */
bool ckpt_verify(const char *path, CkptMeta *m, Err *e);

/* Fingerprints of the checkpoint at `named`, or of all those of a run or its ckpt folder, as their manifests say them; returns how
   many, 0 where there is none.  Local. */
int  ckpt_fingerprints(const char *named, uint64_t *out, int cap);

/* What stands between a save and its commit: rank 0 asks `may` before each rename, `latest` and pruning; `tag` is in the names of
   what is made aside. */
typedef struct { bool (*may)(void *ctx, Err *e); void *ctx; const char *tag; } CkptFence;
extern CkptFence ckpt_fence;

/* Removes what dead jobs left in dir (.tmp-*).  Local: rank 0 of the job that holds the run's lock. */
void ckpt_clean(const char *dir);

/* Gets each warning, on rank 0; log_warn unless launch sets another. */
extern void (*ckpt_warn)(const char *message);

/* Fault injection: called on every rank after each phase of a save.  NULL outside tests. */
enum { CKPT_MKDIR, CKPT_LAYOUT, CKPT_TENSORS, CKPT_HASH, CKPT_MANIFEST, CKPT_RENAME, CKPT_LATEST, CKPT_PRUNE, CKPT_PHASES };
extern void (*ckpt_phase_hook)(int phase);
