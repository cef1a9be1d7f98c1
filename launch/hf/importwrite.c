#include "launch/hf/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/ckpt/ckptdir.h"
#include "io/ckpt/ckptstream.h"

/* ---- the checkpoint ---- */

/* Rows of a tensor of ours, out of the files. */
static bool read_rows(void *with, int piece, int64_t row, int64_t n, float *x, Err *e)
{
    const Import *m = with;
    const Params *t = &m->r.model.table;
    const int i = m->of[piece];
    const Param *p = &t->p[i];
    const ImportSource *s = &m->source[i];
    if (import_from_table(p->name)) {
        char table[PARAM_NAME];
        snprintf(table, sizeof table, "%.*s.table", (int)(strrchr(p->name, '.') - p->name), p->name);
        s = &m->source[params_find(t, table)];
        for (int64_t k = 0; k < n && strstr(p->name, ".count"); k++)
            x[k] = 1;
        if (strstr(p->name, ".count"))
            return true;
    }
    return st_read(&m->files, s->tensor, row + (int64_t)s->piece.row_block * p->rows, n, (int64_t)s->piece.col_block * p->cols, p->cols, x,
                   p->cols, e);
}

bool import_save(Import *m, Err *e)
{
    const Config *c = m->r.c;
    const Params *t = &m->r.model.table;
    char dir[PATH_ROOM];
    CkptMeta meta = { .seed = (uint64_t)c->run.seed, .config_hash = config_hash(c, CKPT_VERSION),
                      .dp = 1, .tp = 1 /* whoever wrote it, it is of no grid */, .stage = "import" };
    snprintf(meta.beside, sizeof meta.beside, "%s", m->adapter ? "" : HFFILES_DIR);
    if (m->adapter) {
        snprintf(meta.init, sizeof meta.init, "%s", m->r.init);
        snprintf(meta.base, sizeof meta.base, "%s", m->r.base);
        meta.lora_rank = c->train.lora_rank;
        meta.lora_alpha = c->train.lora_alpha;
    }
    Piece *p = calloc((size_t)t->n + 1, sizeof *p);
    char (*names)[CKPT_NAME] = calloc((size_t)t->n + 1, sizeof *names);
    m->of = calloc((size_t)t->n + 1, sizeof *m->of);
    int n = 0;
    CHECK(p && names && m->of, "no memory for the names of %d tensors", t->n);
    for (int i = 0; i < t->n; i++) {
        if (m->adapter && !m->source[i].tensor)
            continue;
        m->of[n] = i;
        snprintf(names[n], CKPT_NAME, "weights/%s", t->p[i].name);
        p[n] = (Piece){ names[n], param_slice(t, i), NULL, false };
        n++;
    }
    path_set(dir, e, "%s/ckpt", c->import.to);
    const bool ok = run_agree(&m->r, e) && ckpt_stream(m->r.grid.world, dir, &meta, p, n, read_rows, m, e);
    free(m->of);
    free(names);
    free(p);
    return ok;
}

/* ---- RUN/hf, rank 0 ---- */

/* The bytes of a tensor as they are, a few MiB at a time. */
static bool copy_tensor(const Import *m, const StTensor *from, const St *plan, const StTensor *to, int fd, void *buffer, int64_t room, Err *e)
{
    for (int64_t at = 0; at < from->bytes; at += room) {
        const int64_t n = min64(room, from->bytes - at);
        if (!st_read_bytes(&m->files, from, at, n, buffer, e) || !st_write_bytes(plan, to, fd, at, n, buffer, e))
            return false;
    }
    return true;
}

static bool write_unused(const Import *m, const char *dir, Err *e)
{
    enum { ROOM = 4 << 20 };
    char path[PATH_ROOM];
    StTensor *list = calloc((size_t)m->files.tensors + 1, sizeof *list);
    St plan = { 0 };
    int n = 0;
    CHECK(list, "no memory for %d tensors", m->files.tensors);
    for (int i = 0; i < m->files.tensors; i++)
        if (m->carried[i])
            list[n++] = m->files.tensor[i];
    bool ok = n == 0 || st_plan(&plan, list, n, 0, e);
    if (n && ok) {
        snprintf(plan.file[0].name, ST_NAME, HFFILES_UNUSED);
        ok = st_create(&plan, 0, dir, e);
    }
    const int fd = n && ok ? st_open_write(&plan, 0, dir, e) : -1;
    void *buffer = malloc(ROOM);
    CHECK(buffer, "no memory for %d bytes", ROOM);
    for (int i = 0; ok && i < n; i++)
        ok = fd >= 0 && copy_tensor(m, st_find(&m->files, plan.tensor[i].name), &plan, &plan.tensor[i], fd, buffer, ROOM, e);
    free(buffer);
    if (fd >= 0)
        close(fd);
    ok = ok && path_set(path, e, "%s/" HFFILES_UNUSED, dir) && (n == 0 || file_sync(path, e));
    st_close(&plan);
    free(list);
    return ok;
}

static bool write_folder(const Import *m, Err *e)
{
    const Config *c = m->r.c;
    char temp[PATH_ROOM], dir[PATH_ROOM], path[PATH_ROOM];
    if (!path_set(temp, e, "%s/.tmp-" HFFILES_DIR, c->import.to) || !path_set(dir, e, "%s/" HFFILES_DIR, c->import.to))
        return false;
    if (!dir_remove(temp, e) || !dir_remove(dir, e) || !dir_make(temp, e) || !hffiles_copy(c->import.from, temp, e))
        return false;
    for (int i = 0; i < m->files.files; i++) {
        const StFile *f = &m->files.file[i];
        if (!path_set(path, e, "%s/%s" ST_HEADER, temp, f->name) || !file_replace(path, f->head, (size_t)f->head_bytes, e))
            return false;
    }
    return write_unused(m, temp, e) && file_sync(temp, e) && lease_held(m->r.lease, e) && file_commit(temp, dir, e);
}

bool import_folder(const Import *m, Err *e)
{
    if (m->r.grid.rank == 0)
        write_folder(m, e);
    return run_agree(&m->r, e);
}

/* ---- what a failure leaves ---- */

/* The lease is given back first: until then another import is refused. */
void import_clear(Import *m)
{
    static const char *const OURS[] = { ".tmp-" HFFILES_DIR, HFFILES_DIR };
    const char *to = m->r.c->import.to;
    char path[PATH_ROOM];
    Err none = { 0 };
    if (!m->opened || !lease_held(m->r.lease, &none))
        return;
    for (size_t i = 0; i < sizeof OURS / sizeof *OURS; i++)
        if (path_set(path, &none, "%s/%s", to, OURS[i]))
            dir_remove(path, &none);
    if (path_set(path, &none, "%s/ckpt", to)) {
        ckpt_clean(path);
        rmdir(path);
    }
    lease_drop(m->r.lease);
    m->r.lease = NULL;
    if (!m->leased && path_set(path, &none, "%s/.lease", to))
        unlink(path);
    if (m->made)
        rmdir(to);
}
