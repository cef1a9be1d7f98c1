#include "io/set/readways.h"

#include <stdlib.h>
#include <unistd.h>

#include "io/base/agree.h"
#include "io/set/catalogueinside.h"
#include "io/set/frame.h"

/* Chunks [from, to) of the pixels of a file. */
static bool independent(const File *f, int64_t row_bytes, int64_t from, int64_t to, int threads, Err *e)
{
    const IndexShard *is = &f->index->shard[f->i];
    const int64_t raw = is->per[SHARD_PIXELS] * row_bytes;
    const int fd = shard_file_of(f, e);
    bool ok = fd >= 0;
#pragma omp parallel num_threads(threads)
    {
        IndexReader *r = index_reader_open();
        Frame frame;
        Err mine = { 0 };
        char *rows = malloc((size_t)raw);
        CHECK(rows, "no memory for a chunk of %lld bytes", (long long)raw);
        frame_open(&frame, is->max_stored);
#pragma omp for schedule(dynamic, 8)
        for (int64_t c = from; c < to; c++) {
            H5Chunk where;
            if (fd >= 0 && !mine.code && index_chunk(r, f->index, f->i, SHARD_PIXELS, c, &where, &mine))
                frame_read(&frame, fd, f->path, &where, rows, raw, &mine);
        }
#pragma omp critical
        if (mine.code) {
            *e = mine;
            ok = false;
        }
        frame_close(&frame);
        index_reader_close(r);
        free(rows);
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The same rows by HDF5. */
static bool collective(MPI_Comm comm, const File *f, int64_t from, int64_t to, int64_t row_bytes, Err *e)
{
    ShardArray a[SHARD_ARRAYS];
    index_layout(f->index, f->i, a);
    const ShardArray *px = &a[SHARD_PIXELS];
    const int64_t per = f->index->shard[f->i].per[SHARD_PIXELS], first = min64(from * per, px->size[0]), end = min64(to * per, px->size[0]);
    char *rows = malloc((size_t)max64(1, (end - first) * row_bytes));
    CHECK(rows, "no memory for %lld pictures", (long long)(end - first));
    const Slice mine = slice_range(slice_whole(px->dims, px->size), 0, first, end - first);
    H5 *h = h5_open(comm, f->path, e);
    bool ok = h && h5_read(h, px->name, px->type, &mine, rows, e);
    if (h)
        ok = h5_close(h, e) && ok;
    free(rows);
    return ok;
}

bool read_ways(MPI_Comm comm, const Shards *s, int threads, int64_t most, ReadWays *out, Err *e)
{
    const int64_t row_bytes = s->row_bytes[SHARD_PIXELS];
    const File *f = s->file;
    int rank, ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    *out = (ReadWays){ 0 };
    while (f < s->file + s->n && !f->index->shard[f->i].chunks[SHARD_PIXELS])
        f++;
    if (f == s->file + s->n)
        return true;
    const IndexShard *is = &f->index->shard[f->i];
    const int64_t raw = is->per[SHARD_PIXELS] * row_bytes, n = min64(is->chunks[SHARD_PIXELS], max64(ranks, most / raw));
    const int64_t from = n * rank / ranks, to = n * (rank + 1) / ranks;
    enum { WARM, INDEPENDENT, COLLECTIVE, STEPS };
    double took[STEPS];
    for (int k = 0; k < STEPS; k++) {
        MPI_Barrier(comm);
        took[k] = now();
        const bool ok = k < COLLECTIVE ? independent(f, row_bytes, from, to, threads, e) : collective(comm, f, from, to, row_bytes, e);
        if (!err_agree(comm, ok, e))
            return false;
        took[k] = now() - took[k];
    }
    MPI_Allreduce(MPI_IN_PLACE, took, STEPS, MPI_DOUBLE, MPI_MAX, comm);
    out->bytes = (double)(n * raw);
    out->independent = out->bytes / took[INDEPENDENT];
    out->collective = out->bytes / took[COLLECTIVE];
    return true;
}
