/* save.c -- where a run's weights go to: the next checkpoint of its folder (run.h) */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/rng.h"
#include "dist/comm.h"
#include "io/base/files.h"
#include "io/ckpt/ckptdir.h"
#include "io/ckpt/local.h"
#include "io/ckpt/recover.h"
#include "launch/identity.h"
#include "launch/lives.h"
#include "launch/save.h"

/* This run's folder below ckpt.local.  Its name comes from RUN/run.id, which nobody can guess, and from where RUN lies: neither a
   new run in the same place nor a copy of this one in another takes it for its own. */
static bool local_folder(Run *r, Err *e)
{
    char path[PATH_ROOM], real[PATH_ROOM], *text = NULL;
    size_t n = 0;
    uint64_t id = 0;
    if (r->grid.rank == 0 && path_set(path, e, "%s/run.id", r->c->run.dir)) {
        if (access(path, F_OK)) {
            char new[24];
            CHECK(getrandom(&id, sizeof id, 0) == sizeof id, "the system gives no random number");
            file_replace(path, new, (size_t)snprintf(new, sizeof new, "%016" PRIx64 "\n", id), e);
        }
        if (!e->code && file_read(path, 64, &text, &n, e) && realpath(r->c->run.dir, real))
            id = rng_bits(rng_stream(text), rng_stream(real), 0);
        free(text);
    }
    if (!run_agree(r, e))
        return false;
    comm_bcast(r->grid.world, &id, sizeof id, 0);
    return path_set(r->local_dir, e, "%s/asvr-%016" PRIx64, r->c->ckpt.local, id);
}

static SaverConf conf_of(const Run *r)
{
    return (SaverConf){ .keep = r->c->ckpt.keep, .async = r->c->ckpt.async, .local = r->local_dir[0] ? r->local_dir : NULL,
                        .tag = r->tag, .may = lease_held, .owner = r->lease };
}

bool run_recover(Run *r, Err *e)
{
    int64_t than = -1, *step = NULL, found;
    int n;
    if (!run_ckpt_dir(r, r->ckpt_dir, e))
        return false;
    if (!r->c->ckpt.local[0])
        return true;
    if (!local_folder(r, e))
        return false;
    if (r->grid.rank == 0 && ckptdir_list(r->ckpt_dir, &step, &n, e) && n)
        than = step[0];
    free(step);
    comm_bcast(r->grid.world, &than, sizeof than, 0);
    const SaverConf conf = conf_of(r);
    if (!run_agree(r, e) || (found = local_recover(r->grid.world, r->ckpt_dir, &conf, than, e)) == -2)
        return false;
    if (found >= 0 && r->grid.rank == 0)
        printf("step %" PRId64 " was on the nodes' disks (ckpt.local): it is in %s now\n", found, r->ckpt_dir);
    if (found >= 0)
        lives_ckpt(r, found, 0);
    return true;
}

double save_copy(const Optim *o, int replicas)
{
    double floats = 0;
    for (int i = 0; i < o->table->n; i++) {
        const Param *p = &o->table->p[i];
        floats += save_leaves(o->table, p) ? 0 : (double)p->count / (replicas * p->copies);
        if (p->grad >= 0 && !(p->flags & STATE)) {                  /* it has moments: of Muon one, else two */
            const bool owned = o->zero.section[o->zero.of[i]].owned;
            const double held = (double)optim_held(o, i) / (owned ? 1 : replicas);
            floats += (o->muon[i] ? 1 : 2) * held / p->copies;
        }
    }
    return 4 * floats;
}

bool run_saver(Run *r, Err *e)
{
    int n;
    const SaverConf conf = conf_of(r);
    r->piece = run_pieces(r, true, &n, &r->piece_name);
    r->saver = saver_open(r->grid.world, r->ckpt_dir, r->piece, n, &conf, e);
    return r->saver != NULL;
}

bool run_saver_close(Run *r)
{
    if (r->saver && (saver_busy(r->saver, SAVER_RUN) || saver_busy(r->saver, SAVER_LOCAL)))
        return false;
    if (r->saver)
        saver_close(r->saver);
    free(r->piece);
    free(r->piece_name);
    return true;
}

/* The state as it is now may be saved. */
static CkptMeta ready_to_save(Run *r)
{
    optim_settle(&r->optim);
    return identity_of(r);
}

/* Later lives shall know what is missing if it is gone. */
static bool told(Run *r, bool ok)
{
    const int64_t step = saver_saved(r->saver, SAVER_RUN);
    if (step > lease_saved(r->lease)) {
        lease_save(r->lease, step);
        lives_ckpt(r, step, saver_seconds(r->saver));
    }
    return ok;
}

bool run_saved(Run *r, Err *e)
{
    Err other = { 0 };
    const bool kept = saver_finish(r->saver, SAVER_LOCAL, e);           /* a node's disk that fails does not lose the run's */
    return told(r, saver_finish(r->saver, SAVER_RUN, kept ? e : &other)) && kept;
}

bool run_save(Run *r, bool wait, Err *e)
{
    if (!run_saved(r, e))
        return false;
    if (saver_saved(r->saver, SAVER_RUN) != r->step) {
        const CkptMeta m = ready_to_save(r);
        if (!saver_start(r->saver, &m, e))
            return false;
    }
    if ((wait || !r->c->ckpt.async) && !run_saved(r, e))
        return false;
    if (wait && r->local_dir[0])
        local_forget(r->local_dir);                         /* of no use any more */
    return true;
}

bool run_keep(Run *r)
{
    if (saver_busy(r->saver, SAVER_LOCAL) || saver_copying(r->saver))
        return true;                                    /* the next one will be newer */
    if (saver_failed(r->saver, SAVER_LOCAL))
        return false;
    const CkptMeta m = ready_to_save(r);
    saver_keep(r->saver, &m);
    return true;
}

bool run_save_goes_on(Run *r, const bool ready[SAVER_LANES], bool carry, Err *e)
{
    Saver *s = r->saver;
    for (int lane = 0; lane < SAVER_LANES; lane++)
        if (ready[lane] && !told(r, saver_advance(s, lane, e)))
            return false;
    if (!carry || saver_busy(s, SAVER_LOCAL) || saver_busy(s, SAVER_RUN) || saver_saved(s, SAVER_LOCAL) <= saver_saved(s, SAVER_RUN))
        return true;
    return saver_carry(s, e);
}
