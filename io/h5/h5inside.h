/*
 * h5inside.h -- what h5.c and h5chunk.c share; nobody else includes it
 */
#pragma once
#include <hdf5.h>

#include "io/base/files.h"
#include "io/h5/h5.h"

struct H5 {
    hid_t    file;
    MPI_Comm comm;
    bool     created;
    bool     broken;                    /* a write failed: HDF5 must not touch the file again */
    int64_t  end;                       /* how far space is reserved */
    char     path[PATH_ROOM];
};

/* "what" about an object of the file; HDF5's own innermost message becomes `got`.  Returns false. */
bool  h5_fail(const H5 *h, Err *e, int code, const char *name, const char *what);
/* The end of every step of writing: agrees, and remembers a failure.  Collective. */
bool  h5_wrote(H5 *h, bool ok, Err *e);
/* Reserves space on the disk for `bytes` more bytes and the metadata that come with them.  Local. */
bool  h5_reserve(H5 *h, const char *name, int64_t bytes, Err *e);
/* Transfer properties: collective where the file has a communicator.  The caller closes them. */
hid_t h5_transfer(const H5 *h);
