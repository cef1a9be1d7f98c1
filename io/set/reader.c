#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/set/shardfile.h"

enum { SLOTS = 4 };             /* unpacked chunks kept per array: a sample may lie on two, neighbours follow */

typedef struct {
    const ShardFile *file;      /* NULL = empty */
    int64_t          chunk, used;
    char            *rows;
} Slot;

struct ShardReader {
    const Shards *shards;
    int           vocab, codebook, tasks;
    Frame         frame;
    int64_t       clock;
    Slot          slot[SHARD_ARRAYS][SLOTS];
    char         *out[SHARD_ARRAYS];            /* one sample's rows */
};

static void *room(int64_t bytes)
{
    void *p = malloc((size_t)max64(bytes, 1));
    CHECK(p, "no memory for %lld bytes of a shard reader", (long long)bytes);
    return p;
}

ShardReader *reader_open(const Shards *s, Err *e)
{
    (void)e;                    /* what may be wrong was found by shards_open */
    ShardReader *r = calloc(1, sizeof *r);
    CHECK(r, "no memory for a shard reader");
    r->shards = s;
    r->tasks = 1;
    for (const char *t = s->meta.tasks; *t; t++)
        r->tasks += *t == ',';
    frame_open(&r->frame, s->stored_bytes);
    const int64_t most[SHARD_ARRAYS] = {
        [SHARD_PIXELS] = s->max_images, [SHARD_CODES]   = s->max_images, [SHARD_TOKENS] = s->max_tokens,
        [SHARD_LABELS] = s->max_tokens, [SHARD_ANSWERS] = s->max_answer, [SHARD_TASK]   = 1,
    };
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        if (!most[k] || !s->raw_bytes[k])
            continue;           /* the starts are in memory */
        r->out[k] = room(most[k] * s->file[0].array[k].is.row_bytes);
        for (int i = 0; i < SLOTS; i++)
            r->slot[k][i].rows = room(s->raw_bytes[k]);
    }
    return r;
}

void reader_close(ShardReader *r)
{
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        free(r->out[k]);
        for (int i = 0; i < SLOTS; i++)
            free(r->slot[k][i].rows);
    }
    frame_close(&r->frame);
    free(r);
}

void reader_limits(ShardReader *r, int vocab, int codebook)
{
    r->vocab = vocab;
    r->codebook = codebook;
}

/* The unpacked rows of a chunk, from a slot or from the file. */
static const char *chunk_rows(ShardReader *r, const ShardFile *f, int k, int64_t chunk, Err *e)
{
    Slot *oldest = r->slot[k];
    for (Slot *s = r->slot[k]; s < r->slot[k] + SLOTS; s++) {
        if (s->file == f && s->chunk == chunk) {
            s->used = ++r->clock;
            return s->rows;
        }
        if (s->used < oldest->used)
            oldest = s;
    }
    const Stored *a = &f->array[k];
    oldest->file = NULL;
    if (!frame_read(&r->frame, f->fd, f->path, &a->chunk[chunk], oldest->rows, a->per * a->is.row_bytes, e))
        return NULL;
    *oldest = (Slot){ f, chunk, ++r->clock, oldest->rows };
    return oldest->rows;
}

/* Rows [first, first + n) of array k, side by side. */
static const void *gather(ShardReader *r, const ShardFile *f, int k, int64_t first, int64_t n, Err *e)
{
    const Stored *a = &f->array[k];
    for (int64_t done = 0; done < n;) {
        int64_t row = first + done, within = row % a->per, some = min64(n - done, a->per - within);
        const char *rows = chunk_rows(r, f, k, row / a->per, e);
        if (!rows)
            return NULL;
        memcpy(r->out[k] + done * a->is.row_bytes, rows + within * a->is.row_bytes, (size_t)(some * a->is.row_bytes));
        done += some;
    }
    return n ? r->out[k] : "";
}

static const ShardFile *file_of(const Shards *s, int64_t sample)
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

const char *shards_path(const Shards *s, int64_t sample)
{
    return file_of(s, sample)->path;
}

static bool wrong(const ShardFile *f, int64_t i, Err *e, const char *what, int64_t value)
{
    char where[sizeof e->where];
    snprintf(where, sizeof where, "%s, sample %lld", f->path, (long long)i);
    return err_set(e, EXIT_DATA, where, "pack the shard again with this text model and tokenizer", "%s: %lld", what,
                   (long long)value);
}

static bool check(const ShardReader *r, const ShardFile *f, int64_t i, const Sample *s, Err *e)
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
    const ShardFile *f = file_of(r->shards, sample);
    const int64_t i = sample - f->first;
    const int64_t t = f->token_start[i], tokens = f->token_start[i + 1] - t;
    const int64_t v = f->image_start[i], images = f->image_start[i + 1] - v;
    *out = (Sample){ .n_tokens = (int)tokens, .n_images = (int)images, .task = -1 };
    if (!(out->tokens = gather(r, f, SHARD_TOKENS, t, tokens, e)) ||
        !(out->labels = gather(r, f, SHARD_LABELS, t, tokens, e)) ||
        !(out->pixels = gather(r, f, SHARD_PIXELS, v, images, e)) ||
        (f->meta.depth && !(out->codes = gather(r, f, SHARD_CODES, v, images, e))))
        return false;
    if (f->meta.eval) {
        const int64_t a = f->answer_start[i];
        const int32_t *task = gather(r, f, SHARD_TASK, i, 1, e);
        out->answer_len = (int)(f->answer_start[i + 1] - a);
        if (!task || !(out->answer = gather(r, f, SHARD_ANSWERS, a, out->answer_len, e)))
            return false;
        out->task = *task;
        if (out->task < 0 || out->task >= r->tasks)
            return wrong(f, i, e, "a task that does not exist", out->task);
    }
    return check(r, f, i, out, e);
}
