/* stepsave.c -- when a training run saves, and what becomes of a save that fails (step.h) */
#include <errno.h>
#include <stdio.h>

#include "core/fault.h"
#include "dist/stop.h"
#include "launch/guard.h"
#include "launch/rundir.h"
#include "launch/save.h"
#include "launch/step.h"

enum { SAVE_AGAIN = 60 /* seconds after a save that found the disk full */ };

/* A full disk may be emptied, what a node's disk had lost is still in memory, and without it there is the run's (run_keep): training
   goes on, and tries again with the next checkpoint or in a minute.  Not at the end, and not where somebody asked to stop (last).
   True: goes on.  e is the same on all ranks. */
static bool save_failed(const Run *r, StepState *s, bool last, Err *e)
{
    char text[1400];
    rundir_reason(r, e);
    const bool full = e->error == ENOSPC || e->error == EDQUOT;
    if (e->code != EXIT_DATA && (e->code != EXIT_IO || !(full || saver_failed(r->saver, SAVER_LOCAL))))
        return false;
    if (last) {
        e->code = s->stop ? EXIT_UNSAVED : EXIT_IO;
        return false;
    }
    snprintf(text, sizeof text, "step %lld is not saved: %s (%s); training goes on and tries again", (long long)saver_tried(r->saver), e->what, e->where);
    if (r->grid.rank == 0)
        log_warn(text);
    s->again = now() + SAVE_AGAIN;
    *e = (Err){ 0 };
    return true;
}

void step_save_asks(const Run *r, const StepState *s, Tally *t)
{
    const double minutes = r->c->ckpt.minutes;
    t->saved = saver_ready(r->saver, SAVER_RUN);
    t->kept = saver_ready(r->saver, SAVER_LOCAL);
    if (r->grid.rank)
        return;
    t->keep = r->local_dir[0] && now() - s->kept > 60 * r->c->ckpt.local_minutes;
    t->minutes = (minutes > 0 && now() - s->saved > 60 * minutes) || (s->again > 0 && now() > s->again);
}

bool step_save_goes_on(Run *r, StepState *s, const Tally *t, Err *e)
{
    const bool ready[SAVER_LANES] = { [SAVER_RUN] = t->saved == r->grid.size, [SAVER_LOCAL] = t->kept == r->grid.size };
    bool ok;
    s->minutes_due = t->minutes > 0;
    s->keep_due = t->keep > 0;
    span(&s->t_ckpt, ok = run_save_goes_on(r, ready, s->again == 0, e) || save_failed(r, s, false, e));
    s->t_saved = saver_seconds(r->saver);
    return ok;
}

/* What may be saved, and where to. */
static bool save(Run *r, StepState *s, bool last, Err *e)
{
    const bool keep = r->local_dir[0] && !last && !s->best_due;     /* of steps on the nodes' disks only the newest comes to RUN/ckpt */
    if (r->grid.rank == 0)
        rundir_ours(r, e);
    if (!run_agree(r, e) || !guard_frozen(r, e) || !guard_copies(r, e))
        return false;
    if (keep && run_keep(r))
        return true;
    /* That the save before failed says nothing of this one. */
    return (run_saved(r, e) || save_failed(r, s, false, e)) && (run_save(r, last, e) || save_failed(r, s, last, e));
}

bool step_save(Run *r, StepState *s, bool last, Err *e)
{
    const Config *c = r->c;
    const bool due = (c->ckpt.every > 0 && r->step % c->ckpt.every == 0) || s->minutes_due || s->best_due;
    bool ok;
    if (!due && !s->keep_due && !last)
        return true;
    FAULT("save");
    FAULT_TENSORS("save", &r->model.table, r->model.weights);
    watch_phase(r->watch, WATCH_SAVE, r->step);
    stop_in_save(true);
    log_sync(r->log);
    s->again = 0;
    span(&s->t_ckpt, ok = save(r, s, last, e));
    stop_in_save(false);
    watch_phase(r->watch, WATCH_STEP, r->step);
    s->t_saved = saver_seconds(r->saver);
    s->saved = s->kept = now();
    s->best_due = false;
    return ok;
}
