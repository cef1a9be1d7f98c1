#include "io/set/catalogue.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/set/shardfile.h"

static bool differ(const ShardFile *a, const ShardFile *b, const char *in, Err *e)
{
    return err_set(e, EXIT_DATA, b->path, "data.shards must name the shards of one data set",
                   "this shard differs from %s in %s", a->path, in);
}

static bool agree(const ShardFile *first, const ShardFile *f, Err *e)
{
    const ShardMeta *a = &first->meta, *b = &f->meta;
    if (a->image != b->image || a->patch != b->patch || a->scales != b->scales)
        return differ(first, f, "the size of images or patches", e);
    if (a->depth != b->depth || a->codes_model != b->codes_model || a->appearance_model != b->appearance_model)
        return differ(first, f, "its visual codes (codes_model, depth)", e);
    if (a->text_model != b->text_model)
        return differ(first, f, "text_model", e);
    if (strcmp(a->template_, b->template_))
        return differ(first, f, "template", e);
    if (a->eval != b->eval || strcmp(a->tasks, b->tasks))
        return differ(first, f, "tasks", e);
    return true;
}

static void account(Shards *s, const ShardFile *f)
{
    s->meta.samples += f->meta.samples;
    s->meta.images += f->meta.images;
    s->meta.tokens += f->meta.tokens;
    for (int64_t i = 0; i < f->meta.samples; i++) {
        s->max_tokens = max64(s->max_tokens, f->token_start[i + 1] - f->token_start[i]);
        s->max_images = max64(s->max_images, f->image_start[i + 1] - f->image_start[i]);
        if (f->answer_start)
            s->max_answer = max64(s->max_answer, f->answer_start[i + 1] - f->answer_start[i]);
    }
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        const Stored *a = &f->array[k];
        if (a->n)
            s->raw_bytes[k] = max64(s->raw_bytes[k], a->per * a->is.row_bytes);
        for (int64_t i = 0; i < a->n; i++)
            s->stored_bytes = max64(s->stored_bytes, a->chunk[i].size);
    }
}

Shards *shards_of(char *const *path, int n, Err *e)
{
    Shards *s = calloc(1, sizeof *s);
    CHECK(s && (s->file = calloc((size_t)n + 1, sizeof *s->file)), "no memory for a catalogue of %d shards", n);
    for (int i = 0; i < n; i++) {
        ShardFile *f = &s->file[s->n++];
        if (!shard_file_open(f, path[i], e) || !agree(&s->file[0], f, e)) {
            shards_close(s);
            return NULL;
        }
        if (i == 0) {
            s->meta = f->meta;
            s->meta.samples = s->meta.images = s->meta.tokens = 0;
        }
        f->first = s->meta.samples;
        account(s, f);
    }
    return s;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

Shards *shards_open(const char *pattern, Err *e)
{
    glob_t g = { 0 };
    int rc = glob(pattern, GLOB_BRACE | GLOB_TILDE | GLOB_NOSORT, NULL, &g);
    Shards *s = NULL;
    if (rc == GLOB_NOMATCH || (rc == 0 && g.gl_pathc == 0)) {
        err_set(e, EXIT_DATA, pattern, "make them with `asvr pack`, or correct data.shards", "no shard has this name");
    } else if (rc) {
        err_set(e, EXIT_IO, pattern, "", "the folder of the shards cannot be read");
    } else {
        qsort(g.gl_pathv, g.gl_pathc, sizeof *g.gl_pathv, by_name);     /* glob sorts by locale */
        s = shards_of(g.gl_pathv, (int)g.gl_pathc, e);
    }
    globfree(&g);
    if (s && s->meta.samples == 0) {
        err_set(e, EXIT_DATA, pattern, "pack some data with `asvr pack`", "the shards hold no samples");
        shards_close(s);
        return NULL;
    }
    return s;
}

void shards_close(Shards *s)
{
    for (int i = 0; i < s->n; i++)
        shard_file_close(&s->file[i]);
    free(s->file);
    free(s);
}

const ShardMeta *shards_meta(const Shards *s) { return &s->meta; }
int64_t shards_max_tokens(const Shards *s) { return s->max_tokens; }
int shards_max_images(const Shards *s) { return (int)s->max_images; }
