#include "io/ckpt/ckptstream.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/fault.h"
#include "io/base/agree.h"
#include "io/ckpt/saveparts.h"

typedef struct {
    MPI_Comm     comm;
    int          rank, size;
    const Piece *piece;
    CkptRows    *rows;
    void        *with;
    Layout       layout;
    Commit       commit;
    TensorSums   sums;
    float       *buffer;
} Stream;

static int64_t cols_of(const Slice *s) { return slice_total(s) / max64(1, s->size[0]); }

static int64_t widest(const Stream *s)
{
    int64_t most = STREAM_FLOATS;
    for (int i = 0; i < s->layout.tensors; i++)
        most = max64(most, cols_of(&s->piece[i].slice));
    return most;
}

static bool put_rows(Stream *s, int fd, int i, int64_t first, int64_t last, Err *e)
{
    const Slice *whole = &s->piece[i].slice;
    const int64_t step = max64(1, STREAM_FLOATS / max64(1, cols_of(whole)));
    for (int64_t row = first; row < last; row += step) {
        const int64_t n = min64(step, last - row);
        const Slice part = slice_range(*whole, 0, row, n);
        if (!s->rows(s->with, i, row, n, s->buffer, e) || !tensors_write(fd, s->commit.file, &s->layout.tensor[i], &part, s->buffer, &s->sums, e))
            return false;
    }
    return true;
}

/* This rank's rows: those that begin in its share of all elements. */
static bool put_share(Stream *s, int fd, Err *e)
{
    int64_t all = 0, at = 0;
    for (int i = 0; i < s->layout.tensors; i++)
        all += slice_total(&s->piece[i].slice);
    const int64_t from = (int64_t)((__int128)all * s->rank / s->size), to = (int64_t)((__int128)all * (s->rank + 1) / s->size);
    for (int i = 0; i < s->layout.tensors; i++) {
        const int64_t cols = max64(1, cols_of(&s->piece[i].slice)), rows = s->piece[i].slice.size[0];
        const int64_t first = min64(rows, ceil_div(max64(0, from - at), cols)), last = min64(rows, ceil_div(max64(0, to - at), cols));
        if (first < last && !put_rows(s, fd, i, first, last, e))
            return false;
        at += rows * cols;
    }
    return true;
}

static bool write_share(Stream *s, Err *e)
{
    const int fd = file_open(s->commit.file, O_WRONLY);
    s->buffer = malloc((size_t)widest(s) * sizeof *s->buffer);
    CHECK(s->buffer, "no memory for %lld numbers", (long long)widest(s));
    bool ok = (fd >= 0 || file_error(e, s->commit.file, "open")) && put_share(s, fd, e) && (file_fsync(fd) || file_error(e, s->commit.file, "fsync"));
    if (fd >= 0 && !file_close(fd) && ok)
        ok = file_error(e, s->commit.file, "close");
    free(s->buffer);
    return ok && !FAILS("tensors", e);
}

static bool hash_share(const Stream *s, uint64_t *block, uint64_t *read, Err *e)
{
    const int64_t blocks = save_blocks(&s->layout), first = tensors_share(blocks, s->rank, s->size);
    const int fd = file_open(s->commit.file, O_RDONLY);
    const bool ok = (fd >= 0 || file_error(e, s->commit.file, "open")) &&
                    tensors_hash(fd, s->commit.file, s->layout.bytes, first, tensors_share(blocks, s->rank + 1, s->size) - first, block, read, e);
    if (fd >= 0)
        close(fd);
    return ok && !FAILS("hash", e);
}

static bool save(Stream *s, CkptMeta *meta, Err *e)
{
    uint64_t read = 0;
    bool ok = s->rank || save_make(&s->commit, &s->layout, &s->sums.words, e);
    if (!err_agree(s->comm, ok, e))
        return false;
    save_hook(CKPT_LAYOUT);
    FAULT("layout");
    if (!err_agree(s->comm, write_share(s, e), e))
        return false;
    save_hook(CKPT_TENSORS);
    FAULT("tensors");
    uint64_t *block = save_hashes(&s->layout, s->rank, s->size);
    ok = err_agree(s->comm, hash_share(s, block, &read, e), e) && save_collect(s->comm, &s->layout, &s->sums, read, block, s->commit.file, e);
    if (ok) {
        save_hook(CKPT_HASH);
        FAULT("hash");
        meta->fingerprint = s->sums.weights;
        meta->moments = s->sums.moments;
        ok = err_agree(s->comm, s->rank || save_commit(&s->commit, meta, &s->layout, block, e), e);
    }
    free(block);
    return ok;
}

bool ckpt_stream(MPI_Comm comm, const char *dir, const CkptMeta *m, const Piece *p, int n, CkptRows *rows, void *with, Err *e)
{
    Stream s = { .comm = comm, .piece = p, .rows = rows, .with = with };
    CkptMeta meta = *m;
    MPI_Comm_rank(comm, &s.rank);
    MPI_Comm_size(comm, &s.size);
    bool ok = save_layout(&s.layout, comm, p, n, e) && err_agree(comm, commit_names(&s.commit, dir, m->step, NULL, e), e);
    if (ok) {
        ok = save(&s, &meta, e);
        if (!ok && s.rank == 0)
            commit_clear(&s.commit);
    }
    layout_close(&s.layout);
    return ok;
}
