#include "io/set/shard.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "io/base/files.h"
#include "io/set/frame.h"
#include "io/set/shardfile.h"

const char *const shard_array_names[SHARD_ARRAYS] = {
    [SHARD_PIXELS] = "pixels", [SHARD_CODES] = "codes", [SHARD_IMAGE_START] = "image_start", [SHARD_TOKENS] = "tokens",
    [SHARD_LABELS] = "labels", [SHARD_TOKEN_START] = "token_start", [SHARD_ANSWERS] = "answers",
    [SHARD_ANSWER_START] = "answer_start", [SHARD_TASK] = "task",
};

void shard_layout(const ShardMeta *m, int64_t answer_bytes, ShardArray a[SHARD_ARRAYS])
{
    const int64_t N = m->samples, I = m->images, M = m->tokens, P = shard_patches(m);
    const char *const *name = shard_array_names;
    const ShardArray all[SHARD_ARRAYS] = {
        [SHARD_PIXELS]       = { name[SHARD_PIXELS],      H5_U8,  4, { I, m->image, m->image, 3 }, 0 },
        [SHARD_CODES]        = { m->depth ? name[SHARD_CODES] : NULL, H5_U16, 3, { I, P, m->depth }, 0 },
        [SHARD_IMAGE_START]  = { name[SHARD_IMAGE_START], H5_I64, 1, { N + 1 }, 0 },
        [SHARD_TOKENS]       = { name[SHARD_TOKENS],      H5_I32, 1, { M }, 0 },
        [SHARD_LABELS]       = { name[SHARD_LABELS],      H5_I32, 1, { M }, 0 },
        [SHARD_TOKEN_START]  = { name[SHARD_TOKEN_START], H5_I64, 1, { N + 1 }, 0 },
        [SHARD_ANSWERS]      = { m->eval ? name[SHARD_ANSWERS] : NULL, H5_U8, 1, { answer_bytes }, 0 },
        [SHARD_ANSWER_START] = { m->eval ? name[SHARD_ANSWER_START] : NULL, H5_I64, 1, { N + 1 }, 0 },
        [SHARD_TASK]         = { m->eval ? name[SHARD_TASK] : NULL, H5_I32, 1, { N }, 0 },
    };
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        a[k] = all[k];
        a[k].row_bytes = h5_elem(a[k].type);
        for (int d = 1; d < a[k].dims; d++)
            a[k].row_bytes *= a[k].size[d];
    }
}

uint64_t shard_row_sum(const ShardArray *a, const void *rows, int64_t first, int64_t n)
{
    const char *row = rows;
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += XXH64(row + i * a->row_bytes, (size_t)a->row_bytes, (uint64_t)(first + i));
    return sum;
}

uint64_t shard_fingerprint(const ShardMeta *m, const uint64_t sum[SHARD_ARRAYS])
{
    char text[SHARD_TASKS + SHARD_BASELINE + 1024];
    int n = snprintf(text, sizeof text, "%lld %lld %lld %d %d %d %d %016llx %016llx",
                     (long long)m->samples, (long long)m->images, (long long)m->tokens, m->image, m->patch, m->depth,
                     m->eval, (unsigned long long)m->text_model, (unsigned long long)m->codes_model);
    n += snprintf(text + n, sizeof text - (size_t)n, "\n%s\n%s\n%s\n%s", m->template_, m->source,
                  m->eval ? m->tasks : "", m->eval ? m->baseline : "");
    if (m->scales > 1 || m->appearance_model)
        n += snprintf(text + n, sizeof text - (size_t)n, "\n%d %016llx", m->scales, (unsigned long long)m->appearance_model);
    if (m->store != STORE_RAW)
        n += snprintf(text + n, sizeof text - (size_t)n, "\n%s", store_names[m->store]);
    for (int k = 0; k < SHARD_ARRAYS; k++)
        n += snprintf(text + n, sizeof text - (size_t)n, "\n%016llx", (unsigned long long)sum[k]);
    return XXH64(text, (size_t)n, 0);
}

/* ---- the writer ---- */

/* Samples are read in a drawn order, and of a chunk that is unpacked for one sample the rest is mostly waste: so chunks are
   small, but large enough for zstd to find something. */
enum { CHUNK_BYTES = 32 << 10, CHUNK_ENTRIES = 4 << 10 };

typedef struct {
    MPI_Comm    comm;
    int         rank, ranks;
    ShardMeta   meta;                               /* with the counts of all ranks */
    ShardArray  array[SHARD_ARRAYS];
    int64_t     first[SHARD_ARRAYS], count[SHARD_ARRAYS];       /* my rows */
    const void *data[SHARD_ARRAYS];
    int64_t    *start[3];                           /* my start arrays, shifted to the whole file; ours to free */
    H5Chunk    *chunk;                              /* of all arrays, in their order */
    int64_t     chunks;
    uint64_t    sum[SHARD_ARRAYS];                  /* of all rows */
} Writer;

static int64_t chunk_rows(const ShardArray *a)
{
    int64_t rows = a->type == H5_U8 || a->dims > 1 ? max64(1, CHUNK_BYTES / a->row_bytes) : CHUNK_ENTRIES;
    return min64(rows, a->size[0]);
}

static int64_t chunk_count(const ShardArray *a)
{
    return a->name && a->size[0] ? ceil_div(a->size[0], chunk_rows(a)) : 0;
}

/* A rank without samples may have no array at all. */
static int64_t *shifted(const int64_t *start, int64_t samples, int64_t by)
{
    int64_t *s = malloc(sizeof *s * (size_t)(samples + 1));
    CHECK(s, "no memory for the starts of %lld samples", (long long)samples);
    for (int64_t i = 0; i <= samples; i++)
        s[i] = by + (samples ? start[i] : 0);
    return s;
}

static void put(Writer *w, int k, const void *data, int64_t first, int64_t count)
{
    w->data[k] = data;
    w->first[k] = first;
    w->count[k] = count;
}

/* Where my rows lie among everybody's. */
static void writer_open(Writer *w, MPI_Comm comm, const ShardMeta *m, const ShardPart *p)
{
    *w = (Writer){ .comm = comm, .meta = *m };
    MPI_Comm_rank(comm, &w->rank);
    MPI_Comm_size(comm, &w->ranks);
    int64_t answers = m->eval && p->samples ? p->answer_start[p->samples] : 0;
    int64_t mine[4] = { p->samples, p->images, p->tokens, answers }, before[4] = { 0 }, all[4];
    ASSERT(!p->samples || (p->image_start[p->samples] == p->images && p->token_start[p->samples] == p->tokens));
    MPI_Exscan(mine, before, 4, MPI_INT64_T, MPI_SUM, comm);
    MPI_Allreduce(mine, all, 4, MPI_INT64_T, MPI_SUM, comm);
    if (w->rank == 0)
        memset(before, 0, sizeof before);           /* MPI leaves it undefined there */
    w->meta.samples = all[0];
    w->meta.images = all[1];
    w->meta.tokens = all[2];
    shard_layout(&w->meta, all[3], w->array);

    int64_t starts = p->samples + (w->rank == w->ranks - 1);      /* the last rank also writes the final entry */
    w->start[0] = shifted(p->image_start, p->samples, before[1]);
    w->start[1] = shifted(p->token_start, p->samples, before[2]);
    w->start[2] = shifted(m->eval ? p->answer_start : w->start[0], p->samples, before[3]);
    put(w, SHARD_PIXELS, p->pixels, before[1], p->images);
    put(w, SHARD_CODES, p->codes, before[1], p->images);
    put(w, SHARD_IMAGE_START, w->start[0], before[0], starts);
    put(w, SHARD_TOKENS, p->tokens_, before[2], p->tokens);
    put(w, SHARD_LABELS, p->labels, before[2], p->tokens);
    put(w, SHARD_TOKEN_START, w->start[1], before[0], starts);
    put(w, SHARD_ANSWERS, p->answers, before[3], answers);
    put(w, SHARD_ANSWER_START, w->start[2], before[0], starts);
    put(w, SHARD_TASK, p->task, before[0], p->samples);

    for (int k = 0; k < SHARD_ARRAYS; k++)
        w->chunks += chunk_count(&w->array[k]);
    w->chunk = calloc((size_t)w->chunks + 1, sizeof *w->chunk);
    CHECK(w->chunk, "no memory for %lld hashes", (long long)w->chunks);
}

static void writer_close(Writer *w)
{
    for (int i = 0; i < 3; i++)
        free(w->start[i]);
    free(w->chunk);
}

/* All are made before any is filled, so that the bytes are those of any number of ranks (h5.h). */
static bool write_arrays(Writer *w, H5 *h, Err *e)
{
    enum { MAKE, FILL, STEPS };
    bool ok = true;
    for (int step = MAKE; step < STEPS; step++)
        for (int k = 0; k < SHARD_ARRAYS && ok; k++) {
            const ShardArray *a = &w->array[k];
            if (!a->name)
                continue;
            const Slice mine = slice_range(slice_whole(a->dims, a->size), 0, w->first[k], w->count[k]);
            const int64_t chunk[SLICE_DIMS] = { chunk_rows(a), a->size[1], a->size[2], a->size[3] };
            const int level = k == SHARD_PIXELS && w->meta.store == STORE_DELTA ? DELTA_LEVEL : SHARD_LEVEL;
            ok = step == MAKE ? h5_make(h, a->name, a->type, &mine, chunk, level, e)
                              : h5_fill(h, a->name, a->type, &mine, w->data[k], e);
        }
    return ok;
}

static bool write_hex(H5 *h, const char *name, uint64_t value, Err *e)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)value);
    return h5_attr_write_str(h, name, text, e);
}

static bool write_attributes(H5 *h, const ShardMeta *m, uint64_t fingerprint, Err *e)
{
    return h5_attr_write_str(h, "format", "asvr-shard", e) && h5_attr_write_i64(h, "version", SHARD_VERSION, e) &&
           h5_attr_write_i64(h, "samples", m->samples, e) && h5_attr_write_i64(h, "images", m->images, e) &&
           h5_attr_write_i64(h, "tokens", m->tokens, e) && h5_attr_write_i64(h, "image", m->image, e) &&
           h5_attr_write_i64(h, "patch", m->patch, e) && h5_attr_write_i64(h, "depth", m->depth, e) &&
           write_hex(h, "text_model", m->text_model, e) && write_hex(h, "codes_model", m->codes_model, e) &&
           h5_attr_write_str(h, "template", m->template_, e) && h5_attr_write_str(h, "source", m->source, e) &&
           write_hex(h, "fingerprint", fingerprint, e) &&
           (m->store == STORE_RAW || h5_attr_write_str(h, "store", store_names[m->store], e)) &&
           (m->scales == 1 || h5_attr_write_i64(h, "scales", m->scales, e)) &&
           (!m->appearance_model || write_hex(h, "appearance_model", m->appearance_model, e)) &&
           (!m->eval || (h5_attr_write_str(h, "tasks", m->tasks, e) &&
                         h5_attr_write_str(h, "baseline", m->baseline, e)));
}

/* HDF5 1.10 walks its index anew for each chunk it is asked about, so one rank asks for all; by a handle of its own, since what
   one rank alone reads through the common one leaves the ranks' metadata caches unlike, and the next collective call fails. */
static bool list_chunks(Writer *w, const char *path, Err *e)
{
    H5 *h = w->rank == 0 ? h5_open(MPI_COMM_NULL, path, e) : NULL;
    bool ok = h || w->rank > 0;
    int64_t at = 0;
    for (int k = 0; k < SHARD_ARRAYS && h && ok; k++) {
        int64_t n = chunk_count(&w->array[k]);
        ok = n == 0 || h5_chunks(h, w->array[k].name, w->chunk + at, n, e);
        at += n;
    }
    if (h)
        ok = h5_close(h, e) && ok;
    if (!err_agree(w->comm, ok, e))
        return false;
    MPI_Bcast(w->chunk, (int)(w->chunks * (int64_t)sizeof *w->chunk), MPI_BYTE, 0, w->comm);
    return true;
}

/* Reads my share of the stored chunks as a loader would; adds up their rows. */
static bool read_back(Writer *w, const char *path, uint64_t sum[SHARD_ARRAYS], Err *e)
{
    int64_t stored = 1, raw = 1, c = 0;
    for (int64_t i = 0; i < w->chunks; i++)
        stored = max64(stored, w->chunk[i].size);
    for (int k = 0; k < SHARD_ARRAYS; k++)
        raw = max64(raw, chunk_count(&w->array[k]) ? chunk_rows(&w->array[k]) * w->array[k].row_bytes : 0);
    Frame f;
    frame_open(&f, stored);
    char *rows = malloc((size_t)raw);
    CHECK(rows, "no memory for a chunk of %lld bytes", (long long)raw);
    int fd = file_open(path, O_RDONLY);
    bool ok = fd >= 0 || err_set(e, EXIT_IO, path, "", "the shard cannot be opened: %m");
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        const ShardArray *a = &w->array[k];
        for (int64_t i = 0, n = chunk_count(a); i < n; i++, c++)
            if (ok && c % w->ranks == w->rank) {
                int64_t per = chunk_rows(a), first = i * per;
                ok = frame_load(&f, fd, path, &w->chunk[c], &w->chunk[c].xxh64, e) &&
                     frame_unpack(&f, path, &w->chunk[c], rows, per * a->row_bytes, e);
                if (ok)
                    sum[k] += shard_row_sum(a, rows, first, min64(per, a->size[0] - first));
            }
    }
    if (fd >= 0)
        close(fd);
    free(rows);
    frame_close(&f);
    return ok;
}

/* Fills in the hashes (on rank 0) and makes sure that the file holds what the ranks hold. */
static bool check(Writer *w, const char *path, uint64_t sum[SHARD_ARRAYS], Err *e)
{
    uint64_t stored[SHARD_ARRAYS] = { 0 };
    memset(sum, 0, sizeof stored);
    for (int k = 0; k < SHARD_ARRAYS; k++)
        if (w->array[k].name)
            sum[k] = shard_row_sum(&w->array[k], w->data[k], w->first[k], w->count[k]);
    MPI_Allreduce(MPI_IN_PLACE, sum, SHARD_ARRAYS, MPI_UINT64_T, MPI_SUM, w->comm);
    if (!err_agree(w->comm, read_back(w, path, stored, e), e))
        return false;
    MPI_Allreduce(MPI_IN_PLACE, stored, SHARD_ARRAYS, MPI_UINT64_T, MPI_SUM, w->comm);
    for (int k = 0; k < SHARD_ARRAYS; k++)
        if (stored[k] != sum[k])
            return err_set(e, EXIT_IO, path, "MPI-IO corrupts data: set OMPI_MCA_io=^ompio before the launcher starts",
                           "dataset \"%s\" reads back differently from what was written", w->array[k].name);
    uint64_t *hash = calloc((size_t)w->chunks + 1, sizeof *hash);
    CHECK(hash, "no memory for %lld hashes", (long long)w->chunks);
    for (int64_t i = 0; i < w->chunks; i++)
        hash[i] = w->chunk[i].xxh64;
    MPI_Reduce(w->rank ? hash : MPI_IN_PLACE, hash, (int)w->chunks, MPI_UINT64_T, MPI_SUM, 0, w->comm);
    for (int64_t i = 0; i < w->chunks; i++)
        w->chunk[i].xxh64 = hash[i];
    free(hash);
    return true;
}

static bool write_file(Writer *w, const char *path, Err *e)
{
    uint64_t *sum = w->sum;
    H5 *h = h5_create(w->comm, path, e);
    if (!h)
        return false;
    bool ok = write_arrays(w, h, e) && h5_flush(h, e) && list_chunks(w, path, e) && check(w, path, sum, e) &&
              h5_hash_write(h, "hash", w->chunk, w->chunks, e) &&
              write_attributes(h, &w->meta, shard_fingerprint(&w->meta, sum), e);
    return h5_close(h, e) && ok;
}

/* What was written last, hashes and attributes, once more as a reader has it.  Rank 0. */
static bool check_tables(const Writer *w, const char *path, Err *e)
{
    ShardFile f;
    bool same = shard_file_tables(&f, path, e);
    same = same && f.chunks == w->chunks && f.fingerprint == shard_fingerprint(&w->meta, w->sum) &&
           f.fingerprint == shard_fingerprint(&f.meta, w->sum);
    for (int64_t i = 0; same && i < w->chunks; i++)
        same = f.chunk[i].xxh64 == w->chunk[i].xxh64 && f.chunk[i].offset == w->chunk[i].offset && f.chunk[i].size == w->chunk[i].size;
    shard_file_close(&f);
    return same || err_set(e, EXIT_IO, path, "MPI-IO corrupts data: set OMPI_MCA_io=^ompio before the launcher starts",
                           "the shard's hashes or attributes read back differently from what was written");
}

bool shard_write(MPI_Comm comm, const char *path, const ShardMeta *m, const ShardPart *mine, Err *e)
{
    char tmp[PATH_ROOM];
    Writer w;
    ASSERT(m->patch > 0 && m->scales > 0 && m->image % m->scales == 0 && m->image / m->scales >= m->patch);
    if (!path_set(tmp, e, "%s.tmp", path))
        return false;
    writer_open(&w, comm, m, mine);
    bool ok = write_file(&w, tmp, e);
    if (ok)
        ok = err_agree(comm, w.rank > 0 || check_tables(&w, tmp, e), e);
    if (ok)
        ok = err_agree(comm, w.rank > 0 || file_commit(tmp, path, e), e);
    if (!ok && w.rank == 0)
        unlink(tmp);
    writer_close(&w);
    return ok;
}
