/*
 * local.h -- what one rank saved on its node's own disk: the first tier of checkpoints
 *
 *     LOCAL/asvr-RUN/step-00000100.4f1c...9a.rank-00003      RUN names a run's folder: no other run believes it; then the life of
 *                                                            the run that kept it (lease.h): of two lives nothing is mixed
 *
 *     head        magic, sizes, CkptMeta, sums, hash of head and tables
 *     tables      extents {offset in tensors.h5, bytes, XXH64}; and of rank 0 the tensors and HDF5's own bytes (layout.h)
 *     data        the extents one behind the other
 *
 * in this machine's byte order: a node reads what it wrote.  The parts of all ranks of a step make up the bytes of its tensors.h5,
 * so any grid can carry them into the run's folder, where they become an ordinary checkpoint; nothing else reads them.
 *
 * Local, any thread.  Failing disk: EXIT_IO; damaged: EXIT_DATA.  Tests: tests/io/ckpt/test_local.c
 */
#pragma once
#include "io/ckpt/layout.h"
#include "io/ckpt/saveplan.h"
#include "io/ckpt/tensors.h"

/* One rank's part, opened. */
typedef struct {
    int      fd, rank, size;            /* of the grid that saved */
    CkptMeta meta;
    TensorSums sums;                    /* its share of them */
    int64_t  bytes;                     /* of tensors.h5 */
    int      extents, tensors;          /* tensors: of rank 0 alone */
    struct LocalExtent *extent;
    CkptTensor *tensor;
    Extent  *own;                       /* of rank 0: HDF5's bytes around the tensors, (owns) */
    int      owns;
} LocalPart;

/* What goes into it.  data(i) of the plan's part i; layout's extents go with rank 0. */
typedef struct {
    int             rank, size;
    uint64_t        life;
    const CkptMeta *meta;
    const Layout   *layout;
    const SavePlan *plan;
    const float    *stage;
} LocalSource;

/* Writes dir/step-N.LIFE.rank-R, durable, by a temporary name; adds up the sums. */
bool local_write(const char *dir, const LocalSource *s, TensorSums *sums, Err *e);
/* Opens a part and checks its head and tables.  local_close in either case. */
bool local_open(LocalPart *p, const char *dir, int64_t step, uint64_t life, int rank, Err *e);
void local_close(LocalPart *p);
/* Its extents but HDF5's, each checked against its hash, to their places in tensors.h5. */
bool local_carry(const LocalPart *p, int fd, const char *path, Err *e);
/* Removes this node's parts of steps before `newest`, but `other`'s; of other lives those before `first`, the first step that this
   one kept: a life that is fenced and does not know it yet takes nothing from the later one.  Failures do no harm. */
void local_prune(const char *dir, uint64_t life, int64_t newest, int64_t other, int64_t first);
/* Removes all parts, and the folder. */
void local_forget(const char *dir);
/* Removes what a dead life was writing. */
void local_clean(const char *dir);

/* What lies in dir, in any order, to be freed; a folder that is not there has nothing. */
typedef struct { int64_t step; uint64_t life; int rank; } LocalName;
bool local_list(const char *dir, LocalName **list, int *n, Err *e);
