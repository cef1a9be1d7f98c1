#include "io/ckpt/saveparts.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/fault.h"
#include "io/base/agree.h"

void (*ckpt_phase_hook)(int phase);

void save_hook(int phase)
{
    if (ckpt_phase_hook)
        ckpt_phase_hook(phase);
}

bool save_layout(Layout *l, MPI_Comm comm, const Piece *p, int n, Err *e)
{
    int rank;
    bool ok = true;
    MPI_Comm_rank(comm, &rank);
    if (rank == 0)
        ok = layout_make(l, p, n, e);
    if (!err_agree(comm, ok, e))
        return false;
    MPI_Bcast(&l->tensors, 1, MPI_INT, 0, comm);
    if (rank)
        l->tensor = calloc((size_t)l->tensors + 1, sizeof *l->tensor);
    CHECK(l->tensor, "no memory for a table of %d tensors", l->tensors);
    MPI_Bcast(&l->bytes, 1, MPI_INT64_T, 0, comm);
    MPI_Bcast(l->tensor, l->tensors * (int)sizeof *l->tensor, MPI_BYTE, 0, comm);
    return true;
}

uint64_t *save_hashes(const Layout *l, int rank, int size)
{
    const int64_t blocks = save_blocks(l);
    const int64_t n = rank ? tensors_share(blocks, rank + 1, size) - tensors_share(blocks, rank, size) : blocks;
    uint64_t *block = calloc((size_t)n + 1, sizeof *block);
    CHECK(block, "no memory for %" PRId64 " hashes", n);
    return block;
}

bool save_make(const Commit *c, const Layout *l, uint64_t *words, Err *e)
{
    if (!commit_begin(c, e))
        return false;
    save_hook(CKPT_MKDIR);
    FAULT("mkdir");
    return !FAILS("mkdir", e) && layout_write(l, c->file, words, e);
}

bool save_collect(MPI_Comm comm, const Layout *l, TensorSums *sums, uint64_t read, uint64_t *block, const char *path, Err *e)
{
    uint64_t mine[4] = { sums->words, read, sums->weights, sums->moments }, all[4];
    const int64_t blocks = save_blocks(l);
    int rank, size;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    int *count = calloc((size_t)size * 2, sizeof *count), *first = count + size;
    CHECK(count, "no memory for a list of %d ranks", size);
    for (int r = 0; r < size; r++) {
        first[r] = (int)tensors_share(blocks, r, size);
        count[r] = (int)tensors_share(blocks, r + 1, size) - first[r];
    }
    MPI_Gatherv(rank ? block : MPI_IN_PLACE, count[rank], MPI_UINT64_T, block, count, first, MPI_UINT64_T, 0, comm);
    free(count);
    MPI_Allreduce(mine, all, 4, MPI_UINT64_T, MPI_SUM, comm);
    *sums = (TensorSums){ all[0], all[2], all[3] };
    return all[0] == all[1] || err_set(e, EXIT_IO, path, "the file system, or how several nodes share a file on it, is not to be trusted",
                                       "what lies on the disk is not what was written");
}

bool save_commit(const Commit *c, const CkptMeta *meta, const Layout *l, const uint64_t *block, Err *e)
{
    const Manifest m = { .meta = *meta, .tensor = l->tensor, .tensors = l->tensors, .bytes = l->bytes, .blocks = save_blocks(l),
                         .block = (uint64_t *)block };
    if (!commit_manifest(c, &m, e))
        return false;
    save_hook(CKPT_MANIFEST);
    FAULT("manifest");
    if (FAILS("manifest", e) || !commit_publish(c, e))
        return false;
    save_hook(CKPT_RENAME);
    FAULT("rename");
    if (FAILS("rename", e))
        return false;
    commit_clear(c);                        /* after an exchange: the older checkpoint of the same step */
    commit_latest(c);
    save_hook(CKPT_LATEST);
    FAULT("latest");
    commit_best(c, meta->step);             /* before the one that had the name may go */
    FAULT("best");
    commit_prune(c, meta->step);
    return true;
}
