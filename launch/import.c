/* import.c -- `asvr import`: a Hugging Face folder -> a run with a checkpoint that train.init takes */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ops.h"
#include "dist/comm.h"
#include "io/base/files.h"
#include "io/ckpt/ckptdir.h"
#include "io/hf/hfmap.h"
#include "launch/run.h"
#include "launch/hf/hffiles.h"
#include "launch/verbs.h"

typedef struct { const StTensor *tensor; HfPiece piece; } Source;

typedef struct {
    Run      r;
    St       files;
    unsigned parts;                /* found in the files */
    uint64_t modules;
    bool    *carried;              /* by tensor: known, but not of this model */
    Source  *source;               /* by parameter of the model */
    int      tied;                 /* decoder.lm_head is filled from the embedding */
} Import;

static int depth_of(const Config *c) { return c->model.codes.depth; }

/* ---- what is there ---- */

static bool unknown(const Import *m, const StTensor *t, Err *e)
{
    char where[sizeof e->where];
    snprintf(where, sizeof where, "%.300s/%.128s, byte %lld", m->r.c->import.from, m->files.file[t->file].name, (long long)t->offset);
    return err_set(e, EXIT_DATA, where, "asvr imports LLaMA, Mistral, Qwen2, Qwen3, SigLIP, CLIP's tower and LLaVA of these (docs/FORMATS.md)",
                   "tensor \"%s\" is not one of a model that asvr knows", t->name);
}

static bool find_parts(Import *m, Err *e)
{
    HfPiece piece[HF_PIECES];
    m->carried = calloc((size_t)m->files.tensors + 1, sizeof *m->carried);
    CHECK(m->carried, "no memory for %d tensors", m->files.tensors);
    for (int i = 0; i < m->files.tensors; i++) {
        const int n = hf_pieces(m->files.tensor[i].name, depth_of(m->r.c), piece);
        if (n < 0)
            return unknown(m, &m->files.tensor[i], e);
        m->carried[i] = n == 0;
        for (int k = 0; k < n; k++) {
            m->modules |= (uint64_t)1 << piece[k].module;
            m->parts |= piece[k].extra ? 0 : piece[k].part;
        }
    }
    return m->parts || err_set(e, EXIT_DATA, m->r.c->import.from, "", "there are no weights");
}

/* ---- config.json ---- */

static void say(const HfDifference *d, const char *path, bool warn)
{
    Err e = { 0 };
    char hint[128];
    if (warn) {
        char text[512];
        snprintf(text, sizeof text, "%.200s: %s = %s is a key that asvr does not know: it is passed over", path, d->theirs, d->got);
        log_warn(text);
        return;
    }
    err_expected(&e, "%s%s%s", d->ours, d->ours[0] ? " = " : "", d->expected);
    err_got(&e, "%s = %s", d->theirs, d->got);
    snprintf(hint, sizeof hint, d->ours[0] ? "set %s to what the imported model has"
                              : d->unknown ? "it may change what the model computes; import.unknown = \"warn\" passes over it%s"
                                           : "asvr has no model of this kind%s", d->ours);
    err_set(&e, EXIT_CONFIG, path, hint, d->ours[0] ? "the configuration differs from config.json: %s" : "config.json asks for something else: %s",
            d->ours[0] ? d->ours : d->theirs);
    log_error(&e);
}

/* Weights alone do not say what is computed with them. */
static void no_config(const Config *c, const char *path, Err *e)
{
    if (c->import.unknown == UNKNOWN_WARN)
        log_warn("there is no config.json: the weights are taken for the model that the configuration describes");
    else
        err_set(e, EXIT_DATA, path, "fetch it, too, or set import.unknown = \"warn\" where model.* says it all",
                "there is no config.json, which says what model the weights are of");
}

/* Rank 0 compares and prints every difference.  Returns the exit code on all ranks. */
static int compare(const Import *m, Err *e)
{
    const Config *c = m->r.c;
    int code = EXIT_DONE;
    if (m->r.grid.rank == 0) {
        char path[PATH_ROOM], *text;
        size_t bytes;
        HfDifference d[HF_DIFFERENCES];
        const bool named = path_set(path, e, "%s/config.json", c->import.from);
        if (named && access(path, F_OK))
            no_config(c, path, e);
        else if (named && file_read(path, 1 << 20, &text, &bytes, e)) {
            const int n = hfconfig_compare(text, bytes, path, hffiles_number, c, d, e);
            for (int i = 0; i < n; i++) {
                const bool warn = d[i].unknown && c->import.unknown == UNKNOWN_WARN;
                say(&d[i], path, warn);
                code = warn ? code : EXIT_CONFIG;
            }
            free(text);
        }
    }
    if (!run_agree(&m->r, e))
        return e->code;
    return comm_agree(m->r.grid.world, code);
}

/* ---- which tensor goes where ---- */

static bool same_shape(const StTensor *t, const int64_t *shape, int dims)
{
    return t->dims == dims ? !memcmp(t->shape, shape, (size_t)dims * sizeof *shape)
                           : t->dims == 0 && dims == 1 && shape[0] == 1;      /* a scalar */
}

static bool take(Import *m, const StTensor *t, const HfPiece *p, Err *e)
{
    const int i = params_find(&m->r.model.table, p->ours);
    char where[sizeof e->where], expected[SHAPE_TEXT], got[SHAPE_TEXT];
    int64_t shape[ST_DIMS];
    snprintf(where, sizeof where, "%.300s/%.128s, byte %lld", m->r.c->import.from, m->files.file[t->file].name, (long long)t->offset);
    if (i < 0)
        return err_set(e, EXIT_DATA, where, "the model.* keys say how many blocks each part has",
                       "tensor \"%s\" has no place in the model: there is no %s", t->name, p->ours);
    const Param *q = &m->r.model.table.p[i];
    if (m->source[i].tensor)
        return err_set(e, EXIT_DATA, where, "", "tensors \"%s\" and \"%s\" are both %s", m->source[i].tensor->name, t->name, p->ours);
    const int dims = hf_shape(p, q->rows, q->cols, shape);
    if (!same_shape(t, shape, dims)) {
        err_expected(e, "%s by the model.* keys", shape_text(expected, dims, shape));
        err_got(e, "%s", shape_text(got, t->dims, t->shape));
        return err_set(e, EXIT_DATA, where, "set the model.* keys to the imported model's sizes", "tensor \"%s\" has another shape", t->name);
    }
    m->source[i] = (Source){ t, *p };
    return true;
}

/* Averages of the codebooks are in no file: they start from the tables. */
static bool starts_from_table(const char *name)
{
    const char *end = strrchr(name, '.');
    return strstr(name, "codes.") && end && (!strcmp(end, ".count") || !strcmp(end, ".sum"));
}

static bool all_there(Import *m, Err *e)
{
    const Params *t = &m->r.model.table;
    for (int i = 0; i < t->n; i++) {
        char name[ST_NAME];
        HfPiece p;
        if (m->source[i].tensor || starts_from_table(t->p[i].name))
            continue;
        const int embed = params_find(t, "decoder.embed");
        if (!strcmp(t->p[i].name, "decoder.lm_head") && embed >= 0 && m->source[embed].tensor) {
            m->source[i] = m->source[embed];
            m->tied = 1;
            continue;
        }
        const bool known = hf_name(t->p[i].name, depth_of(m->r.c), m->modules, name, &p);
        return err_set(e, EXIT_DATA, m->r.c->import.from, "the folder is incomplete, or the model.* keys ask for more",
                       "tensor \"%s\" is missing: %s has no values", known ? name : t->p[i].name, t->p[i].name);
    }
    return true;
}

static bool match(Import *m, Err *e)
{
    HfPiece piece[HF_PIECES];
    m->source = calloc((size_t)m->r.model.table.n, sizeof *m->source);
    CHECK(m->source, "no memory for %d tensors", m->r.model.table.n);
    for (int i = 0; i < m->files.tensors; i++) {
        const int n = hf_pieces(m->files.tensor[i].name, depth_of(m->r.c), piece);
        for (int k = 0; k < n; k++) {
            if (piece[k].extra && !(m->parts & piece[k].part))
                m->carried[i] = true;
            else if (!take(m, &m->files.tensor[i], &piece[k], e))
                return false;
        }
    }
    return all_there(m, e);
}

/* ---- values ---- */

static bool fill_one(const Import *m, int i, Err *e)
{
    const Model *model = &m->r.model;
    const Param *p = &model->table.p[i];
    const Source *s = &m->source[i];
    const Slice here = param_slice(&model->table, i);
    const bool vector = here.dims == 1;
    const int64_t rows = slice_extent(&here, 0), cols = vector ? p->cols : slice_extent(&here, 1);
    float *x = model->weights + p->offset;
    int64_t row = here.start[0], col = vector ? 0 : here.start[1];
    row += (int64_t)s->piece.row_block * p->rows;
    col += (int64_t)s->piece.col_block * p->cols;
    return st_read(&m->files, s->tensor, row, rows, col, cols, x, cols, e);
}

static void fill_averages(Import *m)
{
    const Params *t = &m->r.model.table;
    for (int i = 0; i < t->n; i++) {
        if (!starts_from_table(t->p[i].name))
            continue;
        float *x = m->r.model.weights + t->p[i].offset;
        char table[PARAM_NAME];
        snprintf(table, sizeof table, "%.*s.table", (int)(strrchr(t->p[i].name, '.') - t->p[i].name), t->p[i].name);
        const int from = params_find(t, table);
        if (strstr(t->p[i].name, ".count"))
            op.fill(x, t->p[i].count, 1);
        else
            op.copy(x, m->r.model.weights + t->p[from].offset, t->p[i].count);
    }
}

static bool fill(Import *m, Err *e)
{
    for (int i = 0; i < m->r.model.table.n; i++)
        if (m->source[i].tensor && !fill_one(m, i, e))
            break;
    fill_averages(m);
    return run_agree(&m->r, e);
}

/* ---- RUN/hf, rank 0 ---- */

static bool write_unused(const Import *m, const char *dir, Err *e)
{
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
    for (int i = 0; ok && i < n; i++) {
        const StTensor *from = st_find(&m->files, plan.tensor[i].name);
        void *bytes = malloc((size_t)from->bytes + 1);
        CHECK(bytes, "no memory for %lld bytes", (long long)from->bytes);
        ok = st_read_bytes(&m->files, from, 0, from->bytes, bytes, e)
          && st_write_bytes(&plan, &plan.tensor[i], fd, 0, from->bytes, bytes, e);
        free(bytes);
    }
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

static bool save(Import *m, Err *e)
{
    const Config *c = m->r.c;
    const Params *t = &m->r.model.table;
    char dir[PATH_ROOM];
    CkptMeta meta = { .seed = (uint64_t)c->run.seed, .config_hash = config_hash(c, CKPT_VERSION), .dp = m->r.grid.dp_size,
                      .tp = m->r.grid.tp_size, .stage = "import", .beside = HFFILES_DIR };
    Piece *p = calloc((size_t)t->n, sizeof *p);
    char (*names)[CKPT_NAME] = calloc((size_t)t->n, sizeof *names);
    CHECK(p && names, "no memory for the names of %d tensors", t->n);
    for (int i = 0; i < t->n; i++) {
        snprintf(names[i], CKPT_NAME, "weights/%s", t->p[i].name);
        p[i] = (Piece){ names[i], param_slice(t, i), m->r.model.weights + t->p[i].offset,
                        m->r.grid.dp_rank == 0 && params_speak(t, i) };
    }
    const bool ok = path_set(dir, e, "%s/ckpt", c->import.to) && ckpt_save(m->r.grid.world, dir, &meta, p, t->n, 0, e);
    free(names);
    free(p);
    return ok;
}

/* ---- the verb ---- */

static bool open_target(Import *m, Err *e)
{
    const Config *c = m->r.c;
    char ckpt[PATH_ROOM];
    int64_t *step = NULL;
    int n = 0;
    if (m->r.grid.rank == 0 && path_set(ckpt, e, "%s/ckpt", c->import.to) && (m->r.lease = lease_run(c->import.to, e)) &&
        ckptdir_list(ckpt, &step, &n, e)) {
        if (n)
            err_set(e, EXIT_CONFIG, c->import.to, "name another folder, or remove this one", "import.to has checkpoints already");
        ckpt_clean(ckpt);                           /* what a killed import left */
    }
    free(step);
    return run_agree(&m->r, e);
}

static void report(const Import *m)
{
    char list[160] = "";
    int unused = 0;
    for (unsigned part = 1; part <= m->parts; part <<= 1)
        if (m->parts & part) {
            const size_t at = strlen(list);
            snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", hf_part_name(part));
        }
    for (int i = 0; i < m->files.tensors; i++)
        unused += m->carried[i];
    printf("imported %s: %d tensors of %s\n", list, m->files.tensors - unused, m->r.c->import.from);
    if (m->tied)
        printf("the embeddings are tied: decoder.lm_head is a copy of decoder.embed\n");
    if (unused)
        printf("%d tensors are not used by the model; they are kept for an export\n", unused);
    printf("wrote %s/ckpt/step-00000000\n", m->r.c->import.to);
}

static int import(Import *m, Err *e)
{
    const Config *c = m->r.c;
    st_open(&m->files, c->import.from, "", e);
    if (!run_agree(&m->r, e))
        return e->code;
    const int differs = compare(m, e);                      /* before the tensors: it says why there are some of another kind */
    if (differs)
        return differs;
    find_parts(m, e);
    if (!run_agree(&m->r, e))
        return e->code;
    const RunShape shape = { .stage = STAGE_INSTRUCT, .bare = true, .parts = m->parts, .micro_batch = 1, .max_images = 1, .max_len = 1 };
    bool ok = run_model(&m->r, &shape, e);
    if (ok)
        match(m, e);
    if (!run_agree(&m->r, e) || !open_target(m, e) || !fill(m, e))
        return e->code;
    if (m->r.grid.rank == 0)
        write_folder(m, e);
    ok = run_agree(&m->r, e) && save(m, e);
    if (ok && m->r.grid.rank == 0)
        report(m);
    return e->code;
}

int import_main(const Config *c)
{
    Import *m = calloc(1, sizeof *m);
    Err e = { 0 };
    CHECK(m, "no memory for an import");
    run_open(&m->r, c, 1);
    const int code = import(m, &e);
    if (m->r.grid.rank == 0 && e.code)
        log_error(&e);
    st_close(&m->files);
    free(m->source);
    free(m->carried);
    run_close(&m->r);
    free(m);
    return code;
}
