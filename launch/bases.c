#include "launch/bases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/comm.h"
#include "io/ckpt/ckptdir.h"

/* ---- where they are ---- */

/* Has the checkpoint in this folder the fingerprint?  got: the one it has, of the last that was looked at. */
static bool is_it(const char *path, uint64_t want, uint64_t *got)
{
    uint64_t has;
    if (!ckpt_fingerprint(path, &has))
        return false;
    *got = has;
    return has == want;
}

/* The folder below what a user has named, in a checkpoint's, a run's or its ckpt folder. */
static bool search(const char *named, uint64_t want, char path[PATH_ROOM], uint64_t *got)
{
    static const char *const BELOW[] = { "", "/ckpt" };
    Err none = { 0 };
    if (path_set(path, &none, "%s", named) && is_it(path, want, got))
        return true;
    for (size_t k = 0; k < sizeof BELOW / sizeof *BELOW; k++) {
        char dir[PATH_ROOM];
        int64_t *step = NULL;
        int n = 0;
        bool found = false;
        if (path_set(dir, &none, "%s%s", named, BELOW[k]) && ckptdir_list(dir, &step, &n, &none))
            for (int i = 0; i < n && !found; i++)
                found = path_set(path, &none, "%s/" STEP_FORMAT, dir, step[i]) && is_it(path, want, got);
        free(step);
        if (found)
            return true;
    }
    return false;
}

bool bases_word(const char *list, int k, char out[PATH_ROOM])
{
    for (; *list; list += *list == ',') {
        list += strspn(list, " ");
        const size_t n = strcspn(list, ",");
        if (k-- == 0)
            return path_set(out, &(Err){ 0 }, "%.*s", (int)n, list);
        list += n;
    }
    return false;
}

/* Rank 0 looks. */
static bool find(const Run *r, const Ckpt *c, const char *recorded, uint64_t want, char path[PATH_ROOM], Err *e)
{
    char named[PATH_ROOM];
    uint64_t got = 0;
    int found = 0;
    if (r->grid.rank == 0) {
        found = search(recorded, want, path, &got);
        for (int k = 0; !found && bases_word(r->c->train.init, k, named); k++)
            found = search(named, want, path, &got);
    }
    comm_bcast(r->grid.world, &found, sizeof found, 0);
    comm_bcast(r->grid.world, path, PATH_ROOM, 0);
    if (found)
        return true;
    if (r->grid.rank == 0) {
        err_expected(e, "the checkpoint with the fingerprint %016llx, in %.300s or below train.init", (unsigned long long)want, recorded);
        if (got)
            err_got(e, "another, with the fingerprint %016llx", (unsigned long long)got);
        else
            err_got(e, "none");
        err_set(e, EXIT_IO, ckpt_path(c), "put it back, or name where it lies now in train.init", "the base that this checkpoint stands on is not there");
    }
    return run_agree(r, e);
}

static bool open_those_of(Bases *b, const Run *r, Ckpt *c, Err *e)
{
    const CkptMeta *m = ckpt_meta(c);
    char recorded[PATH_ROOM], hex[PATH_ROOM], path[PATH_ROOM];
    for (int k = 0; bases_word(m->base, k, recorded); k++) {
        if (b->n == BASES || !bases_word(m->init, k, hex))
            return err_set(e, EXIT_DATA, ckpt_path(c), "", "it stands on more than %d checkpoints, or not all of them have a fingerprint", BASES - 1);
        if (!find(r, c, recorded, strtoull(hex, NULL, 16), path, e) || !(b->at[b->n] = ckpt_open(r->grid.world, path, e)))
            return false;
        Ckpt *base = b->at[b->n++];
        if (!open_those_of(b, r, base, e))
            return false;
    }
    return true;
}

bool bases_open(Bases *b, const Run *r, Ckpt *c, Err *e)
{
    *b = (Bases){ { c }, 1 };
    return open_those_of(b, r, c, e);
}

void bases_close(Bases *b)
{
    while (b->n > 1)
        ckpt_close(b->at[--b->n]);
}

/* ---- what they have ---- */

int bases_find(const Bases *b, const char *name)
{
    for (int i = 0; i < b->n; i++)
        if (ckpt_find(b->at[i], name))
            return i;
    return -1;
}

bool bases_fill(Bases *b, const Piece *p, int n, int how, Err *e)
{
    Piece *some = malloc((size_t)(n + 1) * sizeof *some);
    CHECK(some, "no memory for a list of %d tensors", n);
    bool ok = true;
    for (int k = 0; k < b->n && ok; k++) {
        int kept = 0;
        for (int i = 0; i < n; i++) {
            const int from = bases_find(b, p[i].name);
            if (from == k || (from < 0 && k == 0))
                some[kept++] = p[i];
        }
        ok = ckpt_fill(b->at[k], some, kept, k ? CKPT_WANTED : how, e);
    }
    free(some);
    return ok;
}

bool bases_pairs(const Run *r, const Ckpt *c, Err *e)
{
    static const char part[] = "weights/" LORA_PART ".";
    const CkptMeta *m = ckpt_meta(c);
    const Config *is = r->c;
    int n;
    const CkptTensor *list = ckpt_tensors(c, &n);
    if (!model_has(&r->model, PART_DECODER))
        return true;
    for (int i = 0; i < n; i++)
        if (!strncmp(list[i].name, part, sizeof part - 1) && params_find(&r->model.table, list[i].name + 8) < 0) {
            err_got(e, "train.lora_rank = %d, train.lora_targets = \"%.100s\"", is->train.lora_rank, is->train.lora_targets);
            err_expected(e, "rank %d, and a pair beside \"%s\"", m->lora_rank, list[i].name + 8 + sizeof LORA_PART);
            return err_set(e, EXIT_CONFIG, ckpt_path(c), "set them as the run had them (RUN/config.cfg); `asvr export` merges the pairs into the weights",
                           "the checkpoint has low-rank pairs for which the configuration has no place");
        }
    if (!m->lora_rank || (m->lora_rank == is->train.lora_rank && (float)m->lora_alpha == (float)is->train.lora_alpha))
        return true;
    err_got(e, "train.lora_rank = %d, train.lora_alpha = %g", is->train.lora_rank, is->train.lora_alpha);
    err_expected(e, "%d and %g", m->lora_rank, m->lora_alpha);
    return err_set(e, EXIT_CONFIG, ckpt_path(c), "set them as the run had them (RUN/config.cfg)", "the checkpoint's low-rank pairs are not those of the configuration");
}
