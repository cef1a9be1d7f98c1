/* weights.c -- where a run's weights come from: checkpoints, the parts of another run's (run.h) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/distill.h"
#include "core/fault.h"
#include "dist/comm.h"
#include "io/base/files.h"
#include "launch/bases.h"
#include "launch/identity.h"

static bool exists(const char *dir, const char *name)
{
    char path[PATH_ROOM];
    struct stat st;
    return path_set(path, &(Err){ 0 }, "%s/%s", dir, name) && stat(path, &st) == 0;
}

Ckpt *run_ckpt(const Run *r, const char *named, CkptUse *use, void *with, Err *e)
{
    Ckpt *c = NULL;
    char dir[PATH_ROOM];
    /* Rank 0 looks: the others might see an older state of a shared file system. */
    int kind = exists(named, "manifest.json") ? 0 : exists(named, "ckpt") ? 1 : exists(named, ".") ? 2 : 3;
    comm_bcast(r->grid.world, &kind, sizeof kind, 0);
    if (kind == 0) {
        c = ckpt_open(r->grid.world, named, e);
        if (!c || !use || use(with, c, e))
            return c;
        ckpt_close(c);
        return NULL;
    }
    path_set(dir, e, "%s%s", named, kind == 1 ? "/ckpt" : "");
    if (!run_agree(r, e) || (kind < 3 && !ckpt_choose(r->grid.world, dir, use, with, &c, e)))
        return NULL;
    if (!c)
        err_set(e, EXIT_IO, named, "name a checkpoint's folder or a run that has one",
                kind == 3 ? "there is no such folder" : "there is no checkpoint");
    return c;
}

Piece *run_pieces(const Run *r, bool moments, int *n, char (**names)[CKPT_NAME])
{
    static const char *const KIND[] = { "weights", "m", "v" };
    const Params *t = &r->model.table;
    const int most = (1 + 2 * ZERO_SLICES) * t->n;
    Piece *p = calloc((size_t)most, sizeof *p);
    *names = calloc((size_t)most, sizeof **names);
    CHECK(p && *names, "no memory for the names of %d tensors", most);
    *n = 0;
    for (int kind = 0; kind < (moments ? 3 : 1); kind++)
        for (int i = 0; i < t->n; i++) {
            Moment m = { { param_slice(t, i) }, r->model.weights + t->p[i].offset, r->grid.dp_rank == 0 && params_speak(t, i) };
            if (kind ? !optim_moment(&r->optim, i, kind - 1, &m) : !!(t->p[i].flags & BASED))
                continue;
            for (int s = 0; s < (kind ? ZERO_SLICES : 1); m.data += slice_total(&m.slice[s++])) {
                char *name = (*names)[*n];
                snprintf(name, CKPT_NAME, "%s/%s", KIND[kind], t->p[i].name);
                p[(*n)++] = (Piece){ name, m.slice[s], m.data, m.write };
            }
        }
    return p;
}

/* The part of a tensor's name, e.g. "decoder": its length. */
static int part_length(const Param *p) { return (int)strcspn(p->name, "."); }

static bool same_part(const Param *a, const Param *b)
{
    return part_length(a) == part_length(b) && !strncmp(a->name, b->name, (size_t)part_length(a));
}

/* A part is in a checkpoint whole or not at all: of each tensor of the table whether it is there. */
static bool parts_there(const Params *t, const Bases *b, bool *there, Err *e)
{
    for (int i = 0; i < t->n; i++) {
        char name[CKPT_NAME];
        snprintf(name, sizeof name, "weights/%s", t->p[i].name);
        there[i] = bases_find(b, name) >= 0;
    }
    for (int i = 1; i < t->n; i++) {
        if (there[i] == there[i - 1] && same_part(&t->p[i], &t->p[i - 1]))
            continue;
        int other = -1, have = 0, all = 0;
        for (int k = 0; k < t->n; k++) {
            if (!same_part(&t->p[k], &t->p[i]))
                continue;
            all++, have += there[k];
            other = there[k] ? other : k;
        }
        if (have == 0 || have == all)
            continue;
        err_expected(e, "all %d tensors of \"%.*s\"", all, part_length(&t->p[i]), t->p[i].name);
        err_got(e, "%d of them; \"%s\" is missing", have, t->p[other].name);
        return err_set(e, EXIT_DATA, ckpt_path(b->at[0]), "the model.* keys differ from the checkpoint's", "the checkpoint is of another model");
    }
    return true;
}

/* Of the decoder a model reads every tensor: one that it has no place for (an LM head of its own, norms, a block) is of another. */
static bool decoder_whole(const Params *t, const Ckpt *c, Err *e)
{
    static const char part[] = "weights/decoder.";
    int n, embed = params_find(t, "decoder.embed");
    const CkptTensor *list = ckpt_tensors(c, &n);
    for (int i = 0; i < n && embed >= 0; i++)
        if (!strncmp(list[i].name, part, sizeof part - 1) && params_find(t, strchr(list[i].name, '/') + 1) < 0) {
            err_got(e, "\"%s\"", strchr(list[i].name, '/') + 1);
            return err_set(e, EXIT_DATA, ckpt_path(c), "the model.decoder.* keys differ from the checkpoint's",
                           "the checkpoint's decoder has a tensor for which the model has no place");
        }
    return true;
}

/* One checkpoint of the list. */
typedef struct { Run *r; const Piece *all; int n, this, *from; } Parts;

/* Where pairs come from this checkpoint and the decoder from an earlier one, that must be what they stand on. */
static bool pairs_belong(const Parts *q, const Bases *b, const bool *there, Err *e)
{
    const Params *t = &q->r->model.table;
    const int embed = params_find(t, "decoder.embed");
    char decoder[PATH_ROOM];
    int pair = 0;
    while (pair < t->n && !param_in_part(&t->p[pair], LORA_PART))
        pair++;
    if (pair == t->n || embed < 0 || !there[pair] || q->from[pair] >= 0 || q->from[embed] < 0 || q->from[embed] == q->this
        || !bases_word(q->r->init, q->from[embed], decoder))
        return true;
    for (int i = 1; i < b->n; i++)
        if (ckpt_meta(b->at[i])->fingerprint == strtoull(decoder, NULL, 16))
            return true;
    err_expected(e, "one of the fingerprints %s, on which the pairs stand", ckpt_meta(b->at[0])->init);
    err_got(e, "a decoder from the one with %s", decoder);
    return err_set(e, EXIT_CONFIG, ckpt_path(b->at[0]), "name the pairs' run alone: it knows its base", "the low-rank pairs are of another base than the decoder that train.init names");
}

/* Of the tensors that nobody has filled yet, those whose part the checkpoint has; they are `from` this one. */
static bool use_parts(void *with, Ckpt *c, Err *e)
{
    const Parts *q = with;
    Piece *mine = malloc((size_t)(q->n + 1) * sizeof *mine);
    bool *there = calloc((size_t)q->n + 1, sizeof *there);
    int kept = 0;
    Bases b = { .n = 0 };
    CHECK(mine && there, "no memory for a list of %d tensors", q->n);
    bool ok = bases_open(&b, q->r, c, e);
    if (ok && parts_there(&q->r->model.table, &b, there, e) && decoder_whole(&q->r->model.table, c, e) && bases_pairs(q->r, c, e))
        pairs_belong(q, &b, there, e);
    ok = run_agree(q->r, e);
    for (int i = 0; ok && i < q->n; i++) {
        if (q->from[i] == q->this)                          /* what a damaged one before would have filled */
            q->from[i] = ORIGIN_FRESH;
        if (q->from[i] >= 0 || !there[i])
            continue;
        mine[kept++] = q->all[i];
        q->from[i] = q->this;
    }
    ok = ok && bases_fill(&b, mine, kept, CKPT_WANTED, e);
    bases_close(&b);
    free(mine);
    free(there);
    return ok;
}

/* What nobody filled: the codes' own tower becomes a copy of the vision tower, if that is there; the rest starts from the seed. */
static void fill_rest(Run *r, int *from)
{
    bool copy = false;
    for (int i = 0; i < r->model.table.n; i++) {
        const bool tower = param_in_part(&r->model.table.p[i], "tokenizer") && model_has(&r->model, PART_VISION);
        if (from[i] < 0 && tower)
            from[i] = ORIGIN_COPIED;
        else if (from[i] < 0)
            params_init(&r->model.table, i, r->model.weights, (uint64_t)r->c->run.seed);
        copy |= from[i] == ORIGIN_COPIED;
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
    char named[PATH_ROOM];
    const char *between = access(names, F_OK) == 0 ? "" : ",";      /* a run may be called so, commas and all */
    for (const char *at = names + strspn(names, ", "); *at; at += strspn(at, ", ")) {
        const int length = (int)strcspn(at, between);
        Parts q = { r, all, n, o->checkpoints, from };
        if (o->checkpoints == ORIGINS)
            return err_set(e, EXIT_CONFIG, names, "", "more than %d checkpoints", ORIGINS);
        path_set(named, e, "%.*s", length, at);
        Ckpt *c = run_agree(r, e) ? run_ckpt(r, named, use_parts, &q, e) : NULL;
        if (!c)
            return false;
        origin_checkpoint(o, ckpt_path(c));
        identity_started(r, c, e);
        ckpt_close(c);
        if (!run_agree(r, e))
            return false;
        at += length;
    }
    return true;
}

/* With low-rank pairs, what came from a checkpoint and does not learn is left there. */
static void base_on(Run *r, int i, bool there)
{
    Param *p = &r->model.table.p[i];
    const bool based = r->model.c.lora_rank && p->grad < 0 && there;
    p->flags = based ? p->flags | BASED : p->flags & ~(unsigned)BASED;
}

bool run_load_parts(Run *r, const char *names, Origin *o, Err *e)
{
    int n;
    char (*table)[CKPT_NAME];
    Piece *all = run_pieces(r, false, &n, &table);
    int *from = all_from(r, ORIGIN_FRESH);
    *o = (Origin){ .seed = r->c->run.seed };
    const bool ok = load_list(r, names, all, n, from, o, e);
    if (ok) {
        fill_rest(r, from);
        for (int i = 0; i < r->model.table.n; i++)
            base_on(r, i, from[i] >= 0);
        origin_parts(o, &r->model.table, from);
    }
    free(all);
    free(table);
    free(from);
    return ok;
}

bool run_ckpt_dir(const Run *r, char dir[], Err *e)
{
    return path_set(dir, e, "%s/ckpt", r->c->run.dir);
}

/* Pieces, and how many. */
typedef struct { Run *r; Piece *p; int n; } Whole;

static bool use_weights(void *with, Ckpt *c, Err *e)
{
    const Whole *w = with;
    Bases b = { .n = 0 };
    bool ok = bases_open(&b, w->r, c, e);
    if (ok && decoder_whole(&w->r->model.table, c, e))
        bases_pairs(w->r, c, e);
    ok = run_agree(w->r, e) && bases_fill(&b, w->p, w->n, CKPT_WANTED, e);
    bases_close(&b);
    return ok;
}

bool run_weights_of(Run *r, const char *named, int64_t *step, Err *e)
{
    char (*names)[CKPT_NAME];
    Whole w = { .r = r };
    w.p = run_pieces(r, false, &w.n, &names);
    Ckpt *c = run_ckpt(r, named, use_weights, &w, e);
    if (c)
        *step = ckpt_meta(c)->step;
    ckpt_close(c);
    free(w.p);
    free(names);
    return c != NULL;
}

bool run_weights(Run *r, int64_t *step, Err *e) { return run_weights_of(r, r->c->run.dir, step, e); }

/* ---- going on ---- */

uint64_t run_moments(const Run *r)
{
    uint64_t sum[2] = { 0 };                                /* of what replicas share, and of what each has whole */
    for (int i = 0; i < r->model.table.n; i++)
        for (int k = 0; k < 2; k++) {
            char name[CKPT_NAME];
            Moment m;
            if (!optim_moment(&r->optim, i, k, &m) || !params_speak(&r->model.table, i))
                continue;
            snprintf(name, sizeof name, "%s/%s", k ? "v" : "m", r->model.table.p[i].name);
            float *data = m.data;
            for (int s = 0; s < ZERO_SLICES; data += slice_total(&m.slice[s++]))
                sum[!r->optim.zero.section[r->optim.zero.of[i]].owned] += ckpt_sums(&(Piece){ name, m.slice[s], data, true }, 1).moments;
        }
    comm_sum_u64(r->grid.world, &sum[0], 1);
    comm_sum_u64(r->grid.tp, &sum[1], 1);
    return sum[0] + sum[1];
}

static bool saved(const Param *p) { return !(p->flags & BASED); }

/* Each replica adds up what it has in memory now. */
static bool same_sums(const Run *r, const Ckpt *c, Err *e)
{
    const CkptMeta *m = ckpt_meta(c);
    const uint64_t weights = run_fingerprint(r, saved), moments = run_moments(r);
    const bool moved = m->version >= 3 && moments != m->moments;
    if (weights != m->fingerprint || moved) {
        err_expected(e, "%016llx", (unsigned long long)(weights != m->fingerprint ? m->fingerprint : m->moments));
        err_got(e, "%016llx", (unsigned long long)(weights != m->fingerprint ? weights : moments));
        err_set(e, EXIT_IO, ckpt_path(c), "try again; the memory of a node, or how this program was built, is not to be trusted",
                "the loaded %s differ from those that were saved", weights != m->fingerprint ? "parameters" : "moments");
    }
    return run_agree(r, e);
}

static bool use_resume(void *with, Ckpt *c, Err *e)
{
    const Whole *w = with;
    FAULT("load");
    Bases b = { .n = 0 };
    bool ok = identity_same(w->r, ckpt_meta(c), ckpt_path(c), e) && bases_open(&b, w->r, c, e) && bases_fill(&b, w->p, w->n, CKPT_WHOLE, e);
    bases_close(&b);
    if (!ok)
        return false;
    for (int i = 0; i < w->r->model.table.n; i++)
        base_on(w->r, i, !ckpt_find(c, w->p[i].name));      /* the weights come first, in the table's order */
    FAULT_TENSORS("load", &w->r->model.table, w->r->model.weights);
    return same_sums(w->r, c, e);
}

bool run_resume(Run *r, Err *e)
{
    char dir[PATH_ROOM], (*names)[CKPT_NAME];
    Ckpt *c = NULL;
    Whole w = { .r = r };
    run_ckpt_dir(r, dir, e);
    if (!run_agree(r, e))
        return false;
    if (r->grid.rank == 0)
        ckpt_clean(dir);
    w.p = run_pieces(r, true, &w.n, &names);
    const bool ok = ckpt_choose(r->grid.world, dir, use_resume, &w, &c, e);
    free(w.p);
    free(names);
    if (!ok || !c)
        return ok && run_load_parts(r, r->c->train.init, &r->origin, e);
    int *from = all_from(r, 0);
    r->step = r->optim.step = ckpt_meta(c)->step;
    r->origin = (Origin){ .resumed = true };
    origin_checkpoint(&r->origin, ckpt_path(c));
    origin_parts(&r->origin, &r->model.table, from);
    free(from);
    ckpt_close(c);
    return true;
}
