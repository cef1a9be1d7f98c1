#include "io/ckpt/recover.h"

#include "io/base/agree.h"
#include "io/ckpt/local.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A part, and the rank that can read it: the first of a node that has it. */
typedef struct { int64_t step; uint64_t life; int32_t rank, reader; } Found;

static int newest_first(const void *a, const void *b)
{
    const Found *x = a, *y = b;
    if (x->step != y->step)
        return (x->step < y->step) - (x->step > y->step);
    return x->life != y->life ? (x->life > y->life) - (x->life < y->life) : x->rank != y->rank ? x->rank - y->rank : x->reader - y->reader;
}

/* What all nodes have of steps after `than`, sorted, on every rank; to be freed.  A disk that cannot be read has nothing. */
static Found *look(MPI_Comm comm, const char *dir, int64_t than, int *n)
{
    MPI_Comm node;
    int me, size, first, mine = 0, listed = 0;
    LocalName *list = NULL;
    Err e = { 0 };
    MPI_Comm_rank(comm, &me);
    MPI_Comm_size(comm, &size);
    MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, me, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &first);
    MPI_Comm_free(&node);
    if (first == 0)
        local_clean(dir);
    if (first == 0 && !local_list(dir, &list, &listed, &e)) {
        char text[1200];
        snprintf(text, sizeof text, "%s (%s)", e.what, e.where);
        ckpt_warn(text);
    }
    Found *own = malloc((size_t)(listed + 1) * sizeof *own);
    int *count = calloc((size_t)size * 2, sizeof *count), *at = count + size;
    CHECK(own && count, "no memory for a list of %d files", listed);
    for (int i = 0; i < listed; i++)
        if (list[i].step > than)
            own[mine++] = (Found){ list[i].step, list[i].life, list[i].rank, me };
    free(list);
    mine *= (int)sizeof *own;
    MPI_Allgather(&mine, 1, MPI_INT, count, 1, MPI_INT, comm);
    int bytes = 0;
    for (int r = 0; r < size; bytes += count[r++])
        at[r] = bytes;
    Found *all = malloc((size_t)bytes + 1);
    CHECK(all, "no memory for a list of files");
    MPI_Allgatherv(own, mine, MPI_BYTE, all, count, at, MPI_BYTE, comm);
    free(own);
    free(count);
    *n = bytes / (int)sizeof *all;
    qsort(all, (size_t)*n, sizeof *all, newest_first);
    return all;
}

typedef struct { CkptMeta meta; int64_t bytes; int size, tensors, owns; } Head;

static void *room(size_t bytes)
{
    void *p = calloc(bytes + 1, 1);
    CHECK(p, "no memory for %zu bytes of a checkpoint's tables", bytes);
    return p;
}

/* Rank 0's part tells how many there are, what tensors, and HDF5's bytes.  layout_close in either case.  Collective, agreed. */
static bool read_head(MPI_Comm comm, const char *dir, const Found *f, Head *h, Layout *l, Err *e)
{
    int me;
    LocalPart p = { .fd = -1 };
    MPI_Comm_rank(comm, &me);
    *h = (Head){ .size = 0 };
    const bool ok = err_agree(comm, f->reader != me || local_open(&p, dir, f->step, f->life, 0, e), e);
    if (ok) {
        if (f->reader == me)
            *h = (Head){ p.meta, p.bytes, p.size, p.tensors, p.owns };
        MPI_Bcast(h, sizeof *h, MPI_BYTE, f->reader, comm);
        *l = (Layout){ .tensors = h->tensors, .bytes = h->bytes, .extents = h->owns };
        l->tensor = f->reader == me ? p.tensor : room((size_t)h->tensors * sizeof *l->tensor);
        l->extent = f->reader == me ? p.own : room((size_t)h->owns * sizeof *l->extent);
        MPI_Bcast(l->tensor, h->tensors * (int)sizeof *l->tensor, MPI_BYTE, f->reader, comm);
        for (int i = 0; i < h->owns; i++) {
            char *own = l->extent[i].data;
            MPI_Bcast(&l->extent[i], sizeof l->extent[i], MPI_BYTE, f->reader, comm);
            l->extent[i].data = f->reader == me ? own : room((size_t)l->extent[i].bytes);
            MPI_Bcast(l->extent[i].data, (int)l->extent[i].bytes, MPI_BYTE, f->reader, comm);
        }
        p.tensor = NULL, p.own = NULL;
    }
    local_close(&p);
    return ok;
}

/* Of n parts of one step and life: each once.  Whose parts this rank reads go to old (n); returns how many, -1 if not all are there. */
static int divide(const Found *f, int n, int size, int me, int *old)
{
    int olds = 0, next = 0;
    for (int i = 0; i < n; i++) {
        if (f[i].rank != next)
            continue;                               /* another node has it, too */
        if (f[i].reader == me)
            old[olds++] = f[i].rank;
        next++;
    }
    return next == size ? olds : -1;
}

/* Tries the step whose parts these are, all of one life.  1: carried, 0: it cannot be, -1: the run's disk failed. */
static int carry(MPI_Comm comm, const char *dir, const SaverConf *c, const Found *f, int n, Err *e)
{
    int me, result = 0;
    Head h;
    Layout layout = { 0 };
    char text[1536];
    int *old = malloc((size_t)(n + 1) * sizeof *old);
    CHECK(old, "no memory for a list of %d files", n);
    MPI_Comm_rank(comm, &me);
    Err why = { 0 };
    int olds = -1;
    if (f->rank == 0 && read_head(comm, c->local, f, &h, &layout, &why))
        olds = divide(f, n, h.size, me, old);
    if (olds >= 0)
        result = saver_carry_parts(comm, dir, c, &h.meta, f->life, &layout, old, olds, &why) ? 1 : why.code == EXIT_IO ? -1 : 0;
    if (result < 0)
        *e = why;
    if (result == 0 && me == 0) {
        snprintf(text, sizeof text, "step %" PRId64 " on the nodes' disks (ckpt.local) cannot be used: %s%s%s%s", f->step,
                 why.code ? why.what : "some ranks' parts are on no node of this job", why.code ? " (" : "", why.where, why.code ? ")" : "");
        ckpt_warn(text);
    }
    layout_close(&layout);
    free(old);
    return result;
}

int64_t local_recover(MPI_Comm comm, const char *dir, const SaverConf *c, int64_t than, Err *e)
{
    int n, next, done = 0;
    int64_t step = -1;
    Found *f = look(comm, c->local, than, &n);
    for (int i = 0; i < n && done == 0; i = next) {
        for (next = i; next < n && f[next].step == f[i].step && f[next].life == f[i].life; next++)
            ;
        done = carry(comm, dir, c, f + i, next - i, e);
        step = f[i].step;
    }
    free(f);
    return done > 0 ? step : done < 0 ? -2 : -1;
}
