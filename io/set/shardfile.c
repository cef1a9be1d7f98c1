#include "io/set/shardfile.h"

#include "io/base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a shard may claim, before anything is allocated for it: products of these stay far below 2^63. */
static const int64_t SAMPLES_MOST = INT64_C(1) << 28, IMAGES_MOST = INT64_C(1) << 30, TOKENS_MOST = INT64_C(1) << 40;
static const int64_t SIDE_MOST = 4096, DEPTH_MOST = 64, SCALES_MOST = 16;
static const int64_t CHUNK_MOST = INT64_C(64) << 20;        /* bytes of an unpacked chunk: one image of 4096 x 4096 */
/* Of one sample. */
static const int64_t SAMPLE_IMAGES = 1024, SAMPLE_TOKENS = INT64_C(1) << 22, SAMPLE_ANSWER = INT64_C(1) << 20;
static const int64_t SAMPLE_PIXELS = INT64_C(1) << 32;

static const char again[] = "pack it again with `asvr pack`";

static bool count(H5 *h, const ShardFile *f, const char *name, int64_t least, int64_t most, int64_t *n, Err *e)
{
    if (!h5_attr_read_i64(h, name, n, e))
        return false;
    if (*n >= least && *n <= most)
        return true;
    err_expected(e, "%lld to %lld", (long long)least, (long long)most);
    err_got(e, "%lld", (long long)*n);
    return err_set(e, EXIT_DATA, f->path, again, "attribute \"%s\" is %lld", name, (long long)*n);
}

static bool read_hex(H5 *h, const ShardFile *f, const char *name, uint64_t *value, Err *e)
{
    char text[32];
    if (!h5_attr_read_str(h, name, text, sizeof text, e))
        return false;
    *value = strtoull(text, NULL, 16);
    return (strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16) ||
           err_set(e, EXIT_DATA, f->path, again, "attribute \"%s\" is \"%s\", not 16 hex digits", name, text);
}

static bool read_meta(H5 *h, ShardFile *f, Err *e)
{
    char format[32];
    int64_t version, image, patch, depth, scales = 1;
    ShardMeta *m = &f->meta;
    if (!h5_attr_read_str(h, "format", format, sizeof format, e) || strcmp(format, "asvr-shard"))
        return err_set(e, EXIT_DATA, f->path, "shards are made by `asvr pack`", "this is no shard");
    if (!h5_attr_read_i64(h, "version", &version, e))
        return false;
    if (version < 1 || version > SHARD_VERSION)
        return err_set(e, EXIT_DATA, f->path, again, "a shard of version %lld; this program reads versions 1 to %d",
                       (long long)version, SHARD_VERSION);
    if (!count(h, f, "samples", 0, SAMPLES_MOST, &m->samples, e) || !count(h, f, "images", 0, IMAGES_MOST, &m->images, e) ||
        !count(h, f, "tokens", 0, TOKENS_MOST, &m->tokens, e) || !count(h, f, "image", 1, SIDE_MOST, &image, e) ||
        !count(h, f, "patch", 1, image, &patch, e) || !count(h, f, "depth", 0, DEPTH_MOST, &depth, e))
        return false;
    if (h5_attr_exists(h, "scales") && !count(h, f, "scales", 1, SCALES_MOST, &scales, e))
        return false;
    if (image % scales || image / scales < patch)
        return err_set(e, EXIT_DATA, f->path, again, "images of %d pixels are not %d scales of whole patches of %d",
                       (int)image, (int)scales, (int)patch);
    char store[16] = "raw";
    if (h5_attr_exists(h, "store") && !h5_attr_read_str(h, "store", store, sizeof store, e))
        return false;
    if ((m->store = store_find(store)) < 0)
        return err_set(e, EXIT_DATA, f->path, again, "attribute \"store\" is \"%s\", which this program does not know", store);
    if (h5_attr_exists(h, "appearance_model") && !read_hex(h, f, "appearance_model", &m->appearance_model, e))
        return false;
    m->image = (int)image;
    m->patch = (int)patch;
    m->depth = (int)depth;
    m->scales = (int)scales;
    m->eval = h5_attr_exists(h, "tasks");
    return read_hex(h, f, "text_model", &m->text_model, e) && read_hex(h, f, "codes_model", &m->codes_model, e) &&
           read_hex(h, f, "fingerprint", &f->fingerprint, e) &&
           h5_attr_read_str(h, "template", m->template_, sizeof m->template_, e) &&
           h5_attr_read_str(h, "source", m->source, sizeof m->source, e) &&
           (!m->eval || (h5_attr_read_str(h, "tasks", m->tasks, sizeof m->tasks, e) &&
                         h5_attr_read_str(h, "baseline", m->baseline, sizeof m->baseline, e)));
}

static bool check_shape(H5 *h, const ShardFile *f, const ShardArray *a, Err *e)
{
    int type, dims;
    int64_t size[SLICE_DIMS];
    if (!h5_shape(h, a->name, &type, &dims, size, e))
        return false;
    return (type == a->type && dims == a->dims && !memcmp(size, a->size, (size_t)dims * sizeof *size)) ||
           err_set(e, EXIT_DATA, f->path, again, "dataset \"%s\" has not the type or shape that the attributes say",
                   a->name);
}

/* Shapes and chunks of all arrays; f->array[k].chunk is still missing. */
static bool read_shapes(H5 *h, ShardFile *f, Err *e)
{
    ShardArray layout[SHARD_ARRAYS];
    int64_t answers[SLICE_DIMS] = { 0 };
    int type, dims;
    if (f->meta.eval && (!h5_shape(h, "answers", &type, &dims, answers, e)))
        return false;
    if (answers[0] > TOKENS_MOST)
        return err_set(e, EXIT_DATA, f->path, again, "%lld bytes of answers", (long long)answers[0]);
    shard_layout(&f->meta, answers[0], layout);
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        Stored *s = &f->array[k];
        s->is = layout[k];
        if (!s->is.name)
            continue;
        if (!check_shape(h, f, &s->is, e) || !h5_chunk_rows(h, s->is.name, &s->per, e))
            return false;
        if (s->is.size[0] == 0)
            continue;
        if (s->per < 1 || s->per > CHUNK_MOST / s->is.row_bytes)
            return err_set(e, EXIT_DATA, f->path, again, "dataset \"%s\" has chunks of %lld rows of %lld bytes",
                           s->is.name, (long long)s->per, (long long)s->is.row_bytes);
        s->n = ceil_div(s->is.size[0], s->per);
    }
    return true;
}

/* The table must name each chunk of each array once, in order, inside the file. */
static bool read_chunks(H5 *h, ShardFile *f, Err *e)
{
    int64_t n, at = 0;
    if (!h5_hash_read(h, "hash", &f->chunk, &n, f->bytes / (int64_t)sizeof *f->chunk, e))
        return false;
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        Stored *s = &f->array[k];
        s->chunk = f->chunk + at;
        for (int64_t i = 0; i < s->n; i++, at++) {
            const H5Chunk *c = &f->chunk[at];
            if (at >= n || strcmp(c->dataset, s->is.name) || c->row != i * s->per)
                return err_set(e, EXIT_DATA, f->path, again, "dataset \"hash\" lacks row %lld of \"%s\"",
                               (long long)(i * s->per), s->is.name);
            if (c->size < 1 || c->size > (int64_t)ZSTD_compressBound((size_t)(s->per * s->is.row_bytes)) ||
                c->offset < 0 || c->offset > f->bytes - c->size)
                return err_set(e, EXIT_DATA, f->path, again,
                               "dataset \"%s\", row %lld: %lld bytes at byte offset %lld of a file of %lld", c->dataset,
                               (long long)c->row, (long long)c->size, (long long)c->offset, (long long)f->bytes);
        }
    }
    f->chunks = n;
    return at == n || err_set(e, EXIT_DATA, f->path, again, "dataset \"hash\" has %lld entries too many",
                              (long long)(n - at));
}

/* A start array as a whole: from 0 to `end`, never down, never more than `most` at once. */
static int64_t *read_starts(ShardFile *f, int k, int64_t end, int64_t most, Err *e)
{
    const Stored *s = &f->array[k];
    int64_t stored = 0, rows = s->is.size[0], *start = malloc((size_t)(s->n * s->per) * sizeof *start);
    CHECK(start, "no memory for the starts of %lld samples", (long long)rows);
    for (int64_t i = 0; i < s->n; i++)
        stored = max64(stored, s->chunk[i].size);
    Frame frame;
    frame_open(&frame, stored);
    bool ok = true;
    for (int64_t i = 0; i < s->n && ok; i++)
        ok = frame_read(&frame, f->fd, f->path, &s->chunk[i], start + i * s->per, s->per * s->is.row_bytes, e);
    frame_close(&frame);
    for (int64_t i = 0; i < rows && ok; i++) {
        int64_t before = i ? start[i - 1] : 0;
        if (start[i] < before || start[i] - before > (i ? most : 0) || (i == rows - 1 && start[i] != end))
            ok = err_set(e, EXIT_DATA, f->path, again, "dataset \"%s\", row %lld: %lld cannot follow %lld", s->is.name,
                         (long long)i, (long long)start[i], (long long)before);
    }
    if (ok)
        return start;
    free(start);
    return NULL;
}

static bool read_tables(H5 *h, ShardFile *f, Err *e)
{
    return read_meta(h, f, e) && read_shapes(h, f, e) && read_chunks(h, f, e);
}

static bool read_all(H5 *h, ShardFile *f, Err *e)
{
    if (!read_tables(h, f, e))
        return false;
    const int64_t images = min64(SAMPLE_IMAGES, SAMPLE_PIXELS / f->array[SHARD_PIXELS].is.row_bytes);
    f->image_start = read_starts(f, SHARD_IMAGE_START, f->meta.images, images, e);
    f->token_start = f->image_start ? read_starts(f, SHARD_TOKEN_START, f->meta.tokens, SAMPLE_TOKENS, e) : NULL;
    if (f->token_start && f->meta.eval)
        f->answer_start = read_starts(f, SHARD_ANSWER_START, f->array[SHARD_ANSWERS].is.size[0], SAMPLE_ANSWER, e);
    return f->token_start && (!f->meta.eval || f->answer_start);
}

static bool opened(ShardFile *f, const char *path, bool (*read)(H5 *h, ShardFile *f, Err *e), Err *e)
{
    struct stat st;
    *f = (ShardFile){ .path = strdup(path), .fd = file_open(path, O_RDONLY) };
    CHECK(f->path, "no memory for a path");
    if (f->fd < 0 || fstat(f->fd, &st)) {
        const char *hint = errno == EMFILE ? "raise `ulimit -n`, or pack more samples into a shard" : "";
        return err_set(e, EXIT_IO, path, hint, "the shard cannot be opened: %m");
    }
    f->bytes = st.st_size;
    H5 *h = h5_open(MPI_COMM_NULL, path, e);
    if (!h)
        return false;
    bool ok = read(h, f, e);
    return h5_close(h, e) && ok;
}

bool shard_file_open(ShardFile *f, const char *path, Err *e) { return opened(f, path, read_all, e); }
bool shard_file_tables(ShardFile *f, const char *path, Err *e) { return opened(f, path, read_tables, e); }

void shard_file_close(ShardFile *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f->chunk);
    free(f->image_start);
    free(f->token_start);
    free(f->answer_start);
}
