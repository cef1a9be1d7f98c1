/* weights.c -- where a run's weights come from and go to: checkpoints, the parts of another run's (run.h) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/distill.h"
#include "core/fault.h"
#include "dist/comm.h"
#include "io/base/files.h"
#include "launch/identity.h"

static bool exists(const char *dir, const char *name)
{
    char path[PATH_ROOM];
    struct stat st;
    return path_set(path, &(Err){ 0 }, "%s/%s", dir, name) && stat(path, &st) == 0;
}

bool run_find(const Run *r, const char *named, char path[], size_t cap, CkptMeta *m, Err *e)
{
    /* Rank 0 looks: the others might see an older state of a shared file system. */
    int kind = exists(named, "manifest.json") ? 0 : exists(named, "ckpt") ? 1 : exists(named, ".") ? 2 : 3;
    comm_bcast(r->grid.world, &kind, sizeof kind, 0);
    if (kind == 0) {
        snprintf(path, cap, "%s", named);
        return ckpt_open_meta(r->grid.world, named, m, e);
    }
    char dir[PATH_ROOM];
    if (!path_set(dir, e, "%s%s", named, kind == 1 ? "/ckpt" : "") || (kind < 3 && !ckpt_newest(r->grid.world, dir, path, cap, m, e)))
        return false;
    if (kind == 3 || !path[0])
        return err_set(e, EXIT_IO, named, "name a checkpoint's folder or a run that has one",
                       kind == 3 ? "there is no such folder" : "there is no checkpoint");
    return true;
}

/* Weights, and with moments the optimizer's, as pieces of a checkpoint; names live in *names, both to be freed. */
static Piece *pieces(const Run *r, bool moments, int *n, char (**names)[CKPT_NAME])
{
    static const char *const KIND[] = { "weights", "m", "v" };
    const Params *t = &r->model.table;
    Piece *p = calloc((size_t)(3 * t->n), sizeof *p);
    *names = calloc((size_t)(3 * t->n), sizeof **names);
    CHECK(p && *names, "no memory for the names of %d tensors", 3 * t->n);
    *n = 0;
    for (int kind = 0; kind < (moments ? 3 : 1); kind++)
        for (int i = 0; i < t->n; i++) {
            Moment m = { param_slice(t, i), r->model.weights + t->p[i].offset, r->grid.dp_rank == 0 && params_speak(t, i) };
            if (kind && !optim_moment(&r->optim, i, kind - 1, &m))
                continue;
            char *name = (*names)[*n];
            snprintf(name, CKPT_NAME, "%s/%s", KIND[kind], t->p[i].name);
            p[(*n)++] = (Piece){ name, m.slice, m.data, m.write };
        }
    return p;
}

/* The part of tensor i, e.g. "decoder". */
static void part_of(const Params *t, int i, char part[PARAM_NAME])
{
    snprintf(part, PARAM_NAME, "%.*s", (int)strcspn(t->p[i].name, "."), t->p[i].name);
}

/* A part is in a checkpoint whole or not at all: 1, 0, or -1 with the error. */
static int has_part(const Params *t, const char *part, const CkptTensor *list, int n, const char *path, Err *e)
{
    int have = 0, want = 0;
    const char *missing = "";
    for (int i = 0; i < t->n; i++) {
        char name[CKPT_NAME];
        if (!param_in_part(&t->p[i], part))
            continue;
        snprintf(name, sizeof name, "weights/%s", t->p[i].name);
        bool found = ckpt_has(list, n, name);
        have += found;
        want++;
        missing = found ? missing : t->p[i].name;
    }
    if (have == 0 || have == want)
        return have > 0;
    err_expected(e, "all %d tensors of \"%s\"", want, part);
    err_got(e, "%d of them; \"%s\" is missing", have, missing);
    err_set(e, EXIT_DATA, path, "the model.* keys differ from the checkpoint's", "the checkpoint is of another model");
    return -1;
}

/* Of the tensors that nobody has filled yet, those whose part the checkpoint has; they are `from` this one. */
static bool load_from(Run *r, const char *path, const Piece *all, int n, int *from, int this, Err *e)
{
    CkptTensor *list = NULL;
    int in_file = 0, kept = 0;
    if (!ckpt_tensors(r->grid.world, path, &list, &in_file, e))
        return false;
    Piece *mine = malloc((size_t)n * sizeof *mine);
    CHECK(mine, "no memory for a list of %d tensors", n);
    for (int i = 0; i < n && !e->code; i++) {
        char part[PARAM_NAME];
        part_of(&r->model.table, i, part);
        if (from[i] >= 0 || has_part(&r->model.table, part, list, in_file, path, e) <= 0)
            continue;
        mine[kept++] = all[i];
        from[i] = this;
    }
    const bool ok = !e->code && ckpt_load(r->grid.world, path, mine, kept, e);
    free(mine);
    free(list);
    return ok;
}

/* The codes' own tower, where nobody filled it, becomes a copy of the vision tower, if that is there. */
static void copy_tower(Run *r, int *from)
{
    bool copy = false;
    for (int i = 0; i < r->model.table.n; i++)
        if (from[i] < 0 && param_in_part(&r->model.table.p[i], "tokenizer") && model_has(&r->model, PART_VISION)) {
            from[i] = ORIGIN_COPIED;
            copy = true;
        }
    if (copy)
        distill_start(&r->model);
}

/* Of each tensor where it is from: so far nowhere else than from the seed, or all from one checkpoint.  To be freed. */
static int *all_from(const Run *r, int one)
{
    int *from = calloc((size_t)r->model.table.n, sizeof *from);
    CHECK(from, "no memory for a list of %d tensors", r->model.table.n);
    for (int i = 0; i < r->model.table.n; i++)
        from[i] = one;
    return from;
}

/* Each checkpoint of the list in turn. */
static bool load_list(Run *r, const char *names, const Piece *all, int n, int *from, Origin *o, Err *e)
{
    char named[PATH_ROOM], path[PATH_ROOM];
    for (const char *at = names + strspn(names, ", "); *at; at += strspn(at, ", ")) {
        CkptMeta m;
        const int length = (int)strcspn(at, ",");
        if (!path_set(named, e, "%.*s", length, at) || !run_find(r, named, path, sizeof path, &m, e))
            return false;
        if (!origin_checkpoint(o, path))
            return err_set(e, EXIT_CONFIG, names, "", "more than %d checkpoints", ORIGINS);
        if (!load_from(r, path, all, n, from, o->checkpoints - 1, e))
            return false;
        identity_started(r, &m);
        at += length;
    }
    return true;
}

bool run_load_parts(Run *r, const char *names, Origin *o, Err *e)
{
    int n;
    char (*table)[CKPT_NAME];
    Piece *all = pieces(r, false, &n, &table);
    int *from = all_from(r, ORIGIN_FRESH);
    *o = (Origin){ .seed = r->c->run.seed };
    const bool ok = load_list(r, names, all, n, from, o, e);
    if (ok) {
        copy_tower(r, from);
        origin_parts(o, &r->model.table, from);
    }
    free(all);
    free(table);
    free(from);
    return ok;
}

static bool ckpt_dir(const Run *r, char dir[PATH_ROOM], Err *e)
{
    return path_set(dir, e, "%s/ckpt", r->c->run.dir);
}

bool run_weights(Run *r, int64_t *step, Err *e)
{
    char path[PATH_ROOM];
    CkptMeta m;
    int n;
    char (*names)[CKPT_NAME];
    if (!run_find(r, r->c->run.dir, path, sizeof path, &m, e))
        return false;
    Piece *p = pieces(r, false, &n, &names);
    bool ok = ckpt_load(r->grid.world, path, p, n, e);
    *step = m.step;
    free(p);
    free(names);
    return ok;
}

bool run_resume(Run *r, Err *e)
{
    char dir[PATH_ROOM], path[PATH_ROOM] = "";
    CkptMeta m;
    if (!ckpt_dir(r, dir, e))
        return false;
    if (r->grid.rank == 0)
        ckpt_clean(dir);
    if (!ckpt_newest(r->grid.world, dir, path, sizeof path, &m, e))
        return false;
    if (path[0]) {
        int n;
        char (*names)[CKPT_NAME];
        if (!identity_same(r, &m, path, e))
            return false;
        Piece *p = pieces(r, true, &n, &names);
        FAULT("load");
        bool ok = ckpt_load(r->grid.world, path, p, n, e);
        FAULT_TENSORS("load", &r->model.table, r->model.weights);
        free(p);
        free(names);
        r->step = r->optim.step = m.step;
        if (ok && run_fingerprint(r, NULL) != m.fingerprint)
            ok = err_set(e, EXIT_IO, path, "", "the loaded parameters differ from those that were saved");
        int *from = all_from(r, 0);
        r->origin = (Origin){ .resumed = true };
        origin_checkpoint(&r->origin, path);
        origin_parts(&r->origin, &r->model.table, from);
        free(from);
        return ok;
    }
    return run_load_parts(r, r->c->train.init, &r->origin, e);
}

/* What several ranks hold must be the same on all of them: the copies of a piece among neighbouring tp ranks, and every
   piece among replicas.  Dies where it is not, since nothing that could be saved would be right. */
static void check_copies(const Run *r)
{
    const Params *t = &r->model.table;
    uint64_t all = 0, *of = calloc((size_t)r->grid.tp_size, sizeof *of);
    CHECK(of, "no memory for %d numbers", r->grid.tp_size);
    for (int i = 0; i < t->n; i++)
        all = all * 31 + params_hash(t, r->model.weights, i);
    comm_same(r->grid.dp, "what replicas hold of the parameters", all);
    for (int c = 2; c <= r->grid.tp_size; c++) {
        uint64_t mine = 0;
        for (int i = 0; i < t->n; i++)
            mine = t->p[i].copies == c ? mine * 31 + params_hash(t, r->model.weights, i) : mine;
        if (r->grid.tp_size % c)
            continue;
        comm_gather_u64(r->grid.tp, mine, of);
        for (int k = 0; k < r->grid.tp_size; k++)
            CHECK(of[k] == of[k - k % c], "parameters that %d tensor-parallel ranks hold alike differ between ranks %d and %d of "
                  "the group", c, k - k % c, k);
    }
    free(of);
}

bool run_save(Run *r, Err *e)
{
    char dir[PATH_ROOM];
    int n;
    char (*names)[CKPT_NAME];
    if (!ckpt_dir(r, dir, e))
        return false;
    optim_settle(&r->optim);
    check_copies(r);
    const CkptMeta m = identity_of(r);
    Piece *p = pieces(r, true, &n, &names);
    bool ok = ckpt_save(r->grid.world, dir, &m, p, n, r->c->ckpt.keep, e);
    free(p);
    free(names);
    return ok;
}
