#include <stdlib.h>
#include <string.h>

#include "io/set/catalogueinside.h"
#include "io/set/shardfile.h"

/* What HDF5 would read must be what the hashes speak of. */
static bool same_index(const ShardFile *f, Err *e)
{
    H5 *h = h5_open(MPI_COMM_NULL, f->path, e);
    if (!h)
        return false;
    bool ok = true;
    for (int k = 0; k < SHARD_ARRAYS && ok; k++) {
        const Stored *a = &f->array[k];
        if (!a->n)
            continue;
        H5Chunk *list = calloc((size_t)a->n, sizeof *list);
        CHECK(list, "no memory for %lld chunks", (long long)a->n);
        ok = h5_chunks(h, a->is.name, list, a->n, e);
        for (int64_t i = 0; i < a->n && ok; i++)
            ok = (list[i].offset == a->chunk[i].offset && list[i].size == a->chunk[i].size) ||
                 err_set(e, EXIT_DATA, f->path, "pack it again with `asvr pack`",
                         "dataset \"%s\", row %lld: HDF5 has the chunk at byte offset %lld, the hash at %lld", a->is.name,
                         (long long)list[i].row, (long long)list[i].offset, (long long)a->chunk[i].offset);
        free(list);
    }
    return h5_close(h, e) && ok;
}

static bool add_rows(const ShardFile *f, uint64_t sum[SHARD_ARRAYS], Err *e)
{
    int64_t most = 1, stored = 1;
    for (int k = 0; k < SHARD_ARRAYS; k++)
        most = max64(most, f->array[k].n ? f->array[k].per * f->array[k].is.row_bytes : 0);
    for (int64_t i = 0; i < f->chunks; i++)
        stored = max64(stored, f->chunk[i].size);
    char *rows = malloc((size_t)most);
    CHECK(rows, "no memory for a chunk of %lld bytes", (long long)most);
    Frame frame;
    frame_open(&frame, stored);
    bool ok = true;
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        const Stored *a = &f->array[k];
        for (int64_t i = 0; i < a->n && ok; i++) {
            int64_t first = i * a->per;
            ok = frame_read(&frame, f->fd, f->path, &a->chunk[i], rows, a->per * a->is.row_bytes, e);
            if (ok)
                sum[k] += shard_row_sum(&a->is, rows, first, min64(a->per, a->is.size[0] - first));
        }
    }
    frame_close(&frame);
    free(rows);
    return ok;
}

/* Tokens, labels and image places make sense together. */
static bool samples_good(const ShardFile *f, Err *e)
{
    Sample sample;
    const int split = f->meta.eval ? SPLIT_VAL : SPLIT_TRAIN;
    Index *x = index_new(f->path);
    if (f->meta.samples == 0 || !index_add(x, f->path, f->path, split, 0, e)) {
        index_close(x);
        return !e->code;
    }
    Shards *s = shards_of(x, split, e);
    if (!s)
        return false;
    ShardReader *r = reader_open(s);
    bool ok = true;
    for (int64_t i = 0; i < s->meta.samples && ok; i++)
        ok = reader_sample(r, i, &sample, e);
    reader_close(r);
    shards_close(s);
    return ok;
}

bool shards_verify(const char *path, uint64_t *fingerprint, Err *e)
{
    uint64_t sum[SHARD_ARRAYS] = { 0 };
    ShardFile f;
    bool ok = shard_file_open(&f, path, e) && same_index(&f, e) && add_rows(&f, sum, e) && samples_good(&f, e);
    if (ok) {
        *fingerprint = shard_fingerprint(&f.meta, sum);
        if (*fingerprint != f.fingerprint) {
            err_expected(e, "%016llx", (unsigned long long)f.fingerprint);
            err_got(e, "%016llx", (unsigned long long)*fingerprint);
            ok = err_set(e, EXIT_DATA, path, "pack it again with `asvr pack`", "the content is not what the fingerprint says");
        }
    }
    shard_file_close(&f);
    return ok;
}
