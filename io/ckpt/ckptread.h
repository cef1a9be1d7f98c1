/*
 * ckptread.h -- reading a checkpoint: what is loaded is what was hashed, in one read
 *
 *     Ckpt *c = ckpt_open(comm, "RUN/ckpt/step-00000100", e);         the manifest; no byte of a tensor
 *     ckpt_fill(c, p, n, CKPT_WANTED, e);                             slices, on any grid
 *     ckpt_close(c);
 *
 * A fill reads the 1-MiB blocks of tensors.h5 that its slices touch, in the order of the file, several at once, compares
 * each with the manifest's hash and copies what is wanted out of the very buffer that was hashed; no block twice.  HDF5
 * never parses a checkpoint: offsets come from the manifest, whose own hash is compared first.
 *
 * One judge.  Which checkpoint there is, is rank 0's verdict, broadcast; every failure is agreed (agree.h), so that damage
 * which one rank alone sees is damage for all.  ckpt_choose tries the newest first; one that turns out damaged while it is
 * used is passed over with a warning, and the next older one is tried.
 *
 * Collective over the handle's communicator unless it says Local; MPI_COMM_NULL: this process alone, without MPI.
 * Errors  damaged or unfitting: EXIT_DATA; disk: EXIT_IO; no valid one left among several: EXIT_IO
 * Tests   tests/io/ckpt/test_ckpt.c, tests/io/ckpt/test_ckptread.c, tests/launch/resume.sh, tests/launch/verify.sh
 */
#pragma once
#include "io/ckpt/ckpt.h"

typedef struct Ckpt Ckpt;

/* Rank 0 reads the manifest, all parse it; tensors.h5 must have its size.  NULL on failure. */
Ckpt *ckpt_open(MPI_Comm comm, const char *path, Err *e);
/* Local; NULL is nothing to close. */
void  ckpt_close(Ckpt *c);

/* Local. */
const CkptMeta   *ckpt_meta(const Ckpt *c);
const char       *ckpt_path(const Ckpt *c);
const CkptTensor *ckpt_tensors(const Ckpt *c, int *n);                  /* in the manifest's order */
const CkptTensor *ckpt_find(const Ckpt *c, const char *name);           /* NULL: there is none */
/* Did an operation on it find damage, or could it not be read?  The same on all ranks. */
bool              ckpt_damaged(const Ckpt *c);

/* Fills data of each piece (`write` is not looked at).  A missing tensor or another shape: EXIT_DATA, before anything is
   read, and not damage.  CKPT_WHOLE: blocks that no rank's slices touch are read and compared too, divided over the ranks. */
enum { CKPT_WANTED, CKPT_WHOLE };
bool ckpt_fill(Ckpt *c, const Piece *p, int n, int how, Err *e);

/* What the tensors add up to: of weights as CkptMeta.fingerprint, of /m and /v as CkptMeta.moments. */
typedef struct { uint64_t weights, moments; } CkptSums;
/* Of the pieces that have `write` set: add up over ranks.  Local. */
CkptSums ckpt_sums(const Piece *p, int n);
/* Reads every byte, each rank its share of the blocks: hashes, both sums, the files beside it. */
bool ckpt_verify(Ckpt *c, Err *e);
/* The files beside it alone. */
bool ckpt_verify_beside(Ckpt *c, Err *e);

/* Tries a checkpoint; false: passed over if it is damaged now, else the error is final.  The same on all ranks. */
typedef bool CkptUse(void *with, Ckpt *c, Err *e);
/* The newest checkpoint of dir that opens and that `use` (may be NULL) takes, in *out, to be closed.  True with NULL when
   there is none at all (a fresh start); false when `use` refused one, when some exist but none is valid (EXIT_IO, each
   named), or the newest is of a newer format (EXIT_DATA).  Every one passed over is warned of.  Where one vanished in the
   meantime (a running job removed it), the folder is read once more. */
bool ckpt_choose(MPI_Comm comm, const char *dir, CkptUse *use, void *with, Ckpt **out, Err *e);

/* Fingerprints of the checkpoint at `named`, or of all those of a run or its ckpt folder, as their manifests say them;
   returns how many, 0 where there is none.  Local. */
bool ckpt_fingerprint(const char *path, uint64_t *out);         /* of one checkpoint's folder; false: it is none */
int ckpt_fingerprints(const char *named, uint64_t *out, int cap);

/* Bytes of tensors.h5 that this process has read.  A figure for tests and reports. */
extern int64_t ckpt_read_bytes;
/* Fault injection: true makes the point fail on the rank that is asked.  NULL outside tests. */
enum { CKPT_AT_LIST, CKPT_AT_MANIFEST, CKPT_AT_PARSE, CKPT_AT_OPEN, CKPT_AT_FITS, CKPT_AT_READ, CKPT_AT_BESIDE, CKPT_POINTS };
extern bool (*ckpt_fail)(int point);
