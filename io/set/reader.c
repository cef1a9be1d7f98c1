#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/set/catalogueinside.h"
#include "io/set/frame.h"

enum { SLOTS = 4,               /* unpacked chunks kept per array: a sample may lie on two, neighbours follow */
       FILES = 256 };           /* open at once, or a quarter of what the system allows */

typedef struct {
    const File *file;           /* NULL = empty */
    int64_t     chunk, used;
    char       *rows;
} Slot;

typedef struct { const File *file; int fd; int64_t used; } Open;

struct ShardReader {
    const Shards *shards;
    int           vocab, codebook;
    IndexReader  *index;
    Frame         frame;
    int64_t       clock;
    Slot          slot[SHARD_ARRAYS][SLOTS];
    char         *out[SHARD_ARRAYS];            /* one sample's rows */
    Open         *open;                         /* (opened) of at most `files` */
    int           opened, files;
};

static void *room(int64_t bytes)
{
    void *p = malloc((size_t)max64(bytes, 1));
    CHECK(p, "no memory for %lld bytes of a shard reader", (long long)bytes);
    return p;
}

ShardReader *reader_open(const Shards *s)
{
    ShardReader *r = calloc(1, sizeof *r);
    struct rlimit limit = { .rlim_cur = 1024 };
    CHECK(r, "no memory for a shard reader");
    r->shards = s;
    getrlimit(RLIMIT_NOFILE, &limit);
    r->files = (int)max64(4, min64(min64(s->n, FILES), (int64_t)min64((int64_t)(limit.rlim_cur / 4), FILES)));
    r->open = room(r->files * (int64_t)sizeof *r->open);
    r->index = index_reader_open();
    frame_open(&r->frame, s->stored_bytes);
    const int64_t most[SHARD_ARRAYS] = {
        [SHARD_PIXELS] = s->max_images, [SHARD_CODES]   = s->max_images, [SHARD_TOKENS] = s->max_tokens,
        [SHARD_LABELS] = s->max_tokens, [SHARD_ANSWERS] = s->max_answer, [SHARD_TASK]   = 1,
    };
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        if (!most[k] || !s->raw_bytes[k])
            continue;           /* the starts are in the index */
        r->out[k] = room(most[k] * s->row_bytes[k]);
        for (int i = 0; i < SLOTS; i++)
            r->slot[k][i].rows = room(s->raw_bytes[k]);
    }
    return r;
}

void reader_close(ShardReader *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->opened; i++)
        close(r->open[i].fd);
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        free(r->out[k]);
        for (int i = 0; i < SLOTS; i++)
            free(r->slot[k][i].rows);
    }
    frame_close(&r->frame);
    index_reader_close(r->index);
    free(r->open);
    free(r);
}

void reader_limits(ShardReader *r, int vocab, int codebook)
{
    r->vocab = vocab;
    r->codebook = codebook;
}

/* The file's descriptor; what was used longest ago is closed for it. */
static int descriptor(ShardReader *r, const File *f, Err *e)
{
    Open *oldest = r->open;
    for (Open *o = r->open; o < r->open + r->opened; o++) {
        if (o->file == f) {
            o->used = ++r->clock;
            return o->fd;
        }
        if (o->used < oldest->used)
            oldest = o;
    }
    if (r->opened == r->files) {
        close(oldest->fd);
        *oldest = r->open[--r->opened];
    }
    const int fd = shard_file_of(f, e);
    if (fd >= 0)
        r->open[r->opened++] = (Open){ f, fd, ++r->clock };
    return fd;
}

/* The unpacked rows of a chunk, from a slot or from the file. */
static const char *chunk_rows(ShardReader *r, const File *f, int k, int64_t chunk, Err *e)
{
    Slot *oldest = r->slot[k];
    H5Chunk where;
    for (Slot *s = r->slot[k]; s < r->slot[k] + SLOTS; s++) {
        if (s->file == f && s->chunk == chunk) {
            s->used = ++r->clock;
            return s->rows;
        }
        if (s->used < oldest->used)
            oldest = s;
    }
    const int64_t bytes = f->index->shard[f->i].per[k] * r->shards->row_bytes[k];
    const int fd = descriptor(r, f, e);
    oldest->file = NULL;
    if (fd < 0 || !index_chunk(r->index, f->index, f->i, k, chunk, &where, e) ||
        !frame_read(&r->frame, fd, f->path, &where, oldest->rows, bytes, e))
        return NULL;
    *oldest = (Slot){ f, chunk, ++r->clock, oldest->rows };
    return oldest->rows;
}

/* Rows [first, first + n) of array k, side by side. */
static const void *gather(ShardReader *r, const File *f, int k, int64_t first, int64_t n, Err *e)
{
    const int64_t per = f->index->shard[f->i].per[k], row_bytes = r->shards->row_bytes[k];
    for (int64_t done = 0; done < n;) {
        int64_t row = first + done, within = row % per, some = min64(n - done, per - within);
        const char *rows = chunk_rows(r, f, k, row / per, e);
        if (!rows)
            return NULL;
        memcpy(r->out[k] + done * row_bytes, rows + within * row_bytes, (size_t)(some * row_bytes));
        done += some;
    }
    return n ? r->out[k] : "";
}

static const File *file_of(const Shards *s, int64_t sample)
{
    ASSERT(sample >= 0 && sample < s->meta.samples);
    int low = 0, high = s->n;                   /* the last file whose first sample is not behind */
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (s->file[middle].first <= sample)
            low = middle;
        else
            high = middle;
    }
    return &s->file[low];
}

/* From where to where sample i of a file lies in an array: rows that are there, no more than one sample may have. */
static bool range(ShardReader *r, const File *f, int which, int64_t i, int64_t all, int64_t most, int64_t *first, int64_t *n, Err *e)
{
    static const char *const name[] = { "image_start", "token_start", "answer_start" };
    int64_t at[2];
    if (!index_read(r->index, f->index, index_starts(&f->index->shard[f->i], which) + i * (int64_t)sizeof *at, at, sizeof at, e))
        return false;
    const bool forward = at[0] >= 0 && at[1] >= at[0];
    *first = at[0];
    *n = forward ? at[1] - at[0] : 0;
    if (forward && at[1] <= all && *n <= most)
        return true;
    return err_set(e, EXIT_DATA, f->index->path, "pack it again with `asvr pack`", "\"%s\" of %s, row %lld: %lld cannot follow %lld",
                   name[which], f->path, (long long)i, (long long)at[1], (long long)at[0]);
}

static bool wrong(const File *f, int64_t i, Err *e, const char *what, int64_t value)
{
    char where[sizeof e->where];
    snprintf(where, sizeof where, "%s, sample %lld", f->path, (long long)i);
    return err_set(e, EXIT_DATA, where, "pack the shard again with this text model and tokenizer", "%s: %lld", what,
                   (long long)value);
}

static bool check(const ShardReader *r, const File *f, int64_t i, const Sample *s, Err *e)
{
    const int64_t tokens = r->vocab ? r->vocab : INT64_MAX;
    const ShardMeta *m = &r->shards->meta;
    int slots = 0;
    for (int j = 0; j < s->n_tokens; j++) {
        int32_t t = s->tokens[j], y = s->labels[j];
        slots += t == IMAGE_TOKEN;
        if ((t < 0 && t != IMAGE_TOKEN) || t >= tokens)
            return wrong(f, i, e, "a token that does not exist", t);
        if ((y < 0 && y != IGNORE) || y >= tokens)
            return wrong(f, i, e, "a label that does not exist", y);
    }
    if (slots != s->n_images)
        return wrong(f, i, e, "the number of image places differs from that of images", slots);
    int64_t codes = s->codes ? (int64_t)s->n_images * shard_patches(m) * m->depth : 0;
    for (int64_t j = 0; j < codes && r->codebook; j++)
        if (s->codes[j] >= r->codebook)
            return wrong(f, i, e, "a visual code that does not exist", s->codes[j]);
    return true;
}

bool reader_sample(ShardReader *r, int64_t sample, Sample *out, Err *e)
{
    const Shards *s = r->shards;
    const File *f = file_of(s, sample);
    const IndexShard *is = &f->index->shard[f->i];
    const ShardMeta *m = &f->index->meta;
    const int64_t i = sample - f->first;
    int64_t t, tokens, v, images, a, answer;
    if (!range(r, f, 1, i, is->tokens, s->max_tokens, &t, &tokens, e) || !range(r, f, 0, i, is->images, s->max_images, &v, &images, e))
        return false;
    *out = (Sample){ .n_tokens = (int)tokens, .n_images = (int)images, .task = -1 };
    if (!(out->tokens = gather(r, f, SHARD_TOKENS, t, tokens, e)) ||
        !(out->labels = gather(r, f, SHARD_LABELS, t, tokens, e)) ||
        !(out->pixels = gather(r, f, SHARD_PIXELS, v, images, e)) ||
        (m->depth && !(out->codes = gather(r, f, SHARD_CODES, v, images, e))))
        return false;
    if (images && m->store == STORE_DELTA)
        store_decode((uint8_t *)r->out[SHARD_PIXELS], images, m->image);
    if (f->task) {
        const int32_t *task = gather(r, f, SHARD_TASK, i, 1, e);
        if (!task || !range(r, f, 2, i, is->answers, s->max_answer, &a, &answer, e) ||
            !(out->answer = gather(r, f, SHARD_ANSWERS, a, answer, e)))
            return false;
        out->answer_len = (int)answer;
        if (*task < -1 || *task >= shards_tasks(m) || (*task < 0 && answer))
            return wrong(f, i, e, "a task that does not exist", *task);
        out->task = *task < 0 ? -1 : f->task[*task];
    }
    if (!check(r, f, i, out, e))
        return false;
    out->n_images = (int)min64(images, shards_max_images(s));
    return true;
}
