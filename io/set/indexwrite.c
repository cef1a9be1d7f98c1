/* indexwrite.c -- an index made from the shards that it will speak of (index.h) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "io/base/files.h"
#include "io/set/indexinside.h"
#include "io/set/shardfile.h"

enum { PIECE = 1 << 20 /* bytes of metadata read at once */ };

void index_append(Index *x, const void *bytes, int64_t n)
{
    if (x->used + n > x->cap) {
        x->cap = max64(2 * x->cap, x->used + n + INDEX_BLOCK);
        x->memory = realloc(x->memory, (size_t)x->cap);
        CHECK(x->memory, "no memory for %lld bytes of an index", (long long)x->cap);
    }
    memcpy(x->memory + x->used, bytes, (size_t)n);
    x->used += n;
}

/* ---- what a shard's file holds beside its chunks ---- */

static int by_offset(const void *a, const void *b)
{
    const int64_t x = ((const IndexPiece *)a)->offset, y = ((const IndexPiece *)b)->offset;
    return (x > y) - (x < y);
}

/* The gaps between the pieces (n), to be freed; pieces that overlap leave none. */
static IndexPiece *gaps(const IndexPiece *piece, int64_t n, int64_t bytes, int64_t *count)
{
    IndexPiece *sorted = malloc((size_t)(n + 1) * sizeof *sorted), *gap = malloc((size_t)(n + 1) * sizeof *gap);
    CHECK(sorted && gap, "no memory for %lld pieces of a shard", (long long)n);
    memcpy(sorted, piece, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_offset);
    int64_t at = 0;
    *count = 0;
    for (int64_t i = 0; i <= n; i++) {
        const int64_t next = i < n ? sorted[i].offset : bytes;
        if (next > at)
            gap[(*count)++] = (IndexPiece){ .offset = at, .size = next - at };
        at = i < n ? max64(at, sorted[i].offset + sorted[i].size) : at;
    }
    free(sorted);
    return gap;
}

/* Hashes the gaps, and finds where the file says its fingerprint. */
static bool read_gaps(const ShardFile *f, IndexPiece *gap, int64_t n, int64_t *fingerprint_at, Err *e)
{
    char want[17], *bytes = malloc(PIECE);
    CHECK(bytes, "no memory for a shard's metadata");
    snprintf(want, sizeof want, "%016llx", (unsigned long long)f->fingerprint);
    *fingerprint_at = -1;
    bool ok = true;
    for (int64_t i = 0; i < n && ok; i++) {
        XXH64_state_t state;
        XXH64_reset(&state, 0);
        for (int64_t done = 0, some; done < gap[i].size && ok; done += some) {
            some = min64(PIECE, gap[i].size - done);
            ok = file_pread(f->fd, bytes, some, gap[i].offset + done) == some || file_error(e, f->path, "read");
            if (!ok)
                break;
            XXH64_update(&state, bytes, (size_t)some);
            const char *at = *fingerprint_at < 0 ? memmem(bytes, (size_t)some, want, 16) : NULL;
            if (at)
                *fingerprint_at = gap[i].offset + done + (at - bytes);
        }
        gap[i].xxh64 = XXH64_digest(&state);
    }
    free(bytes);
    return ok && (*fingerprint_at >= 0 || err_set(e, EXIT_DATA, f->path, "pack it again with `asvr pack`",
                                                   "the shard's fingerprint does not lie in one piece of its metadata"));
}

/* ---- one shard more ---- */

static bool differ(const Index *x, const char *path, const char *in, Err *e)
{
    return err_set(e, EXIT_DATA, path, "a data set's shards are of one pack", "this shard differs from %s in %s",
                   x->n ? x->shard[0].name : x->path, in);
}

static bool agrees(Index *x, const ShardMeta *b, int split, const char *path, Err *e)
{
    ShardMeta *a = &x->meta;
    const ShardMeta was = *a;
    if (!x->n) {
        *a = *b;
        a->samples = a->images = a->tokens = 0;
        a->eval = b->eval && split == SPLIT_VAL;
        return true;
    }
    if (a->image != b->image || a->patch != b->patch || a->scales != b->scales || a->store != b->store)
        return differ(x, path, "the size of images or patches, or how pixels are stored", e);
    if (a->depth != b->depth || a->codes_model != b->codes_model || a->appearance_model != b->appearance_model)
        return differ(x, path, "its visual codes (codes_model, depth)", e);
    if (a->text_model != b->text_model)
        return differ(x, path, "text_model", e);
    if (strcmp(a->template_, b->template_))
        return differ(x, path, "template", e);
    if (split == SPLIT_VAL && (x->shard[x->n - 1].split == SPLIT_TRAIN)) {      /* the first for evaluation says its tasks */
        a->eval = b->eval;
        memcpy(a->tasks, b->tasks, sizeof a->tasks);
        memcpy(a->baseline, b->baseline, sizeof a->baseline);
    } else if (split == SPLIT_VAL && (was.eval != b->eval || strcmp(was.tasks, b->tasks))) {
        return differ(x, path, "tasks", e);
    }
    return true;
}

static void most(IndexShard *s, const ShardFile *f)
{
    for (int64_t i = 0; i < f->meta.samples; i++) {
        s->max_tokens = max64(s->max_tokens, f->token_start[i + 1] - f->token_start[i]);
        s->max_images = max64(s->max_images, f->image_start[i + 1] - f->image_start[i]);
        if (f->answer_start)
            s->max_answer = max64(s->max_answer, f->answer_start[i + 1] - f->answer_start[i]);
    }
    for (int64_t i = 0; i < f->chunks; i++)
        s->max_stored = max64(s->max_stored, f->chunk[i].size);
}

static bool describe(Index *x, IndexShard *s, const ShardFile *f, Err *e)
{
    int64_t n = 0;
    IndexPiece *piece = malloc((size_t)(f->chunks + 1) * sizeof *piece);
    CHECK(piece, "no memory for %lld pieces of a shard", (long long)f->chunks);
    for (; n < f->chunks; n++)
        piece[n] = (IndexPiece){ f->chunk[n].offset, f->chunk[n].size, f->chunk[n].xxh64 };
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        s->per[k] = f->array[k].n ? f->array[k].per : 0;
        s->chunks[k] = f->array[k].n;
    }
    IndexPiece *gap = gaps(piece, n, f->bytes, &s->rest);
    const bool ok = read_gaps(f, gap, s->rest, &s->fingerprint_at, e);
    if (ok) {
        s->tables = x->used;
        index_append(x, piece, n * (int64_t)sizeof *piece);
        index_append(x, gap, s->rest * (int64_t)sizeof *gap);
        s->stored = XXH64(x->memory + s->tables, (size_t)(x->used - s->tables), (uint64_t)f->bytes);
        const int64_t starts = (f->meta.samples + 1) * (int64_t)sizeof(int64_t);
        index_append(x, f->image_start, starts);
        index_append(x, f->token_start, starts);
        if (f->answer_start && s->split == SPLIT_VAL)
            index_append(x, f->answer_start, starts);
    }
    free(piece);
    free(gap);
    return ok;
}

bool index_add(Index *x, const char *path, const char *name, int split, int64_t number, Err *e)
{
    ShardFile f;
    char own[INDEX_NAME];
    bool ok = shard_file_open(&f, path, e) && agrees(x, &f.meta, split, path, e);
    if (ok) {
        IndexShard s = { .split = split, .samples = f.meta.samples, .images = f.meta.images, .tokens = f.meta.tokens,
                         .answers = split == SPLIT_VAL && f.meta.eval ? f.array[SHARD_ANSWERS].is.size[0] : 0, .bytes = f.bytes,
                         .fingerprint = f.fingerprint };
        most(&s, &f);
        if (!describe(x, &s, &f, e)) {
            shard_file_close(&f);
            return false;
        }
        snprintf(own, sizeof own, "%s-%05lld-%016llx.h5", split_names[split], (long long)number, (unsigned long long)s.stored);
        s.name = strdup(name ? name : own);
        x->shard = realloc(x->shard, (size_t)(x->n + 1) * sizeof *x->shard);
        CHECK(s.name && x->shard, "no memory for a list of %d shards", x->n + 1);
        x->shard[x->n++] = s;
        x->meta.samples += s.samples;
        x->meta.images += s.images;
        x->meta.tokens += s.tokens;
    }
    shard_file_close(&f);
    return ok;
}

/* ---- the file ---- */

bool index_write(Index *x, Err *e)
{
    static const char zeros[INDEX_BLOCK];
    enum { LINE = 64 };
    x->blocks = ceil_div(x->used, INDEX_BLOCK);
    index_append(x, zeros, x->blocks * INDEX_BLOCK - x->used);
    char *json = index_json(x);
    const int64_t n = (int64_t)strlen(json), hashes = x->blocks * (int64_t)sizeof(uint64_t);
    x->first = ceil_div(LINE + n, INDEX_BLOCK) * INDEX_BLOCK;
    const int64_t all = x->first + x->used + hashes;
    char *file = malloc((size_t)all + 1);
    CHECK(file, "no memory for an index of %lld bytes", (long long)all);
    memset(file, '\n', (size_t)x->first);
    const int line = snprintf(file, LINE, "asvr-set %d 0000000000000000 %010lld %010lld", INDEX_VERSION, (long long)n, (long long)x->blocks);
    memset(file + line, ' ', (size_t)(LINE - 1 - line));
    memcpy(file + LINE, json, (size_t)n);
    memcpy(file + x->first, x->memory, (size_t)x->used);
    uint64_t *hash = (uint64_t *)(void *)(file + x->first + x->used);
    for (int64_t b = 0; b < x->blocks; b++)
        hash[b] = XXH64(x->memory + b * INDEX_BLOCK, INDEX_BLOCK, 0);
    x->hash = index_hash(file, x->first, hash, x->blocks);
    char hex[17];
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)x->hash);
    memcpy(file + sizeof "asvr-set 1", hex, 16);
    const bool ok = file_replace(x->path, file, (size_t)all, e);
    free(json);
    free(file);
    return ok;
}
