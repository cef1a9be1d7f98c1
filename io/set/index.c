#include "io/set/index.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "io/base/files.h"
#include "io/set/indexinside.h"

const char *const split_names[SPLITS] = { "train", "val" };

enum { LINE = 64, CACHED = 64 /* blocks that a reader keeps: 1 MiB */, START_TABLES = 3 };
static const int64_t JSON_MOST = INT64_C(1) << 30, BLOCKS_MOST = INT64_C(1) << 32;

/* ---- opening ---- */

bool index_bad(const Index *x, Err *e, const char *fmt, ...)
{
    char what[sizeof e->what];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return err_set(e, EXIT_DATA, x->path, "copy the data set again, or pack it again with `asvr pack`", "%s", what);
}

uint64_t index_hash(const void *head, int64_t n, const uint64_t *hash, int64_t blocks)
{
    return XXH64(hash, (size_t)blocks * sizeof *hash, XXH64(head, (size_t)n, INDEX_VERSION));
}

/* n bytes at `at`; a file that ends before them was cut. */
static bool read_at(const Index *x, void *out, int64_t n, int64_t at, Err *e)
{
    const int64_t got = file_pread(x->fd, out, n, at);
    return got == n || (got < 0 ? file_error(e, x->path, "read") : index_bad(x, e, "the index ends before byte %lld", (long long)(at + n)));
}

static bool first_line(Index *x, int64_t *json, Err *e)
{
    char line[LINE + 1] = "", again[LINE + 1];
    unsigned long long hash;
    long long bytes, blocks;
    int version, got = (int)file_pread(x->fd, line, LINE, 0);
    if (got < 0)
        return file_error(e, x->path, "read");
    if (strncmp(line, "asvr-set ", 9))
        return err_set(e, EXIT_DATA, x->path, "data.set names the index file that `asvr pack` writes", "this is no index of a data set");
    if (sscanf(line, "asvr-set %d ", &version) == 1 && version > INDEX_VERSION)
        return err_set(e, EXIT_DATA, x->path, "use the program that packed it, or a later one",
                       "an index of version %d; this program reads version %d", version, INDEX_VERSION);
    if (sscanf(line, "asvr-set %d %16llx %10lld %10lld", &version, &hash, &bytes, &blocks) != 4 || bytes < 2 || blocks < 0 ||
        bytes > JSON_MOST || blocks > BLOCKS_MOST)
        return index_bad(x, e, "the first line makes no sense");
    snprintf(again, sizeof again, "asvr-set %d %016llx %010lld %010lld", version, hash, bytes, blocks);
    memset(again + strlen(again), ' ', LINE - strlen(again));
    again[LINE - 1] = '\n';
    if (memcmp(line, again, LINE))
        return index_bad(x, e, "the first line is not as it was written");
    x->hash = hash;
    x->blocks = blocks;
    *json = bytes;
    x->first = ceil_div(LINE + bytes, INDEX_BLOCK) * INDEX_BLOCK;
    return true;
}

static bool read_head(Index *x, Err *e)
{
    struct stat st;
    int64_t json = 0, tail;
    if (!first_line(x, &json, e))
        return false;
    tail = x->first + x->blocks * INDEX_BLOCK;
    if (fstat(x->fd, &st))
        return file_error(e, x->path, "stat");
    if (st.st_size != tail + x->blocks * (int64_t)sizeof *x->block_hash) {
        err_expected(e, "%lld bytes", (long long)(tail + x->blocks * (int64_t)sizeof *x->block_hash));
        err_got(e, "%lld bytes", (long long)st.st_size);
        return index_bad(x, e, "the index is cut off, or longer than it was written");
    }
    char *head = malloc((size_t)x->first);
    x->block_hash = malloc((size_t)(x->blocks + 1) * sizeof *x->block_hash);
    CHECK(head && x->block_hash, "no memory for the head of an index of %lld bytes", (long long)st.st_size);
    const int64_t hashes = x->blocks * (int64_t)sizeof *x->block_hash;
    bool ok = read_at(x, head, x->first, 0, e) && read_at(x, x->block_hash, hashes, tail, e);
    if (ok) {
        char line[LINE];
        memcpy(line, head, LINE);
        memset(head + sizeof "asvr-set 1", '0', 16);                    /* the hash does not speak of itself */
        if (index_hash(head, x->first, x->block_hash, x->blocks) != x->hash)
            ok = index_bad(x, e, "the index is not what was written: its hash is another (in the first %lld bytes, or from byte %lld on)",
                           (long long)x->first, (long long)tail);
    }
    ok = ok && index_parse(x, head + LINE, (size_t)json, x->blocks * INDEX_BLOCK, e);
    free(head);
    return ok;
}

Index *index_new(const char *path)
{
    Index *x = calloc(1, sizeof *x);
    CHECK(x && (x->path = strdup(path)) && (x->folder = strdup(path)), "no memory for an index");
    char *slash = strrchr(x->folder, '/');
    if (slash)
        slash[slash == x->folder] = 0;
    else
        strcpy(x->folder, *x->folder ? "." : "");
    x->fd = -1;
    return x;
}

Index *index_open(const char *path, Err *e)
{
    char inside[4096];
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && snprintf(inside, sizeof inside, "%s/index.set", path) < (int)sizeof inside)
        path = inside;
    Index *x = index_new(path);
    x->fd = file_open(path, O_RDONLY);
    if (x->fd < 0)
        err_set(e, EXIT_DATA, path, "make it with `asvr pack`, or correct data.set", "the data set's index cannot be opened: %m");
    else if (read_head(x, e))
        return x;
    index_close(x);
    return NULL;
}

void index_close(Index *x)
{
    if (!x)
        return;
    if (x->fd >= 0)
        close(x->fd);
    for (int i = 0; i < x->n; i++)
        free(x->shard[i].name);
    free(x->shard);
    free(x->path);
    free(x->folder);
    free(x->options);
    free(x->memory);
    free(x->block_hash);
    free(x);
}

bool index_shard_path(const Index *x, int i, char *path, size_t cap, Err *e)
{
    const int n = x->hash ? snprintf(path, cap, "%s/%s", x->folder, x->shard[i].name) : snprintf(path, cap, "%s", x->shard[i].name);
    return n < (int)cap || err_set(e, EXIT_IO, x->folder, "", "the path of a shard is too long");
}

void index_layout(const Index *x, int i, ShardArray array[SHARD_ARRAYS])
{
    const IndexShard *s = &x->shard[i];
    ShardMeta m = x->meta;
    m.samples = s->samples;
    m.images = s->images;
    m.tokens = s->tokens;
    m.eval &= s->split == SPLIT_VAL;
    shard_layout(&m, s->answers, array);
}

/* ---- tables ---- */

int64_t index_table_bytes(const Index *x, const IndexShard *s)
{
    int64_t pieces = s->rest, starts = x->meta.eval && s->split == SPLIT_VAL ? START_TABLES : START_TABLES - 1;
    for (int k = 0; k < SHARD_ARRAYS; k++)
        pieces += s->chunks[k];
    return pieces * (int64_t)sizeof(IndexPiece) + starts * (s->samples + 1) * (int64_t)sizeof(int64_t);
}

int64_t index_starts(const IndexShard *s, int which)
{
    int64_t pieces = s->rest;
    for (int k = 0; k < SHARD_ARRAYS; k++)
        pieces += s->chunks[k];
    return s->tables + pieces * (int64_t)sizeof(IndexPiece) + which * (s->samples + 1) * (int64_t)sizeof(int64_t);
}

struct IndexReader {
    struct { const Index *of; int64_t block; char *bytes; } kept[CACHED];
    char *bytes;
};

IndexReader *index_reader_open(void)
{
    IndexReader *r = calloc(1, sizeof *r);
    CHECK(r && (r->bytes = malloc((size_t)CACHED * INDEX_BLOCK)), "no memory for blocks of an index");
    for (int i = 0; i < CACHED; i++)
        r->kept[i].bytes = r->bytes + (size_t)i * INDEX_BLOCK;
    return r;
}

void index_reader_close(IndexReader *r)
{
    if (r)
        free(r->bytes);
    free(r);
}

/* A block, checked, from a slot or from the file. */
static const char *block(IndexReader *r, const Index *x, int64_t b, Err *e)
{
    const int slot = (int)((uint64_t)b % CACHED);
    if (r->kept[slot].of == x && r->kept[slot].block == b)
        return r->kept[slot].bytes;
    char *bytes = r->kept[slot].bytes;
    r->kept[slot].of = NULL;
    if (!read_at(x, bytes, INDEX_BLOCK, x->first + b * INDEX_BLOCK, e))
        return NULL;
    if (XXH64(bytes, INDEX_BLOCK, 0) != x->block_hash[b]) {
        index_bad(x, e, "the %d bytes at byte offset %lld of the index are not those that were written", INDEX_BLOCK,
                  (long long)(x->first + b * INDEX_BLOCK));
        return NULL;
    }
    r->kept[slot].of = x;
    r->kept[slot].block = b;
    return bytes;
}

bool index_read(IndexReader *r, const Index *x, int64_t at, void *out, int64_t n, Err *e)
{
    if (x->memory) {
        ASSERT(at >= 0 && at + n <= x->used);
        memcpy(out, x->memory + at, (size_t)n);
        return true;
    }
    ASSERT(at >= 0 && at + n <= x->blocks * INDEX_BLOCK);
    for (int64_t done = 0; done < n;) {
        const int64_t within = (at + done) % INDEX_BLOCK, some = min64(n - done, INDEX_BLOCK - within);
        const char *bytes = block(r, x, (at + done) / INDEX_BLOCK, e);
        if (!bytes)
            return false;
        memcpy((char *)out + done, bytes + within, (size_t)some);
        done += some;
    }
    return true;
}

bool index_chunk(IndexReader *r, const Index *x, int i, int k, int64_t c, H5Chunk *out, Err *e)
{
    const IndexShard *s = &x->shard[i];
    int64_t before = c;
    IndexPiece p;
    ASSERT(c >= 0 && c < s->chunks[k]);
    for (int j = 0; j < k; j++)
        before += s->chunks[j];
    if (!index_read(r, x, s->tables + before * (int64_t)sizeof p, &p, sizeof p, e))
        return false;
    *out = (H5Chunk){ .row = c * s->per[k], .offset = p.offset, .size = p.size, .xxh64 = p.xxh64 };
    snprintf(out->dataset, sizeof out->dataset, "%s", shard_array_names[k]);
    return true;
}
