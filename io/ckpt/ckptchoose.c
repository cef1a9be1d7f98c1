#include "io/ckpt/ckptinside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/agree.h"
#include "io/ckpt/ckptdir.h"

/* Rank 0 lists dir's steps, all get them; freed by the caller. */
static bool list_steps(MPI_Comm comm, const char *dir, int64_t **step, int *n, Err *e)
{
    int rank, size;
    ckpt_who(comm, &rank, &size);
    *step = NULL, *n = 0;
    bool ok = !ckpt_hurt(CKPT_AT_LIST, e) && (rank || ckptdir_list(dir, step, n, e));
    if (ok && rank == 0 && *n == 0) {
        char latest[PATH_ROOM];
        ok = path_set(latest, e, "%s/latest", dir);
        if (ok && access(latest, F_OK) == 0)
            ok = err_set(e, EXIT_IO, dir, "put them back, or begin anew from step 0 with run.fresh = true",
                         "no checkpoint left: `latest` names one, but there is none");
    }
    if (!err_agree(comm, ok, e)) {
        free(*step);
        *step = NULL;
        return false;
    }
    ckpt_bcast(comm, n, sizeof *n);
    if (*n == 0)
        return true;
    if (rank)
        *step = calloc((size_t)*n + 1, sizeof **step);
    CHECK(*step, "no memory for a list of %d checkpoints", *n);
    ckpt_bcast(comm, *step, (size_t)*n * sizeof **step);
    return true;
}

/* Warns of a checkpoint passed over and adds it to the list of them. */
static void pass_over(const char *path, const Err *why, char *list, size_t cap)
{
    char text[2048];
    const char *name = strrchr(path, '/');
    size_t n = strlen(list);
    if (n + 2 < cap)
        snprintf(list + n, cap - n, "%s%.80s (%.80s)", n ? ", " : "", name ? name + 1 : path, why->what);
    snprintf(text, sizeof text, "checkpoint %.800s is not valid and is passed over: %s%s%s%s%s", path, why->what,
             why->expected[0] ? "; expected " : "", why->expected, why->got[0] ? ", got " : "", why->got);
    ckpt_warn(text);
}

/* Is the folder no longer there?  Rank 0's word. */
static bool vanished(MPI_Comm comm, const char *path)
{
    int rank, size, gone;
    ckpt_who(comm, &rank, &size);
    gone = rank == 0 && access(path, F_OK) && errno == ENOENT;
    ckpt_bcast(comm, &gone, sizeof gone);
    return gone;
}

enum { TAKEN, BAD, FINAL };

/* One candidate; TAKEN leaves it open in *out, else `why` says what is wrong. */
static int try_step(MPI_Comm comm, const char *path, int64_t step, CkptUse *use, void *with, Ckpt **out, Err *why)
{
    bool newer = false;
    Ckpt *c = ckpt_begin(comm, path, &newer, why);
    if (!c)
        return newer ? FINAL : BAD;
    if (c->m.meta.step != step) {
        c->damaged = true;
        err_set(why, EXIT_DATA, path, "", "its manifest is of step %" PRId64, c->m.meta.step);
    } else if (!use || use(with, c, why)) {
        *out = c;
        return TAKEN;
    }
    const int verdict = c->damaged ? BAD : FINAL;
    ckpt_close(c);
    return verdict;
}

typedef struct { int n; bool gone; char bad[400]; } Tried;

/* Every step of the folder; `again`: one that vanished ends the round, so that the folder is read once more. */
static int try_all(MPI_Comm comm, const char *dir, bool again, CkptUse *use, void *with, Ckpt **out, Tried *t, Err *e)
{
    int rank, size, verdict = BAD;
    int64_t *step;
    *t = (Tried){ 0 };
    ckpt_who(comm, &rank, &size);
    if (!list_steps(comm, dir, &step, &t->n, e))
        return FINAL;
    for (int i = 0; i < t->n && verdict == BAD && !t->gone; i++) {
        Err why = { 0 };
        char path[PATH_ROOM];
        if (!err_agree(comm, path_set(path, &why, "%s/" STEP_FORMAT, dir, step[i]), &why))
            verdict = FINAL;
        else
            verdict = try_step(comm, path, step[i], use, with, out, &why);
        if (verdict == FINAL)
            *e = why;
        else if (verdict == BAD && again && vanished(comm, path))
            t->gone = true;
        else if (verdict == BAD && rank == 0)
            pass_over(path, &why, t->bad, sizeof t->bad);
    }
    free(step);
    return verdict;
}

bool ckpt_choose(MPI_Comm comm, const char *dir, CkptUse *use, void *with, Ckpt **out, Err *e)
{
    Tried t;
    *out = NULL;
    int verdict = try_all(comm, dir, true, use, with, out, &t, e);
    if (t.gone) {
        verdict = try_all(comm, dir, false, use, with, out, &t, e);
        if (verdict == BAD && t.n == 0)
            return err_set(e, EXIT_IO, dir, "look who removes them", "the checkpoints vanished while they were read");
    }
    if (verdict != BAD || t.n == 0)
        return verdict != FINAL;
    ckpt_bcast(comm, t.bad, sizeof t.bad);
    return err_set(e, EXIT_IO, dir, "to start from step 0, remove this folder", "no valid checkpoint left among %d: %s", t.n, t.bad);
}

/* ---- fingerprints, by manifests alone ---- */

bool ckpt_fingerprint(const char *path, uint64_t *out)
{
    Err e = { 0 };
    Manifest m = { 0 };
    char file[PATH_ROOM], *text = NULL;
    size_t n;
    const bool ok = path_set(file, &e, "%s/" MANIFEST_NAME, path) && file_read(file, MANIFEST_MAX, &text, &n, &e) &&
                    manifest_parse(&m, text, n, file, &e);
    *out = m.meta.fingerprint;
    manifest_free(&m);
    free(text);
    return ok;
}

int ckpt_fingerprints(const char *named, uint64_t *out, int cap)
{
    static const char *const BELOW[] = { "", "/ckpt" };
    int found = cap > 0 && ckpt_fingerprint(named, out);
    for (size_t k = 0; k < sizeof BELOW / sizeof *BELOW && !found; k++) {
        Err e = { 0 };
        char dir[PATH_ROOM], path[PATH_ROOM];
        int64_t *step = NULL;
        int n = 0;
        if (!path_set(dir, &e, "%s%s", named, BELOW[k]) || !ckptdir_list(dir, &step, &n, &e))
            continue;
        for (int i = 0; i < n && found < cap; i++)
            found += path_set(path, &e, "%s/" STEP_FORMAT, dir, step[i]) && ckpt_fingerprint(path, &out[found]);
        free(step);
    }
    return found;
}
