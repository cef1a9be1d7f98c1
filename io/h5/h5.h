/*
 * h5.h -- parallel HDF5 files: datasets written and read as Slices, collectively
 *
 * A rank hands over the Slice of the global array that it holds; HDF5 and MPI-IO put the pieces together, so
 * the file looks the same for any number of ranks.  Files are written with the newest format of HDF5 1.10,
 * whose metadata carry checksums.
 *
 * Every function that takes an Err is collective over the file's communicator unless it says Local: all ranks
 * call it in the same order and all return the same bool; on failure every rank has the Err of the lowest
 * rank that failed.  comm == MPI_COMM_NULL opens for this process alone, through plain POSIX, without MPI.
 * Main thread only (the library is not thread-safe).  Errors name file and dataset: EXIT_DATA where the
 * content is not what was asked for, EXIT_IO where the machine failed.
 *
 * Source  HDF5 reference manual; filter 32015 = zstd as registered with The HDF Group
 * Tests   tests/io/h5/test_h5.c (1 to 4 ranks)
 */
#pragma once
#include <mpi.h>

#include "core/slice.h"
#include "io/base/agree.h"

typedef struct H5 H5;

enum { H5_F32, H5_U8, H5_U16, H5_I32, H5_I64 };
/* Bytes of an element.  Local. */
int64_t h5_elem(int type);

/* Before MPI_Init: picks MPI-IO components that are known to write right (open-mpi/ompi#12718), stops HDF5
   from locking files, which parallel file systems refuse, and keeps it from touching at exit a file that could
   not be written.  What the user has set stays.  Local. */
void h5_environment(void);

H5 *h5_create(MPI_Comm comm, const char *path, Err *e);   /* truncates; NULL on failure */
H5 *h5_open(MPI_Comm comm, const char *path, Err *e);     /* to read; NULL on failure */
/* Frees h in any case.  A created file is on the disk (fsync) when this returns true.  After a failed write it
   returns false and leaves an empty file (and its handle: see h5.c), which the caller removes. */
bool h5_close(H5 *h, Err *e);
/* What was written so far is visible to any process that opens the file now. */
bool h5_flush(H5 *h, Err *e);

/* Creates dataset `name` ("/a/b": groups appear by themselves) of shape mine->size and writes each rank's
   elements, dense in data.  Slices may be empty.  chunk is a shape, cut to the array's, NULL = contiguous;
   zstd_level > 0 needs chunks.  An array without elements is stored contiguous. */
bool h5_write(H5 *h, const char *name, int type, const Slice *mine, const void *data, const int64_t *chunk,
              int zstd_level, Err *e);
/* The same in two steps.  HDF5 gives each chunk of a parallel file a placeholder when a dataset is made and writes chunks in the
   order of their placeholders; those of a dataset that is made after another was written fill the holes that its chunks left,
   in an order that depends on the number of ranks.  So a file whose bytes must not depend on it has all datasets made first. */
bool h5_make(H5 *h, const char *name, int type, const Slice *mine, const int64_t *chunk, int zstd_level, Err *e);
bool h5_fill(H5 *h, const char *name, int type, const Slice *mine, const void *data, Err *e);
/* Reads the elements of `want`, dense, into data.  Type and want->size must be the dataset's own. */
bool h5_read(H5 *h, const char *name, int type, const Slice *want, void *data, Err *e);
/* Local.  size has room for SLICE_DIMS entries. */
bool h5_shape(H5 *h, const char *name, int *type, int *dims, int64_t *size, Err *e);

/* Attributes of the root group.  Writing is collective with equal values; reading is Local.
   A string that does not fit into `size` bytes with its final zero is EXIT_DATA. */
bool h5_attr_write_str(H5 *h, const char *name, const char *value, Err *e);
bool h5_attr_write_i64(H5 *h, const char *name, int64_t value, Err *e);
bool h5_attr_read_str(H5 *h, const char *name, char *value, size_t size, Err *e);
bool h5_attr_read_i64(H5 *h, const char *name, int64_t *value, Err *e);
bool h5_attr_exists(H5 *h, const char *name);             /* Local */

/* ---- stored chunks: where their bytes lie, and a table of their hashes ---- */

/* One stored chunk; also one entry of a /hash dataset (compound with these field names). */
typedef struct {
    char     dataset[16];       /* without the leading slash */
    int64_t  row;               /* first row (index along dim 0) */
    int64_t  offset, size;      /* of the stored bytes in the file */
    uint64_t xxh64;             /* of the stored bytes, seed 0 */
} H5Chunk;

/* Local.  Rows per chunk, 0 for a contiguous dataset.  EXIT_DATA when a chunk does not span whole rows. */
bool h5_chunk_rows(H5 *h, const char *name, int64_t *rows, Err *e);
/* Local, of a file that this process has opened alone (MPI_COMM_NULL): what one rank reads through a common handle leaves the
   ranks' caches unlike.  Fills list[0 .. ceil(size[0] / rows)) in row order, all but xxh64, after h5_flush.  EXIT_DATA when a
   chunk is missing or was stored without the dataset's filters. */
bool h5_chunks(H5 *h, const char *name, H5Chunk *list, int64_t n, Err *e);
/* The table on rank 0 is written; n is the same on all ranks. */
bool h5_hash_write(H5 *h, const char *name, const H5Chunk *list, int64_t n, Err *e);
/* Local.  *list is malloc'ed; more than `most` entries are EXIT_DATA. */
bool h5_hash_read(H5 *h, const char *name, H5Chunk **list, int64_t *n, int64_t most, Err *e);

/* Writes a small striped file below dir, reads it back in other stripes and removes it: refuses an MPI-IO that
   corrupts data.  Collective over comm. */
bool h5_selftest(MPI_Comm comm, const char *dir, Err *e);
/* Fault injection: called on every rank when the file is written.  NULL outside tests. */
extern void (*h5_selftest_hook)(const char *path);
