#include "io/ckpt/local.h"

#include "io/base/files.h"
#include "io/ckpt/ckptdir.h"
#include "io/ckpt/tensors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

typedef struct LocalExtent { int64_t offset, bytes; uint64_t hash; } LocalExtent;

enum { LONGEST = 1 << 20 /* floats of an extent */, MAGIC_BYTES = 16, MOST = 1 << 28 /* entries of a table that a reader accepts */ };
static const char MAGIC[MAGIC_BYTES] = "asvr-local-part2";

/* The head on the disk.  hash: XXH64 of the head with hash 0, then of both tables. */
typedef struct {
    char     magic[MAGIC_BYTES];
    uint64_t hash, life;
    int32_t  rank, size, extents, tensors, own;     /* own: of the extents, those of HDF5, which come first */
    int64_t  bytes;
    TensorSums sums;
    CkptMeta meta;
} Head;

#define PART_FORMAT STEP_FORMAT ".%016" PRIx64 ".rank-%05d"

static bool name_of(char out[PATH_ROOM], const char *dir, const char *before, int64_t step, uint64_t life, int rank, Err *e)
{
    return path_set(out, e, "%s/%s" PART_FORMAT, dir, before, step, life, rank);
}

static uint64_t hash_of(Head h, const LocalExtent *extent, const CkptTensor *tensor)
{
    XXH64_state_t *state = XXH64_createState();
    CHECK(state, "no memory for a hash");
    h.hash = 0;
    XXH64_reset(state, 0);
    XXH64_update(state, &h, sizeof h);
    XXH64_update(state, extent, (size_t)h.extents * sizeof *extent);
    XXH64_update(state, tensor, (size_t)h.tensors * sizeof *tensor);
    const uint64_t hash = XXH64_digest(state);
    XXH64_freeState(state);
    return hash;
}

static int64_t data_at(const Head *h)
{
    return ceil_div((int64_t)sizeof *h + h->extents * (int64_t)sizeof(LocalExtent) + h->tensors * (int64_t)sizeof(CkptTensor), 4096) * 4096;
}

/* ---- writing ---- */

typedef struct { int fd; const char *path; int64_t at; LocalExtent *extent; int n, cap; } Writer;

static bool put(Writer *w, const void *data, int64_t offset, int64_t bytes, Err *e)
{
    if (w->n == w->cap) {
        w->cap = 2 * w->cap + 64;
        w->extent = realloc(w->extent, (size_t)w->cap * sizeof *w->extent);
        CHECK(w->extent, "no memory for a table of extents");
    }
    w->extent[w->n++] = (LocalExtent){ offset, bytes, XXH64(data, (size_t)bytes, 0) };
    if (!file_pwrite(w->fd, data, bytes, w->at))
        return file_error(e, w->path, "write");
    w->at += bytes;
    return true;
}

/* How many extents a part will be: its tables come first in the file. */
static int count(const LocalSource *s)
{
    SliceRun r;
    int64_t n = s->rank ? 0 : s->layout->extents;
    for (int i = 0; i < s->plan->parts; i++)
        for (int64_t k = 0; slice_run(&s->plan->part[i].slice, k, &r); k++)
            n += ceil_div(r.n, LONGEST);
    CHECK(n < MOST, "too many pieces of a checkpoint: %" PRId64, n);
    return (int)n;
}

static bool put_all(Writer *w, const LocalSource *s, TensorSums *sums, Err *e)
{
    for (int i = 0; s->rank == 0 && i < s->layout->extents; i++) {
        const Extent *x = &s->layout->extent[i];
        if (!put(w, x->data, x->offset, x->bytes, e))
            return false;
    }
    for (int i = 0; i < s->plan->parts; i++) {
        const SavePart *p = &s->plan->part[i];
        const CkptTensor *t = &s->layout->tensor[p->tensor];
        SliceRun r;
        for (int64_t k = 0; slice_run(&p->slice, k, &r); k++)
            for (int64_t done = 0, n; done < r.n; done += n) {
                const float *data = s->stage + p->at + r.here + done;
                n = min64(r.n - done, LONGEST);
                tensors_add(sums, t, data, r.at + done, n);
                if (!put(w, data, t->offset + 4 * (r.at + done), 4 * n, e))
                    return false;
            }
    }
    return true;
}

static bool write_tables(const Writer *w, Head *h, const CkptTensor *tensor, Err *e)
{
    const int64_t extents = h->extents * (int64_t)sizeof *w->extent;
    h->hash = hash_of(*h, w->extent, tensor);
    return (file_pwrite(w->fd, h, sizeof *h, 0) && file_pwrite(w->fd, w->extent, extents, sizeof *h) &&
            file_pwrite(w->fd, tensor, h->tensors * (int64_t)sizeof *tensor, (int64_t)sizeof *h + extents)) ||
           file_error(e, w->path, "write");
}

bool local_write(const char *dir, const LocalSource *s, TensorSums *sums, Err *e)
{
    char path[PATH_ROOM], temp[PATH_ROOM];
    Head h;
    memset(&h, 0, sizeof h);                    /* what lies between its members is hashed, too */
    memcpy(h.magic, MAGIC, sizeof h.magic);
    h.life = s->life, h.rank = s->rank, h.size = s->size, h.extents = count(s), h.tensors = s->rank ? 0 : s->layout->tensors;
    h.bytes = s->layout->bytes, h.own = s->rank ? 0 : s->layout->extents;
    memcpy(&h.meta, s->meta, sizeof h.meta);
    if (!name_of(path, dir, "", s->meta->step, s->life, s->rank, e) || !name_of(temp, dir, ".tmp-", s->meta->step, s->life, s->rank, e) ||
        !dir_make(dir, e))
        return false;
    Writer w = { file_open(temp, O_WRONLY | O_CREAT | O_TRUNC), temp, data_at(&h), NULL, 0, 0 };
    bool ok = (w.fd >= 0 || file_error(e, temp, "create")) && put_all(&w, s, sums, e);
    ASSERT(!ok || w.n == h.extents);
    memcpy(&h.sums, sums, sizeof h.sums);
    ok = ok && write_tables(&w, &h, s->layout->tensor, e) && (file_fsync(w.fd) || file_error(e, temp, "fsync"));
    if (w.fd >= 0 && !file_close(w.fd) && ok)
        ok = file_error(e, temp, "close");
    ok = ok && file_commit(temp, path, e);
    if (!ok)
        unlink(temp);
    free(w.extent);
    return ok;
}

/* ---- reading ---- */

static bool damaged(const char *path, const char *what, Err *e)
{
    return err_set(e, EXIT_DATA, path, "", "a part of a checkpoint on this node's disk is damaged: %s", what);
}

/* One extent, checked, into buf. */
static bool get(const LocalPart *p, int i, int64_t at, char *buf, const char *path, Err *e)
{
    const LocalExtent *x = &p->extent[i];
    return (file_pread(p->fd, buf, x->bytes, at) == x->bytes && XXH64(buf, (size_t)x->bytes, 0) == x->hash) || damaged(path, "its data", e);
}

/* HDF5's own bytes. */
static bool get_own(LocalPart *p, int64_t at, const char *path, Err *e)
{
    bool ok = true;
    p->own = calloc((size_t)p->owns + 1, sizeof *p->own);
    CHECK(p->own, "no memory for the tables of %s", path);
    for (int i = 0; i < p->owns && ok; at += p->extent[i++].bytes) {
        p->own[i] = (Extent){ p->extent[i].offset, p->extent[i].bytes, malloc((size_t)p->extent[i].bytes + 1) };
        CHECK(p->own[i].data, "no memory for the tables of %s", path);
        ok = get(p, i, at, p->own[i].data, path, e);
    }
    return ok;
}

/* Counts are believed as far as the file is long: memory is taken before the hash is known. */
static bool credible(const Head *h, int64_t bytes, int64_t step, uint64_t life, int rank)
{
    return h->extents >= 0 && h->extents < MOST && h->own >= 0 && h->own <= h->extents && h->tensors >= 0 && h->tensors < MOST &&
           data_at(h) <= bytes && h->rank == rank && h->life == life && h->meta.step == step;
}

bool local_open(LocalPart *p, const char *dir, int64_t step, uint64_t life, int rank, Err *e)
{
    char path[PATH_ROOM];
    struct stat st;
    Head h;
    *p = (LocalPart){ .fd = -1 };
    if (!name_of(path, dir, "", step, life, rank, e))
        return false;
    p->fd = file_open(path, O_RDONLY);
    if (p->fd < 0)
        return damaged(path, strerror(errno), e);
    if (fstat(p->fd, &st) || file_pread(p->fd, &h, sizeof h, 0) != sizeof h || memcmp(h.magic, MAGIC, sizeof h.magic) ||
        !credible(&h, st.st_size, step, life, rank))
        return damaged(path, "its head", e);
    const int64_t extents = h.extents * (int64_t)sizeof *p->extent, tensors = h.tensors * (int64_t)sizeof *p->tensor;
    p->extent = malloc((size_t)extents + 1);
    p->tensor = malloc((size_t)tensors + 1);
    CHECK(p->extent && p->tensor, "no memory for the tables of %s", path);
    if (file_pread(p->fd, p->extent, extents, sizeof h) != extents ||
        file_pread(p->fd, p->tensor, tensors, (int64_t)sizeof h + extents) != tensors || hash_of(h, p->extent, p->tensor) != h.hash)
        return damaged(path, "its tables", e);
    for (int i = 0; i < h.extents; i++)
        if (p->extent[i].bytes < 0 || p->extent[i].bytes > (i < h.own ? st.st_size : (int64_t)(LONGEST * sizeof(float))))
            return damaged(path, "its tables", e);
    p->rank = h.rank, p->size = h.size, p->extents = h.extents, p->tensors = h.tensors, p->bytes = h.bytes;
    p->meta = h.meta, p->sums = h.sums, p->owns = h.own;
    return get_own(p, data_at(&h), path, e);
}

void local_close(LocalPart *p)
{
    if (p->fd >= 0)
        close(p->fd);
    for (int i = 0; p->own && i < p->owns; i++)
        free(p->own[i].data);
    free(p->own);
    free(p->extent);
    free(p->tensor);
    *p = (LocalPart){ .fd = -1 };
}

bool local_carry(const LocalPart *p, int fd, const char *path, Err *e)
{
    const Head h = { .extents = p->extents, .tensors = p->tensors };
    int64_t at = data_at(&h);
    char *buf = malloc(LONGEST * sizeof(float));
    CHECK(buf, "no memory for %zu bytes of a checkpoint", LONGEST * sizeof(float));
    bool ok = true;
    for (int i = 0; i < p->extents && ok; at += p->extent[i++].bytes)
        if (i >= p->owns)
            ok = get(p, i, at, buf, path, e) && (file_pwrite(fd, buf, p->extent[i].bytes, p->extent[i].offset) || file_error(e, path, "write"));
    free(buf);
    return ok;
}

/* ---- the folder ---- */

bool local_list(const char *dir, LocalName **list, int *n, Err *e)
{
    int cap = 0;
    *list = NULL, *n = 0;
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT || file_error(e, dir, "read the folder of ckpt.local");
    const struct dirent *x;
    for (errno = 0; (x = readdir(d)); errno = 0) {
        char again[96];
        LocalName l;
        if (sscanf(x->d_name, "step-%" SCNd64 ".%" SCNx64 ".rank-%d", &l.step, &l.life, &l.rank) != 3)
            continue;
        snprintf(again, sizeof again, PART_FORMAT, l.step, l.life, l.rank);
        if (strcmp(again, x->d_name))
            continue;
        if (*n == cap) {
            cap = 2 * cap + 16;
            *list = realloc(*list, (size_t)cap * sizeof **list);
            CHECK(*list, "no memory for a list of %d files", cap);
        }
        (*list)[(*n)++] = l;
    }
    const bool ok = errno == 0 || file_error(e, dir, "read the folder of ckpt.local");
    closedir(d);
    return ok;
}

void local_prune(const char *dir, uint64_t life, int64_t newest, int64_t other, int64_t first)
{
    LocalName *list;
    int n;
    char path[PATH_ROOM];
    Err e = { 0 };
    if (!local_list(dir, &list, &n, &e))
        return;
    for (int i = 0; i < n; i++) {
        const LocalName *l = &list[i];
        if ((l->life == life ? l->step < newest && l->step != other : l->step < first) && name_of(path, dir, "", l->step, l->life, l->rank, &e))
            unlink(path);
    }
    free(list);
}

void local_forget(const char *dir)
{
    local_prune(dir, 0, INT64_MAX, -1, INT64_MAX);
    rmdir(dir);
}

void local_clean(const char *dir)
{
    char path[PATH_ROOM];
    Err e = { 0 };
    DIR *d = opendir(dir);
    if (!d)
        return;
    const struct dirent *x;
    while ((x = readdir(d)))
        if (!strncmp(x->d_name, ".tmp-step-", 10) && path_set(path, &e, "%s/%s", dir, x->d_name))
            unlink(path);
    closedir(d);
}
