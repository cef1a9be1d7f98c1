/*
 * ckpt_use.h -- a checkpoint opened, read in one way, closed: for the tests of checkpoints
 */
#pragma once
#include "io/ckpt/ckptread.h"

/* Every byte, as a resume reads it. */
static inline bool use_whole(void *with, Ckpt *c, Err *e)
{
    (void)with;
    return ckpt_fill(c, NULL, 0, CKPT_WHOLE, e);
}

/* Fills the pieces of the checkpoint at path. */
static inline bool load(MPI_Comm comm, const char *path, const Piece *p, int n, int how, Err *e)
{
    Ckpt *c = ckpt_open(comm, path, e);
    const bool ok = c && ckpt_fill(c, p, n, how, e);
    ckpt_close(c);
    return ok;
}

/* Whether verify finds it whole. */
static inline bool verifies(MPI_Comm comm, const char *path, Err *e)
{
    Ckpt *c = ckpt_open(comm, path, e);
    const bool ok = c && ckpt_verify(c, e);
    ckpt_close(c);
    return ok;
}
