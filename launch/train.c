/* train.c -- the training loop: the first file to read (docs/TOUR.md walks through one step) */
#include <math.h>

#include "dist/stop.h"
#include "launch/step.h"
#include "launch/verbs.h"

/* One update, or none if the numbers are not finite.  The same on all ranks. */
static bool step(Run *r, StepState *s, Err *e)
{
    Model *m = &r->model;
    const StepData *data = step_data(r, s, e);              /* micro-batches; targets and requests of all ranks */
    if (!data)
        return false;
    for (int i = 0; i < data->n; i++) {
        Losses one = { 0 };
        buckets_begin(r->buckets, i);                       /* gradients are zero, or what earlier micro-batches left */
        span(&s->t_forward, model_forward(m, &data->batch[i], &s->targets, &one));
        step_losses(r, s, &one);
        span(&s->t_backward, model_backward(m, &data->batch[i], &r->door));
    }
    span(&s->t_reduce, buckets_wait(r->buckets));
    step_sum(r, s);
    s->norm = optim_norm(&r->optim, m->grads);
    s->ok = isfinite(s->loss) && isfinite(s->norm);         /* both are sums over all ranks: everybody agrees */
    if (s->ok)
        span(&s->t_optim, step_update(r, s));
    return true;
}

static int train(Run *r, Err *e)
{
    const Config *c = r->c;
    StepState s = { .saved = now(), .kept = now() };
    while (r->step < r->steps) {
        if (!step(r, &s, e))
            return e->code;
        step_log(r, &s);
        if (!s.ok && ++s.skipped_in_a_row > c->train.skip_limit)
            return err_set(e, EXIT_NUMERIC, c->run.dir, "lower train.lr; the log names the samples",
                           "%d steps in a row had a loss or gradient that is not finite", s.skipped_in_a_row), e->code;
        r->step++;
        mem_freeze();
        if (s.stop > 1) {
            log_line(r->log, "stopped at once after step %lld, asked twice; not saved", (long long)r->step);
            return EXIT_UNSAVED;
        }
        if (!step_save(r, &s, s.stop || r->step == r->steps, e))
            return e->code;
        if (s.stop && r->step < r->steps) {
            log_line(r->log, "stopped after step %lld on request; start the same command again to go on", (long long)r->step);
            return EXIT_SAVED;
        }
    }
    return EXIT_DONE;
}

int train_main(const Config *c)
{
    Run r;
    Err e = { 0 };
    run_open(&r, c, c->parallel.tp);
    stop_install();
    int code = step_open(&r, &e) ? train(&r, &e) : e.code;
    step_close(&r, code);
    if (r.grid.rank == 0 && e.code)
        log_error(&e);
    run_close(&r);
    return code;
}
