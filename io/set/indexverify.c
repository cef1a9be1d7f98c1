/* indexverify.c -- is every byte of an index and of its shards what was written?  By hashes alone, at the disk's speed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "io/base/files.h"
#include "io/set/indexinside.h"

enum { RUN = 4 << 20 /* bytes read at once: many pieces */ };

/* A reader of a file that is asked for pieces in ascending order. */
typedef struct { int fd; const char *path; char *bytes; int64_t at, have; } Window;

static bool piece_hash(Window *w, const IndexPiece *p, uint64_t *hash, int64_t *bytes, Err *e)
{
    XXH64_state_t state;
    XXH64_reset(&state, 0);
    for (int64_t done = 0; done < p->size;) {
        const int64_t from = p->offset + done;
        if (from < w->at || from >= w->at + w->have) {
            w->at = from;
            w->have = file_pread(w->fd, w->bytes, RUN, from);
            if (w->have < 0)
                return file_error(e, w->path, "read");
            if (w->have == 0)
                return err_set(e, EXIT_DATA, w->path, "copy the shard again", "the shard is truncated at byte %lld", (long long)from);
            *bytes += w->have;
        }
        const int64_t some = min64(p->size - done, w->at + w->have - from);
        XXH64_update(&state, w->bytes + (from - w->at), (size_t)some);
        done += some;
    }
    *hash = XXH64_digest(&state);
    return true;
}

typedef struct { IndexPiece is; int array; int64_t row; } Named;

static int by_offset(const void *a, const void *b)
{
    const int64_t x = ((const Named *)a)->is.offset, y = ((const Named *)b)->is.offset;
    return (x > y) - (x < y);
}

/* All pieces of shard i in the order of the file, to be freed. */
static Named *pieces(const Index *x, int i, int64_t *n, Err *e)
{
    const IndexShard *s = &x->shard[i];
    IndexReader *r = index_reader_open();
    int64_t all = s->rest, at = s->tables;
    for (int k = 0; k < SHARD_ARRAYS; k++)
        all += s->chunks[k];
    Named *list = malloc((size_t)(all + 1) * sizeof *list);
    CHECK(list, "no memory for %lld pieces of a shard", (long long)all);
    *n = 0;
    bool ok = true;
    for (int k = 0; k <= SHARD_ARRAYS && ok; k++)               /* the last: what is no chunk */
        for (int64_t c = 0; c < (k < SHARD_ARRAYS ? s->chunks[k] : s->rest) && ok; c++, at += (int64_t)sizeof(IndexPiece)) {
            Named *p = &list[(*n)++];
            *p = (Named){ .array = k, .row = k < SHARD_ARRAYS ? c * s->per[k] : 0 };
            ok = index_read(r, x, at, &p->is, sizeof p->is, e);
            if (ok && (p->is.offset < 0 || p->is.size < 0 || p->is.offset > s->bytes - p->is.size))
                ok = index_bad(x, e, "a piece of shard \"%s\" lies outside of the file", s->name);
        }
    index_reader_close(r);
    if (ok)
        qsort(list, (size_t)*n, sizeof *list, by_offset);
    else
        free(list);
    return ok ? list : NULL;
}

static bool check_pieces(int i, Window *w, const Named *list, int64_t from, int64_t to, int64_t *bytes, Err *e)
{
    for (int64_t c = from; c < to; c++) {
        const Named *p = &list[c];
        uint64_t is = 0;
        if (!piece_hash(w, &p->is, &is, bytes, e))
            return false;
        if (is == p->is.xxh64)
            continue;
        char where[sizeof e->where];
        snprintf(where, sizeof where, "%.400s, byte offsets %lld to %lld", w->path, (long long)p->is.offset,
                 (long long)(p->is.offset + p->is.size - 1));
        err_expected(e, "XXH64 %016llx", (unsigned long long)p->is.xxh64);
        err_got(e, "XXH64 %016llx", (unsigned long long)is);
        if (p->array < SHARD_ARRAYS)
            return err_set(e, EXIT_DATA, where, "copy the shard again, or pack it again with `asvr pack`",
                           "shard %d of the data set: dataset \"%s\", row %lld is not what was written", i,
                           shard_array_names[p->array], (long long)p->row);
        return err_set(e, EXIT_DATA, where, "copy the shard again, or pack it again with `asvr pack`",
                       "shard %d of the data set: HDF5's own metadata are not what was written", i);
    }
    return true;
}

bool index_verify_shard(const Index *x, int i, int part, int parts, int64_t *bytes, Err *e)
{
    char path[4096];
    struct stat st;
    int64_t n;
    const IndexShard *s = &x->shard[i];
    Window w = { .path = path };
    if (!index_shard_path(x, i, path, sizeof path, e))
        return false;
    if ((w.fd = file_open(path, O_RDONLY)) < 0 || fstat(w.fd, &st))
        return err_set(e, EXIT_DATA, path, "copy the shard again, or pack it again with `asvr pack`", "the shard cannot be opened: %m");
    bool ok = st.st_size == s->bytes;
    if (!ok) {
        err_expected(e, "%lld bytes", (long long)s->bytes);
        err_got(e, "%lld bytes", (long long)st.st_size);
        err_set(e, EXIT_DATA, path, "copy the shard again, or pack it again with `asvr pack`",
                "the shard is not as long as the index says");
    }
    Named *list = ok ? pieces(x, i, &n, e) : NULL;
    if (list) {
        CHECK((w.bytes = malloc(RUN)), "no memory for %d bytes of a shard", RUN);
        ok = check_pieces(i, &w, list, n * part / parts, n * (part + 1) / parts, bytes, e);
        free(w.bytes);
        free(list);
    }
    close(w.fd);
    return ok && list;
}

bool index_verify(const Index *x, int part, int parts, int64_t *bytes, Err *e)
{
    IndexReader *r = index_reader_open();
    bool ok = true;
    char byte;
    for (int64_t b = x->blocks * part / parts; b < x->blocks * (part + 1) / parts && ok; b++) {
        ok = index_read(r, x, b * INDEX_BLOCK, &byte, 1, e);
        *bytes += INDEX_BLOCK;
    }
    index_reader_close(r);
    return ok;
}
