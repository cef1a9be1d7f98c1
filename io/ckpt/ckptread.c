#include "io/ckpt/ckptinside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bits.h"
#include "core/rng.h"
#include "io/base/agree.h"

bool (*ckpt_fail)(int point);

bool ckpt_hurt(int point, Err *e)
{
    return ckpt_fail && ckpt_fail(point) && !err_set(e, EXIT_IO, "", "", "made to fail at point %d", point);
}

void ckpt_who(MPI_Comm comm, int *rank, int *size)
{
    *rank = 0, *size = 1;
    if (comm != MPI_COMM_NULL) {
        MPI_Comm_rank(comm, rank);
        MPI_Comm_size(comm, size);
    }
}

void ckpt_bcast(MPI_Comm comm, void *x, size_t bytes)
{
    if (comm != MPI_COMM_NULL)
        MPI_Bcast(x, (int)bytes, MPI_BYTE, 0, comm);
}

/* ---- opening ---- */

static bool read_text(const Ckpt *c, char **text, size_t *n, Err *e)
{
    char file[PATH_ROOM];
    if (ckpt_hurt(CKPT_AT_MANIFEST, e) || !path_set(file, e, "%s/" MANIFEST_NAME, c->path))
        return false;
    if (c->rank == 0 && access(file, F_OK) && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, EXIT_DATA, c->path, "", "it has no manifest: not a checkpoint, or one never finished");
    return c->rank || file_read(file, MANIFEST_MAX, text, n, e);
}

/* Rank 0 reads, all parse. */
static bool read_manifest(Ckpt *c, Err *e)
{
    char *text = NULL;
    size_t n = 0;
    bool ok = err_agree(c->comm, read_text(c, &text, &n, e), e);
    if (ok) {
        ckpt_bcast(c->comm, &n, sizeof n);
        if (c->rank)
            text = malloc(n + 1);
        CHECK(text, "no memory for a manifest of %zu bytes", n);
        ckpt_bcast(c->comm, text, n);
        char file[PATH_ROOM];
        ok = path_set(file, e, "%s/" MANIFEST_NAME, c->path) && !ckpt_hurt(CKPT_AT_PARSE, e) && manifest_parse(&c->m, text, n, file, e);
        ok = err_agree(c->comm, ok, e);
    }
    free(text);
    return ok;
}

static bool open_file(Ckpt *c, Err *e)
{
    struct stat st;
    if (ckpt_hurt(CKPT_AT_OPEN, e))
        return false;
    c->fd = file_open(c->file, O_RDONLY);
    if (c->fd < 0 && errno == ENOENT)
        return err_set(e, EXIT_DATA, c->file, "", "the checkpoint has no " TENSORS_NAME);
    if (c->fd < 0)
        return file_error(e, c->file, "open");
    if (fstat(c->fd, &st))
        return file_error(e, c->file, "stat");
    if (st.st_size == c->m.bytes)
        return true;
    err_expected(e, "%" PRId64 " bytes", c->m.bytes);
    err_got(e, "%lld bytes", (long long)st.st_size);
    return err_set(e, EXIT_DATA, c->file, "", "the file has not the size that the manifest says");
}

static int name_order(const void *a, const void *b, void *list)
{
    const CkptTensor *t = list;
    return strcmp(t[*(const int *)a].name, t[*(const int *)b].name);
}

static int offset_order(const void *a, const void *b, void *list)
{
    const CkptTensor *x = (const CkptTensor *)list + *(const int *)a, *y = (const CkptTensor *)list + *(const int *)b;
    return x->offset != y->offset ? (x->offset > y->offset) - (x->offset < y->offset) : (x > y) - (x < y);
}

static void sort_tensors(Ckpt *c)
{
    const size_t n = (size_t)c->m.tensors;
    c->by_name = calloc(2 * n + 1, sizeof *c->by_name);
    CHECK(c->by_name, "no memory for a list of %zu tensors", n);
    c->by_offset = c->by_name + n;
    for (size_t i = 0; i < n; i++)
        c->by_name[i] = c->by_offset[i] = (int)i;
    qsort_r(c->by_name, n, sizeof *c->by_name, name_order, c->m.tensor);
    qsort_r(c->by_offset, n, sizeof *c->by_offset, offset_order, c->m.tensor);
}

Ckpt *ckpt_begin(MPI_Comm comm, const char *path, bool *newer, Err *e)
{
    Ckpt *c = calloc(1, sizeof *c);
    CHECK(c, "no memory for a checkpoint");
    c->comm = comm, c->fd = -1, c->kept_block = -1;
    ckpt_who(comm, &c->rank, &c->size);
    bool ok = path_set(c->path, e, "%s", path) && path_set(c->file, e, "%s/" TENSORS_NAME, path);
    ok = err_agree(comm, ok, e) && read_manifest(c, e);
    *newer = c->m.newer;
    if (ok)
        sort_tensors(c);
    if (ok && err_agree(comm, open_file(c, e), e))
        return c;
    ckpt_close(c);
    return NULL;
}

Ckpt *ckpt_open(MPI_Comm comm, const char *path, Err *e)
{
    bool newer;
    return ckpt_begin(comm, path, &newer, e);
}

void ckpt_close(Ckpt *c)
{
    if (!c)
        return;
    if (c->fd >= 0)
        close(c->fd);
    manifest_free(&c->m);
    free(c->by_name);
    free(c->kept);
    free(c);
}

const CkptMeta *ckpt_meta(const Ckpt *c) { return &c->m.meta; }
const char *ckpt_path(const Ckpt *c) { return c->path; }
bool ckpt_damaged(const Ckpt *c) { return c->damaged; }

const CkptTensor *ckpt_tensors(const Ckpt *c, int *n)
{
    *n = c->m.tensors;
    return c->m.tensor;
}

const CkptTensor *ckpt_find(const Ckpt *c, const char *name)
{
    int lo = 0, hi = c->m.tensors;
    while (lo < hi) {
        const int mid = lo + (hi - lo) / 2;
        const CkptTensor *t = &c->m.tensor[c->by_name[mid]];
        const int order = strcmp(name, t->name);
        if (order == 0)
            return t;
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

/* ---- filling ---- */

/* A piece on its way: runs of its slice before `next` have arrived. */
typedef struct { const Piece *p; int64_t begin, end, next; } Want;

typedef struct { Want *want; int n, first; } Fill;      /* in the order of the file; those before `first` are full */

/* Whether every piece is in the checkpoint with its shape. */
static bool fits(const Ckpt *c, const Piece *p, int n, Want *w, Err *e)
{
    const char *hint = "the configuration differs from the one that wrote this checkpoint";
    if (ckpt_hurt(CKPT_AT_FITS, e))
        return false;
    for (int i = 0; i < n; i++) {
        const char *name = strncmp(p[i].name, "weights/", 8) ? p[i].name : p[i].name + 8;
        const CkptTensor *t = ckpt_find(c, p[i].name);
        const Slice *s = &p[i].slice;
        char has[SHAPE_TEXT], wants[SHAPE_TEXT];
        shape_text(wants, s->dims, s->size);
        if (!t)
            return err_set(e, EXIT_DATA, c->path, hint, "the checkpoint has no tensor \"%s\", the model wants one of %s", name, wants);
        if (t->dims != s->dims || memcmp(t->size, s->size, (size_t)s->dims * sizeof *s->size))
            return err_set(e, EXIT_DATA, c->path, hint, "tensor \"%s\" is %s, the model wants %s", name,
                           shape_text(has, t->dims, t->size), wants);
        w[i] = (Want){ &p[i], t->offset, t->offset + ckpt_bytes(t), 0 };
    }
    return true;
}

static int file_order(const void *a, const void *b)
{
    const Want *x = a, *y = b;
    return x->begin != y->begin ? (x->begin > y->begin) - (x->begin < y->begin) : (x->p > y->p) - (x->p < y->p);
}

/* The blocks that this rank's slices touch. */
static void mark(const Want *w, int n, unsigned char *need)
{
    SliceRun r;
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; slice_run(&w[i].p->slice, k, &r); k++) {
            const int64_t from = w[i].begin + 4 * r.at, last = (from + 4 * r.n - 1) / HASH_BLOCK;
            for (int64_t b = from / HASH_BLOCK; b <= last; b++)
                need[b] = 1;
        }
}

/* Those that no rank touches are shared out. */
static void mark_rest(const Ckpt *c, unsigned char *need)
{
    unsigned char *any = malloc((size_t)c->m.blocks + 1);
    CHECK(any, "no memory for a list of %" PRId64 " blocks", c->m.blocks);
    memcpy(any, need, (size_t)c->m.blocks);
    if (c->comm != MPI_COMM_NULL)
        MPI_Allreduce(MPI_IN_PLACE, any, (int)c->m.blocks, MPI_BYTE, MPI_BOR, c->comm);
    int64_t rest = 0, at = 0;
    for (int64_t b = 0; b < c->m.blocks; b++)
        rest += !any[b];
    const int64_t first = tensors_share(rest, c->rank, c->size), last = tensors_share(rest, c->rank + 1, c->size);
    for (int64_t b = 0; b < c->m.blocks; b++)
        if (!any[b]) {
            need[b] = at >= first && at < last;
            at++;
        }
    free(any);
}

/* Of a piece what lies in bytes [at, at + n) of the file. */
static void copy_out(Want *w, const char *bytes, int64_t at, int64_t n)
{
    SliceRun r;
    for (; slice_run(&w->p->slice, w->next, &r); w->next++) {
        const int64_t from = w->begin + 4 * r.at, to = from + 4 * r.n, lo = max64(from, at), hi = min64(to, at + n);
        if (lo < hi)
            memcpy((char *)(w->p->data + r.here) + (lo - from), bytes + (lo - at), (size_t)(hi - lo));
        if (to > at + n)
            return;                                     /* the rest comes with a later block */
    }
}

static void take_block(void *with, const char *bytes, int64_t at, int64_t n)
{
    Fill *f = with;
    while (f->first < f->n && f->want[f->first].end <= at)
        f->first++;
    for (int i = f->first; i < f->n && f->want[i].begin < at + n; i++)
        if (f->want[i].end > at)
            copy_out(&f->want[i], bytes, at, n);
}

bool ckpt_fill(Ckpt *c, const Piece *p, int n, int how, Err *e)
{
    Fill f = { calloc((size_t)n + 1, sizeof *f.want), n, 0 };
    unsigned char *need = calloc((size_t)c->m.blocks + 1, 1);
    CHECK(f.want && need, "no memory for a list of %d tensors", n);
    bool ok = err_agree(c->comm, fits(c, p, n, f.want, e), e);
    if (ok) {
        qsort(f.want, (size_t)n, sizeof *f.want, file_order);
        mark(f.want, n, need);
        if (how == CKPT_WHOLE)
            mark_rest(c, need);
        ok = err_agree(c->comm, ckpt_scan(c, need, take_block, &f, e), e);
        c->damaged |= !ok;
    }
    free(f.want);
    free(need);
    return ok;
}

/* ---- sums ---- */

CkptSums ckpt_sums(const Piece *p, int n)
{
    CkptSums s = { 0 };
    for (int i = 0; i < n; i++) {
        const bool weights = !strncmp(p[i].name, "weights/", 8);
        const uint64_t stream = rng_stream(weights ? p[i].name + 8 : p[i].name);
        uint64_t *to = weights ? &s.weights : &s.moments;
        SliceRun r;
        for (int64_t k = 0; p[i].write && slice_run(&p[i].slice, k, &r); k++)
            *to += bits_sum(stream, r.at, p[i].data + r.here, r.n);
    }
    return s;
}
