#include "tests/bench/ceiling.h"

#include <fcntl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "io/base/files.h"
#include "io/set/frame.h"

enum { SLOTS = 4 /* as io/set/reader.c */ };

static void *memory(int64_t n, size_t size)
{
    void *p = calloc((size_t)max64(n, 1), size);
    CHECK(p, "no memory for %lld x %zu bytes", (long long)n, size);
    return p;
}

static void good(bool ok, const Err *e)
{
    CHECK(ok, "%s: %s (expected %s, got %s)", e->where, e->what, e->expected, e->got);
}

typedef struct { uint8_t *bytes; int64_t size; } Packed;

/* A training shard: its stored chunks and where its samples begin. */
typedef struct {
    const IndexShard *is;
    Packed  *chunk[SHARD_ARRAYS];
    int64_t *image_start, *token_start, first;
} Held;

typedef struct { const Held *of; int64_t chunk, used; uint8_t *rows; } Slot;

typedef struct {
    ZSTD_DCtx *z;
    Slot       slot[SHARD_ARRAYS][SLOTS];
    int64_t    clock;
    Gather     batch;
} Unpacker;

static const int arrays[] = { SHARD_TOKENS, SHARD_LABELS, SHARD_PIXELS, SHARD_CODES };

struct Ceiling {
    Index        *index;
    const Shards *shards;
    LoaderConf    conf;
    int           n, image, store;
    Held         *held;                     /* (n) */
    int64_t       row_bytes[SHARD_ARRAYS];
    Unpacker     *unpacker;                 /* (threads) */
};

static int64_t *starts(IndexReader *r, const Index *x, const IndexShard *s, int which)
{
    Err e = { 0 };
    int64_t *start = memory(s->samples + 1, sizeof *start);
    good(index_read(r, x, index_starts(s, which), start, (s->samples + 1) * (int64_t)sizeof *start, &e), &e);
    return start;
}

static void hold(Ceiling *c, const Index *x, int i, IndexReader *r, int64_t first)
{
    Err e = { 0 };
    char path[4096];
    ShardArray a[SHARD_ARRAYS];
    Held *h = &c->held[c->n++];
    *h = (Held){ .is = &x->shard[i], .first = first };
    h->image_start = starts(r, x, h->is, 0);
    h->token_start = starts(r, x, h->is, 1);
    index_layout(x, i, a);
    good(index_shard_path(x, i, path, sizeof path, &e), &e);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0, "%s: %m", path);
    for (size_t j = 0; j < sizeof arrays / sizeof *arrays; j++) {
        const int k = arrays[j];
        c->row_bytes[k] = a[k].row_bytes;
        h->chunk[k] = memory(h->is->chunks[k], sizeof *h->chunk[k]);
        for (int64_t n = 0; n < h->is->chunks[k]; n++) {
            H5Chunk where;
            good(index_chunk(r, x, i, k, n, &where, &e), &e);
            h->chunk[k][n] = (Packed){ memory(where.size, 1), where.size };
            CHECK(file_pread(fd, h->chunk[k][n].bytes, where.size, where.offset) == where.size, "%s: %m", path);
        }
    }
    close(fd);
}

Ceiling *ceiling_open(const char *set, const Shards *s, const LoaderConf *conf)
{
    Err e = { 0 };
    Index *x = index_open(set, &e);
    good(x, &e);
    Ceiling *c = memory(1, sizeof *c);
    const GatherRoom room = loader_room(s, conf);
    int64_t first = 0, most[SHARD_ARRAYS] = { 0 };
    IndexReader *r = index_reader_open();
    *c = (Ceiling){ .index = x, .shards = s, .conf = *conf, .image = x->meta.image, .store = x->meta.store, .held = memory(x->n, sizeof *c->held) };
    for (int i = 0; i < x->n; i++)
        if (x->shard[i].split == SPLIT_TRAIN) {
            hold(c, x, i, r, first);
            first += x->shard[i].samples;
            for (int k = 0; k < SHARD_ARRAYS; k++)
                most[k] = max64(most[k], x->shard[i].per[k] * c->row_bytes[k]);
        }
    index_reader_close(r);
    c->unpacker = memory(conf->threads, sizeof *c->unpacker);
    for (Unpacker *u = c->unpacker; u < c->unpacker + conf->threads; u++) {
        u->z = ZSTD_createDCtx();
        CHECK(u->z, "no memory for zstd");
        gather_open(&u->batch, &room);
        for (int k = 0; k < SHARD_ARRAYS; k++)
            for (int j = 0; j < SLOTS; j++)
                u->slot[k][j].rows = memory(most[k], 1);
    }
    return c;
}

void ceiling_close(Ceiling *c)
{
    for (Held *h = c->held; h < c->held + c->n; h++) {
        for (int k = 0; k < SHARD_ARRAYS; k++) {
            for (int64_t n = 0; n < h->is->chunks[k] && h->chunk[k]; n++)
                free(h->chunk[k][n].bytes);
            free(h->chunk[k]);
        }
        free(h->image_start);
        free(h->token_start);
    }
    for (Unpacker *u = c->unpacker; u < c->unpacker + c->conf.threads; u++) {
        for (int k = 0; k < SHARD_ARRAYS; k++)
            for (int j = 0; j < SLOTS; j++)
                free(u->slot[k][j].rows);
        gather_close(&u->batch);
        ZSTD_freeDCtx(u->z);
    }
    index_close(c->index);
    free(c->unpacker);
    free(c->held);
    free(c);
}

static const uint8_t *unpacked(const Ceiling *c, Unpacker *u, const Held *h, int k, int64_t chunk)
{
    Slot *oldest = u->slot[k];
    for (Slot *s = u->slot[k]; s < u->slot[k] + SLOTS; s++) {
        if (s->of == h && s->chunk == chunk) {
            s->used = ++u->clock;
            return s->rows;
        }
        oldest = s->used < oldest->used ? s : oldest;
    }
    const Packed *p = &h->chunk[k][chunk];
    const size_t bytes = (size_t)(h->is->per[k] * c->row_bytes[k]);
    CHECK(ZSTD_decompressDCtx(u->z, oldest->rows, bytes, p->bytes, (size_t)p->size) == bytes, "a chunk does not unpack");
    *oldest = (Slot){ h, chunk, ++u->clock, oldest->rows };
    return oldest->rows;
}

static void copy(const Ceiling *c, Unpacker *u, const Held *h, int k, int64_t first, int64_t n, void *to)
{
    const int64_t per = h->is->per[k], row = c->row_bytes[k];
    for (int64_t done = 0, some; done < n; done += some) {
        const int64_t within = (first + done) % per;
        some = min64(n - done, per - within);
        memcpy((char *)to + done * row, unpacked(c, u, h, k, (first + done) / per) + within * row, (size_t)(some * row));
    }
}

static void add(const Ceiling *c, Unpacker *u, int64_t sample)
{
    const Held *h = c->held;
    while (h + 1 < c->held + c->n && h[1].first <= sample)
        h++;
    Gather *g = &u->batch;
    Batch *b = &g->batch;
    const int64_t i = sample - h->first, t = h->token_start[i], v = h->image_start[i];
    const int64_t tokens = h->token_start[i + 1] - t, images = h->image_start[i + 1] - v;
    copy(c, u, h, SHARD_TOKENS, t, tokens, g->tokens + b->M);
    copy(c, u, h, SHARD_LABELS, t, tokens, g->labels + b->M);
    copy(c, u, h, SHARD_PIXELS, v, images, g->pixels + b->I * g->room.image_bytes);
    if (g->room.image_codes)
        copy(c, u, h, SHARD_CODES, v, images, g->codes + b->I * g->room.image_codes);
    if (c->store == STORE_DELTA)
        store_decode(g->pixels + b->I * g->room.image_bytes, images, c->image);
    b->B++;
    b->M += tokens;
    b->I += images;
}

uint64_t ceiling_hash(const Batch *b, int64_t image_bytes)
{
    return XXH64(b->pixels, (size_t)(b->I * image_bytes), XXH64(b->tokens, (size_t)b->M * 4, XXH64(b->labels, (size_t)b->M * 4, 1)));
}

uint64_t ceiling_run(Ceiling *c, int64_t step, int64_t n, bool hash)
{
    const LoaderConf *l = &c->conf;
    const int64_t A = l->global_batch / (l->micro_batch * l->dp_size);
    uint64_t sum = 0;
#pragma omp parallel for schedule(dynamic) num_threads(l->threads) reduction(+ : sum)
    for (int64_t m = 0; m < n * A; m++) {
        Unpacker *u = &c->unpacker[omp_get_thread_num()];
        const int64_t position = (step + m / A) * l->global_batch + (l->dp_rank * A + m % A) * l->micro_batch;
        gather_clear(&u->batch);
        for (int b = 0; b < l->micro_batch; b++)
            add(c, u, shards_pick(c->shards, l->seed, position + b));
        sum += hash ? ceiling_hash(gather_batch(&u->batch), u->batch.room.image_bytes) : 0;
    }
    return sum;
}
