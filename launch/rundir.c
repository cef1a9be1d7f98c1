#include "launch/rundir.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dist/comm.h"
#include "io/base/files.h"
#include "io/ckpt/ckptdir.h"

/* Begun anew where there is no checkpoint: then what names one goes, too. */
static void forget_latest(const Run *r)
{
    char path[PATH_ROOM];
    int64_t *step = NULL;
    int n = 0;
    Err none = { 0 };
    if (path_set(path, &none, "%s/ckpt", r->c->run.dir) && ckptdir_list(path, &step, &n, &none) && n == 0 &&
        path_set(path, &none, "%s/ckpt/latest", r->c->run.dir)) {
        unlink(path);
        if (path_set(path, &none, "%s/ckpt/best", r->c->run.dir))
            unlink(path);
    }
    free(step);
}

bool rundir_take(Run *r, Err *e)
{
    if (r->grid.rank == 0)
        r->lease = lease_run(r->c->run.dir, e);
    if (!run_agree(r, e))
        return false;
    if (r->lease && lease_from(r->lease)[0]) {
        printf("takes %s over from %s%s\n", r->c->run.dir, lease_from(r->lease), lease_apart(r->lease) ? ", which is fenced" : "");
        fflush(stdout);
    }
    if (r->lease && r->c->run.fresh)
        forget_latest(r);
    snprintf(r->tag, sizeof r->tag, "%s", lease_tag(r->lease));
    comm_bcast(r->grid.world, r->tag, sizeof r->tag, 0);
    return true;
}

bool rundir_whole(const Run *r, Err *e)
{
    char dir[PATH_ROOM];
    int64_t *step = NULL;
    int n = 0;
    if (!path_set(dir, e, "%s/ckpt", r->c->run.dir) || !ckptdir_list(dir, &step, &n, e))
        return false;
    free(step);
    if (n == 0 && lease_saved(r->lease) >= 0 && !r->c->run.fresh) {
        err_expected(e, "a checkpoint: step %lld was saved", (long long)lease_saved(r->lease));
        err_got(e, "none");
        return err_set(e, EXIT_IO, dir, "put the checkpoints back, or begin anew from step 0 with run.fresh = true",
                       "the run's checkpoints are gone");
    }
    lease_save(r->lease, n ? r->step : -1);
    return true;
}

bool rundir_ours(const Run *r, Err *e)
{
    if (lease_seems_held(r->lease) && log_there(r->log))
        return true;
    return lease_held(r->lease, e) &&
           err_set(e, EXIT_IO, r->c->run.dir, "stop whatever cleans up there; the run goes on from its last checkpoint, if that is left",
                   "run.jsonl was removed or replaced while the run writes to it");
}

void rundir_reason(const Run *r, Err *e)
{
    Err lost = { 0 };
    if (r->grid.rank == 0)
        lease_held(r->lease, &lost);
    if (!run_agree(r, &lost))
        *e = lost;
}

bool rundir_agree(const Run *r, Err *e)
{
    const bool ok = run_agree(r, e);
    if (!ok)
        rundir_reason(r, e);
    return ok;
}
