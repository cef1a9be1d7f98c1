/*
 * ckptinside.h -- an open checkpoint, as the files of reading share it (ckptread.c, ckptscan.c, ckptverify.c, ckptchoose.c)
 */
#pragma once
#include "io/base/files.h"
#include "io/ckpt/ckptread.h"
#include "io/ckpt/manifest.h"

struct Ckpt {
    MPI_Comm    comm;
    int         rank, size;
    char        path[PATH_ROOM], file[PATH_ROOM];       /* tensors.h5 in path */
    Manifest    m;
    int        *by_name, *by_offset;                    /* tensors in these orders */
    int         fd;
    bool        damaged;
    char       *kept;                                   /* the last block that was compared, for the next fill */
    int64_t     kept_block;                             /* -1: none */
};

/* As ckpt_open; *newer: it failed because the format is newer than this program. */
Ckpt *ckpt_begin(MPI_Comm comm, const char *path, bool *newer, Err *e);

/* Gets bytes [at, at + n) of tensors.h5, within one block, compared. */
typedef void ScanTake(void *with, const char *bytes, int64_t at, int64_t n);
/* Reads the blocks that need (m.blocks) marks in the order of the file and hands each on.  Local. */
bool ckpt_scan(Ckpt *c, const unsigned char *need, ScanTake *take, void *with, Err *e);
/* The first of by_offset whose end lies behind byte `at`, from `from` on.  Local. */
int  ckpt_ends_behind(const Ckpt *c, int from, int64_t at);
/* Bytes of its elements. */
int64_t ckpt_bytes(const CkptTensor *t);

/* Does the point fail here?  Then e says so.  Local. */
bool ckpt_hurt(int point, Err *e);

void ckpt_who(MPI_Comm comm, int *rank, int *size);
void ckpt_bcast(MPI_Comm comm, void *x, size_t bytes);
