/* train.c -- the training loop: the first file to read (docs/TOUR.md walks through one step) */
#include <math.h>

#include "core/fault.h"
#include "dist/stop.h"
#include "launch/deadline.h"
#include "launch/guard.h"
#include "launch/lives.h"
#include "launch/spike.h"
#include "launch/stepeval.h"
#include "launch/verbs.h"

/* One update, or none if the numbers are not finite or the gradient is a spike, or if the step was not begun or was left (s->stop).
   The same on all ranks. */
static bool step(Run *r, StepState *s, Err *e)
{
    Model *m = &r->model;
    FAULT_STEP(r->step + 1);
    FAULT("data");
    const StepData *data = step_data(r, s, e);              /* micro-batches; targets and requests of all ranks */
    if (!data || s->stop)
        return data;
    for (int i = 0; i < data->n; i++) {
        Losses one = { 0 };
        span(&s->t_reduce, buckets_begin(r->buckets, i));   /* gradients are zero, or what earlier micro-batches left */
        FAULT("forward");
        span(&s->t_forward, model_forward(m, &r->tape, &data->batch[i], &s->targets, &one));
        FAULT_NUMBERS("forward", &one.text, 1);
        step_losses(r, s, &one);
        if (step_left(r, s, i))
            return true;
        FAULT("backward");
        span(&s->t_backward, model_backward(m, &r->tape, &data->batch[i], &r->door));
    }
    FAULT("reduce");
    span(&s->t_reduce, buckets_wait(r->buckets));
    guard_step(r);
    step_sum(r, s);
    s->norm = optim_norm(&r->optim, m->grads);
    s->ok = isfinite(s->loss) && isfinite(s->norm) && !spike_is(&r->norms, s->norm, r->c->train.spike);     /* equal on all ranks */
    FAULT("optim");
    if (s->ok)
        span(&s->t_optim, step_update(r, s));
    return true;
}

/* Between two steps, or in the middle of one, which then counts for nothing: the next start does it again. */
static int leave(Run *r, StepState *s, Err *e)
{
    if (s->stop > 1) {
        lives_say(r, "stopped at once after step %lld, asked twice; not saved", (long long)r->step);
        return EXIT_UNSAVED;
    }
    if (r->step > s->first && !step_save(r, s, true, e))
        return e->code;
    if (s->late)
        lives_say(r, "the job's time is not enough for step %lld (the last one took %.1f s) and a save (%.1f s)", (long long)r->step + 1,
                 s->t_last, deadline_save(r, s));
    lives_say(r, "stopped after step %lld on request; start the same command again to go on", (long long)r->step);
    return EXIT_SAVED;
}

static int train(Run *r, Err *e)
{
    const Config *c = r->c;
    StepState s = { .saved = now(), .kept = now(), .first = r->step, .ends = deadline_open(r) };
    if (step_eval_owed(r) && (!step_eval(r, &s, e) || (s.best_due && !step_save(r, &s, false, e))))
        return e->code;
    while (r->step < r->steps) {
        if (!step(r, &s, e))
            return e->code;
        if (s.stop)
            return leave(r, &s, e);
        FAULT_TENSORS("optim", &r->model.table, r->model.weights);
        FAULT("log");
        step_log(r, &s);
        if (!s.ok && ++s.skipped_in_a_row > c->train.skip_limit)
            return err_set(e, EXIT_NUMERIC, c->run.dir, "lower train.lr; the log names the samples",
                           "%d steps in a row had a loss or gradient that is not finite, or beyond train.spike", s.skipped_in_a_row), e->code;
        r->step++;
        mem_freeze();
        if (!step_eval(r, &s, e) || !step_save(r, &s, r->step == r->steps, e))
            return e->code;
    }
    return EXIT_DONE;
}

int train_main(const Config *c)
{
    static Run r;                       /* a save that nobody waits for (76) reads its names until the process ends */
    Err e = { 0 };
    run_open(&r, c, c->parallel.tp);
    stop_grace(c->stop.grace);
    run_watch(&r);
    int code = step_open(&r, &e) ? train(&r, &e) : e.code;
    watch_phase(r.watch, WATCH_END, r.step);
    step_close(&r, code);
    stepeval_close(&r);
    if (r.grid.rank == 0 && e.code)
        log_error(&e);
    lives_end(&r, code, &e);
    run_close(&r);
    return code;
}
