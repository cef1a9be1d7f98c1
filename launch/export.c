#include "launch/hf/export.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ops.h"
#include "dist/comm.h"
#include "io/base/files.h"
#include "launch/verbs.h"

enum { PIECES = 256, BUFFER = 1 << 25 /* floats of a rank */ };

/* Rows on their way from one checkpoint. */
typedef struct {
    Export  *x;
    int     *fd;                   /* by file of the plan */
    float   *buffer;
    int64_t  room, used;           /* floats; used by the rank that has most */
    int      n, from;
    Piece    piece[PIECES];
    struct { const ExportItem *item; int64_t row, rows; float *at; } part[PIECES];
} Stream;

/* ---- what is asked ---- */

/* The small files beside a checkpoint RUN/ckpt/step-N, if its run was imported: they are what they were at import; "" if not. */
static bool find_hf(Export *x, int from, Err *e)
{
    int there = 0;
    path_set(x->hf, e, "%s/../../" HFFILES_DIR, ckpt_path(x->ckpt[from]));
    if (!run_agree(&x->r, e))
        return false;
    if (x->r.grid.rank == 0)
        there = access(x->hf, F_OK) == 0;
    comm_bcast(x->r.grid.world, &there, sizeof there, 0);
    if (!there)
        x->hf[0] = 0;
    return !there || ckpt_verify_beside(x->ckpt[from], e);
}

/* The folder that the files are written to before it gets its name. */
static bool target(const Export *x, char final[PATH_ROOM], char temp[PATH_ROOM], Err *e)
{
    if (!path_set(final, e, "%s", x->r.c->export.to))
        return false;
    size_t n = strlen(final);
    while (n > 1 && final[n - 1] == '/')
        final[--n] = 0;
    const char *slash = strrchr(final, '/');
    const int folder = slash ? (int)(slash - final) + 1 : 0;
    if (!path_set(temp, e, "%.*s.tmp-%s", folder, final, final + folder))
        return false;
    if (x->r.grid.rank == 0 && !hffiles_is_free(final))
        err_set(e, EXIT_CONFIG, final, "name a new folder", "export.to is not empty");
    if (x->r.grid.rank == 0 && !e->code && dir_remove(temp, e) && dir_make(temp, e))
        for (int i = 0; i < x->plan.files && !e->code; i++)
            st_create(&x->plan, i, temp, e);
    return run_agree(&x->r, e);
}

/* ---- the tensors ---- */

/* In fixed point: the same sum for any number of ranks.  |x| < 2048 in 2^20 rows is what 63 bits hold. */
static const double FIXED = 1 << 30;

static void add_rows(int64_t *sum, const float *x, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            sum[j] += fabsf(x[i * cols + j]) < 2048 ? (int64_t)llrint((double)x[i * cols + j] * FIXED) : 0;
}

/* Rows behind the checkpoint's: the mean of its own.  Collective. */
static bool send_more(const Stream *s, const ExportItem *it, Err *e)
{
    const int64_t rows = it->tensor->size[0], cols = it->tensor->size[1];
    float *x = malloc((size_t)cols * sizeof *x);
    CHECK(x, "no memory for a row of %lld numbers", (long long)cols);
    comm_sum_i64(s->x->r.grid.world, it->sum, cols);
    for (int64_t j = 0; j < cols; j++)
        x[j] = (float)((double)it->sum[j] / FIXED / (double)rows);
    for (int64_t i = rows; i < it->to->rows && s->x->r.grid.rank == 0 && !e->code; i++)
        st_write(&s->x->plan, it->to, s->fd[it->to->file], i, 1, 0, cols, x, cols, e);
    free(x);
    return run_agree(&s->x->r, e);
}

/* w += alpha / rank b a, of the rows of one part.  Collective. */
static bool merge(const Stream *s, int i, Err *e)
{
    const ExportItem *it = s->part[i].item;
    const CkptMeta *m = ckpt_meta(s->x->ckpt[FROM_RUN]);
    const int64_t rows = s->part[i].rows, cols = it->tensor->size[1];
    const int rank = (int)it->a->size[0];
    float *a = malloc((size_t)(rank * (rows + cols) + 1) * sizeof *a), *up = a + rank * cols;
    CHECK(a, "no memory for a low-rank pair of %d x %lld", rank, (long long)cols);
    const Piece p[] = { { it->a->name, slice_whole(2, it->a->size), a, false },
                        { it->up->name, slice_range(slice_whole(2, it->up->size), 0, s->part[i].row, rows), rows ? up : NULL, false } };
    const bool ok = ckpt_fill(s->x->ckpt[FROM_RUN], p, 2, CKPT_WANTED, e);
    if (ok && rows)
        op.product(s->part[i].at, (int)cols, up, rank, false, a, (int)cols, false, rows, (int)cols, rank, (float)(m->lora_alpha / rank), 1);
    free(a);
    return ok;
}

static bool flush(Stream *s, Err *e)
{
    const Export *x = s->x;
    if (s->n && !ckpt_fill(x->ckpt[s->from], s->piece, s->n, CKPT_WANTED, e))
        return false;
    for (int i = 0; i < s->n; i++)
        if (s->part[i].item->a && s->part[i].item->up && !merge(s, i, e))
            return false;
    for (int i = 0; i < s->n; i++) {
        const ExportItem *it = s->part[i].item;
        const HfPiece *p = &it->piece;
        if (it->sum)
            add_rows(it->sum, s->part[i].at, s->part[i].rows, it->tensor->size[1]);
        const int64_t rows = it->tensor->size[0], cols = it->tensor->dims == 1 ? 1 : it->tensor->size[1];
        if (s->part[i].rows && !st_write(&x->plan, it->to, s->fd[it->to->file], p->row_block * rows + s->part[i].row,
                                         s->part[i].rows, p->col_block * cols, cols, s->part[i].at, cols, e))
            break;
    }
    s->n = 0, s->used = 0;
    return run_agree(&x->r, e);
}

/* Rows [row, row + n) of an item, divided among the ranks. */
static bool send(Stream *s, const ExportItem *it, int64_t row, int64_t n, Err *e)
{
    const int rank = s->x->r.grid.rank, size = s->x->r.grid.size;
    const CkptTensor *t = it->tensor;
    const int64_t cols = t->dims == 1 ? 1 : t->size[1], most = ceil_div(n, size) * cols;
    const int64_t first = row + n * rank / size, last = row + n * (rank + 1) / size;
    if ((s->n == PIECES || s->used + most > s->room || s->from != it->from) && !flush(s, e))
        return false;
    float *at = s->buffer + s->used;
    s->from = it->from;
    s->piece[s->n] = (Piece){ t->name, slice_range(slice_whole(t->dims, t->size), 0, first, last - first), last > first ? at : NULL, false };
    s->part[s->n].item = it;
    s->part[s->n].row = first, s->part[s->n].rows = last - first, s->part[s->n].at = at;
    s->n++;
    s->used += most;
    return true;
}

/* What is not in a checkpoint, rank 0 writes: bytes of the base as they are, or ones and zeros, a few MiB at a time. */
static bool send_small(const Stream *s, const ExportItem *it, Err *e)
{
    const Export *x = s->x;
    const int fd = s->fd[it->to->file];
    const int64_t room = 4 << 20, count = it->to->rows * it->to->cols;
    bool ok = true;
    if (it->from == FROM_FILE) {
        for (int64_t at = 0; at < it->to->bytes && ok; at += room) {
            const int64_t n = min64(room, it->to->bytes - at);
            ok = st_read_bytes(&x->unused, it->file, at, n, s->buffer, e) && st_write_bytes(&x->plan, it->to, fd, at, n, s->buffer, e);
        }
        return ok;
    }
    ASSERT(count <= s->room);                               /* a norm of the tower */
    for (int64_t i = 0; i < count; i++)
        s->buffer[i] = it->from == FROM_ONES;
    return st_write(&x->plan, it->to, fd, 0, it->to->rows, 0, it->to->cols, s->buffer, it->to->cols, e);
}

/* In the order of each checkpoint's file, so that it is read from end to end. */
static int file_order(const void *a, const void *b)
{
    const ExportItem *x = a, *y = b;
    if (x->from != y->from || x->from >= FROM_FILE)
        return x->from - y->from;
    return x->tensor->offset == y->tensor->offset ? x->piece.row_block - y->piece.row_block : x->tensor->offset < y->tensor->offset ? -1 : 1;
}

static bool send_all(Stream *s, Err *e)
{
    const Export *x = s->x;
    qsort(x->item, (size_t)x->items, sizeof *x->item, file_order);
    for (int i = 0; i < x->items; i++) {
        const ExportItem *it = &x->item[i];
        if (it->from >= FROM_FILE)
            continue;
        const int64_t rows = it->tensor->size[0], cols = it->tensor->dims == 1 ? 1 : it->tensor->size[1];
        const int64_t at_once = max64(1, s->room / cols) * x->r.grid.size;
        for (int64_t row = 0; row < rows; row += at_once)
            if (!send(s, it, row, min64(at_once, rows - row), e))
                return false;
    }
    if (!flush(s, e))
        return false;
    for (int i = 0; i < x->items; i++)
        if (x->item[i].sum && !send_more(s, &x->item[i], e))
            return false;
    for (int i = 0; i < x->items && x->r.grid.rank == 0; i++)
        if (x->item[i].from >= FROM_FILE && !send_small(s, &x->item[i], e))
            break;
    return run_agree(&x->r, e);
}

/* Every rank writes its rows and syncs its files: on a parallel file system each has a cache of its own. */
static bool write_tensors(Export *x, const char *dir, Err *e)
{
    Stream *s = calloc(1, sizeof *s);
    const int files = x->plan.files;
    CHECK(s, "no memory for a stream of tensors");
    s->x = x;
    s->room = BUFFER;
    for (int i = 0; i < x->items; i++)
        if (x->item[i].from < FROM_FILE && x->item[i].tensor->dims > 1)
            s->room = max64(s->room, x->item[i].tensor->size[1]);
    s->buffer = malloc((size_t)s->room * sizeof *s->buffer);
    s->fd = malloc((size_t)files * sizeof *s->fd);
    CHECK(s->buffer && s->fd, "no memory for %lld numbers", (long long)s->room);
    for (int i = 0; i < files; i++)
        s->fd[i] = e->code ? -1 : st_open_write(&x->plan, i, dir, e);
    bool ok = run_agree(&x->r, e) && send_all(s, e);
    for (int i = 0; i < files; i++) {
        if (s->fd[i] >= 0 && ok && fsync(s->fd[i]))
            ok = file_error(e, x->plan.file[i].name, "fsync");
        if (s->fd[i] >= 0 && close(s->fd[i]) && ok)
            ok = file_error(e, x->plan.file[i].name, "close");
    }
    free(s->fd);
    free(s->buffer);
    free(s);
    return run_agree(&x->r, e);
}

/* ---- what is told, rank 0 ---- */

/* The parts, or single tensors, that the run has and the files have not. */
static void leftover(const Export *x, char out[256])
{
    char last[PARAM_NAME] = "";
    out[0] = 0;
    int n;
    const CkptTensor *list = ckpt_tensors(x->ckpt[FROM_RUN], &n);
    for (int i = 0; i < n; i++) {
        const CkptTensor *t = &list[i];
        const char *name = strchr(t->name, '/') + 1;
        bool used = strncmp(t->name, "weights/", 8) != 0 || (strstr(name, "codes.") && !strstr(name, ".table"));
        for (int k = 0; k < x->items && !used; k++)
            used = x->item[k].tensor == t;
        used |= !x->r.c->export.adapter && !strncmp(name, LORA_PART ".", sizeof LORA_PART);      /* merged */
        used |= x->files_embed && !x->files_head && !strcmp(name, "decoder.lm_head");          /* it is the embedding, or was refused */
        char part[PARAM_NAME];
        snprintf(part, sizeof part, "%.*s", strcmp(name, "decoder.lm_head") ? (int)strcspn(name, ".") : PARAM_NAME - 1, name);
        if (used || !strcmp(part, last))
            continue;
        const size_t at = strlen(out);
        snprintf(out + at, 256 - at, "%s%s", at ? ", " : "", part);
        strcpy(last, part);
    }
}

static void report(const Export *x)
{
    char left[256];
    leftover(x, left);
    printf("exported %d tensors of %s to %s\n", x->plan.tensors, ckpt_path(x->ckpt[FROM_RUN]), x->r.c->export.to);
    if (x->merged)
        printf("%d low-rank pairs are merged into the weights\n", x->merged);
    if (left[0])
        printf("not exported, since the base has no place for it: %s\n", left);
    for (int i = 0; i < EXPORT_NOTES; i++)
        if (x->note[i][0])
            printf("%s\n", x->note[i]);
}

/* ---- the verb ---- */

/* With both checkpoints open.  Begins anew each time, since one of them may turn out damaged and an older one be tried. */
static bool export_both(Export *x, Err *e)
{
    const Config *c = x->r.c;
    char final[PATH_ROOM], temp[PATH_ROOM];
    st_close(&x->plan);
    st_close(&x->unused);
    plan_forget(x);
    if (!x->hf[0] && c->text.model[0] && !x->r.text && !run_text(&x->r, e))
        return false;
    if (c->export.adapter)
        plan_adapter(x, e);
    else if (x->hf[0])
        plan_from_base(x, e);
    else
        plan_own(x, e);
    if (!run_agree(&x->r, e) || (!c->export.adapter && x->hf[0] && !plan_tied(x, e)))
        return false;
    bool ok = target(x, final, temp, e) && write_tensors(x, temp, e);
    if (ok && x->r.grid.rank == 0) {
        if ((c->export.adapter ? export_adapter_small(x, temp, e) : x->hf[0] ? export_base_small(x, temp, e) : export_small(x, temp, e)) && file_sync(temp, e))
            file_commit(temp, final, e);
    }
    ok = ok && run_agree(&x->r, e);
    Err left = { 0 };
    if (!ok && x->r.grid.rank == 0)
        dir_remove(temp, &left);
    else if (x->r.grid.rank == 0)
        report(x);
    return ok;
}

static bool use_base(void *with, Ckpt *c, Err *e)
{
    Export *x = with;
    x->ckpt[FROM_BASE] = c;
    if (!find_hf(x, FROM_BASE, e))
        return false;
    if (!x->hf[0])
        return err_set(e, EXIT_CONFIG, "export.base", "name a run that `asvr import` made", "%s was not imported", x->r.c->export.base);
    return export_both(x, e);
}

static bool use_run(void *with, Ckpt *c, Err *e)
{
    Export *x = with;
    x->ckpt[FROM_RUN] = c;
    x->ckpt[FROM_BASE] = NULL;
    bool ok = bases_open(&x->under, &x->r, c, e);
    for (int k = 1; k < BASES; k++)
        x->ckpt[FROM_UNDER + k - 1] = k < x->under.n ? x->under.at[k] : NULL;
    if (ok && !x->r.c->export.base[0]) {
        ok = find_hf(x, FROM_RUN, e) && export_both(x, e);
    } else if (ok) {
        Ckpt *base = run_ckpt(&x->r, x->r.c->export.base, use_base, x, e);
        ckpt_close(base);
        ok = base != NULL;
    }
    bases_close(&x->under);
    return ok;
}

/* The table of what a run of this configuration has, no memory for it: of a checkpoint that it stands on no more is taken. */
static void measure(Export *x)
{
    static char trainable[CONFIG_STRING];
    const RunShape shape = { .stage = (Stage)x->r.c->train.stage, .bare = true, .micro_batch = 1, .max_images = 1, .max_len = 1 };
    const ModelConf conf = run_conf(x->r.c, &shape, trainable);
    model_measure(&x->r.model, &conf, &x->r.tp);
}

int export_main(const Config *c)
{
    Export *x = calloc(1, sizeof *x);
    Err e = { 0 };
    CHECK(x, "no memory for an export");
    run_open(&x->r, c, 1);
    measure(x);
    Ckpt *from = run_ckpt(&x->r, c->export.from, use_run, x, &e);
    const bool ok = from != NULL;
    if (!ok && x->r.grid.rank == 0)
        log_error(&e);
    st_close(&x->plan);
    st_close(&x->unused);
    ckpt_close(from);
    plan_forget(x);
    free(x->item);
    model_close(&x->r.model);
    run_close(&x->r);
    free(x);
    return ok ? EXIT_DONE : e.code;
}
