#include "launch/stepeval.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/fault.h"
#include "dist/stop.h"
#include "io/base/append.h"
#include "io/base/json.h"
#include "io/ckpt/ckptdir.h"
#include "launch/deadline.h"
#include "launch/eval/evaluate.h"

#define LINES_MOST ((size_t)1 << 30)    /* bytes of evals.jsonl */

typedef struct StepEval {
    Shards     *shards;
    Evaluation *v;
    bool        owed;              /* the evaluation of the step that this start goes on from has no line */
    Append     *lines;             /* rank 0, as all below: RUN/evals.jsonl */
    int64_t     named, wanted;     /* steps: that `best` names with a value; whose save shall get the name; -1: none */
    double      named_value, wanted_value;
} StepEval;

static const char *const BEST_NAME[] = { NULL, "loss", "loss_text", "loss_visual", "mean" };

static bool due(const Run *r) { return r->step % r->c->eval.every == 0 || r->step == r->steps; }

double stepeval_bytes(const Config *c, const Model *m) { return c->eval.every > 0 ? evaluate_bytes(c, m) : 0; }

/* ---- opening ---- */

bool stepeval_shards(Run *r, RunShape *shape, Err *e)
{
    if (r->c->eval.every == 0)
        return true;
    Shards *train = r->shards;
    r->eval = calloc(1, sizeof *r->eval);
    CHECK(r->eval, "no memory for evaluations");
    r->eval->named = r->eval->wanted = -1;
    r->shards = NULL;
    const bool ok = run_shards(r, SPLIT_VAL, e);
    if (ok) {
        const RunShape held = run_shape(r, true);
        shape->max_images = (int)max64(shape->max_images, held.max_images);
        shape->max_len = (int)max64(shape->max_len, held.max_len);
    }
    r->eval->shards = r->shards;
    r->shards = train;
    return ok;
}

/* The value that ckpt.best looks at, in a line; NAN where there is none. */
static double value_in(const json_t *line, int best)
{
    const json_t *x = best ? json_object_get(line, BEST_NAME[best]) : NULL;
    return json_is_number(x) ? json_number_value(x) : NAN;
}

/* Does x beat what `best` names? */
static bool beats(const Run *r, double x)
{
    const StepEval *v = r->eval;
    return isfinite(x) && (v->named < 0 || (r->c->ckpt.best == BEST_MEAN ? x > v->named_value : x < v->named_value));
}

/* A kill came between a checkpoint's commit and the name `best` that its line says is its. */
static bool name_late(Run *r, const json_t *line, Err *e)
{
    StepEval *v = r->eval;
    const double x = value_in(line, r->c->ckpt.best);
    if (v->named == r->step || !json_is_true(json_object_get(line, "best")) || !beats(r, x))
        return true;
    v->named = r->step;
    v->named_value = x;
    return ckptdir_name_best(r->ckpt_dir, r->step, e);
}

/* Lines up to this step stay; of the one that `best` names the value is taken.  A new file, so that an earlier life that still has the
   old one open writes to nobody. */
static bool take_lines(Run *r, const char *path, Err *e)
{
    StepEval *v = r->eval;
    char *all = NULL, *kept = NULL, *end;
    size_t read = 0, n = 0;
    int damaged = 0;
    json_t *here = NULL;
    const int64_t named = ckptdir_best(r->ckpt_dir);
    if (access(path, F_OK) == 0 && !file_read(path, LINES_MOST, &all, &read, e))
        return false;
    FILE *out = open_memstream(&kept, &n);
    CHECK(out, "no memory for RUN/evals.jsonl");
    for (char *line = all; line && (end = memchr(line, '\n', (size_t)(all + read - line))); line = end + 1) {
        json_t *o = json_loadb(line, (size_t)(end - line), 0, NULL);
        const json_t *step = json_object_get(o, "step");
        const int64_t of = json_is_integer(step) ? json_integer_value(step) : INT64_MAX;
        if (of <= r->step)
            fwrite(line, 1, (size_t)(end + 1 - line), out);
        if (of == named && of <= r->step) {
            v->named_value = value_in(o, r->c->ckpt.best);
            v->named = isfinite(v->named_value) ? named : -1;
        }
        if (of == r->step && !here)
            here = json_incref(o);
        damaged += !json_is_integer(step);
        json_decref(o);
    }
    fclose(out);
    free(all);
    if (damaged)
        log_warn("evals.jsonl has damaged lines, which are dropped: a better checkpoint may have been named there");
    v->owed = r->step > 0 && due(r) && !here;
    const bool ok = lease_held(r->lease, e) && file_replace(path, kept, n, e) && name_late(r, here, e);
    json_decref(here);
    free(kept);
    return ok;
}

bool stepeval_open(Run *r, Err *e)
{
    char path[PATH_ROOM];
    StepEval *v = r->eval;
    if (!v)
        return true;
    if (!(v->v = evaluate_open(r, v->shards, r->c->eval.samples, e)))
        return false;
    if (r->c->ckpt.best == BEST_MEAN && evaluate_tasks(v->v) == 0)
        return err_set(e, EXIT_CONFIG, "ckpt.best", "ckpt.best = \"loss_text\"; or pack records with `answer`",
                       "ckpt.best = \"mean\" is a mean of accuracies, and no held-out sample has a known answer");
    if (r->grid.rank == 0 && path_set(path, e, "%s/evals.jsonl", r->c->run.dir) && take_lines(r, path, e))
        v->lines = append_open(path, 0, "evals.jsonl", e);
    int owed = v->owed;
    comm_bcast(r->grid.world, &owed, sizeof owed, 0);
    v->owed = owed;
    return run_agree(r, e);
}

bool step_eval_owed(const Run *r) { return r->eval && r->eval->owed; }

void stepeval_close(Run *r)
{
    StepEval *v = r->eval;
    if (!v)
        return;
    evaluate_close(v->v);
    if (v->lines)
        append_close(v->lines);
    if (v->shards)
        shards_close(v->shards);
    free(v);
    r->eval = NULL;
}

/* ---- after a step ---- */

typedef struct { const Run *r; const StepState *s; } Leave;

static bool leave(void *ctx)
{
    const Leave *x = ctx;
    return stop_requested() || deadline_near(x->r, x->s, 0);
}

/* Rank 0: is this step the best so far?  A step whose save failed was none. */
static bool better(Run *r)
{
    StepEval *v = r->eval;
    const int best = r->c->ckpt.best;
    const double x = best ? evaluate_value(v->v, BEST_NAME[best]) : NAN;
    if (v->wanted >= 0 && (ckptdir_best(r->ckpt_dir) == v->wanted || saver_saving(r->saver, SAVER_RUN) == v->wanted)) {
        v->named = v->wanted;
        v->named_value = v->wanted_value;
    }
    v->wanted = -1;
    if (!beats(r, x))
        return false;
    v->wanted = r->step;
    v->wanted_value = x;
    return true;
}

static void write_line(Run *r, double seconds, bool best)
{
    const StepEval *v = r->eval;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    json_t *o = json_pack("{s:I, s:o, s:o, s:I, s:o}", "step", (json_int_t)r->step, "time", json_real((double)t.tv_sec + 1e-9 * (double)t.tv_nsec),
                          "seconds", json_real(seconds), "samples", (json_int_t)evaluate_samples(v->v), "loss",
                          json_or_null(evaluate_value(v->v, "loss")));
    CHECK(o, "no memory for JSON");
    evaluate_json(v->v, o);
    json_set(o, "best", json_boolean(best));
    char *text = json_dumps(o, JSON_REAL_PRECISION(17)), *line;
    CHECK(text && asprintf(&line, "%s\n", text) > 0, "no memory for a line of evals.jsonl");
    append_record(v->lines, line, strlen(line));
    append_sync(v->lines);
    log_evaluation(r->log, o);
    free(line);
    free(text);
    json_decref(o);
}

static void say(const Run *r, double seconds, bool best)
{
    const StepEval *v = r->eval;
    char text[160];
    int n = snprintf(text, sizeof text, "loss %.4f", evaluate_value(v->v, "loss"));
    if (r->model.c.stage >= STAGE_PRETRAIN)
        n += snprintf(text + n, sizeof text - (size_t)n, "  text %.4f  visual %.4f", evaluate_value(v->v, "loss_text"), evaluate_value(v->v, "loss_visual"));
    if (evaluate_tasks(v->v))
        snprintf(text + n, sizeof text - (size_t)n, "  accuracy %.1f %%", 100 * evaluate_value(v->v, "mean"));
    log_line(r->log, "step %lld: evaluated %lld samples in %.1f s: %s%s", (long long)r->step, (long long)evaluate_samples(v->v), seconds, text,
             best ? "  (the best so far)" : "");
}

/* A full disk does not end training. */
static void keep(Run *r, double seconds, bool best)
{
    Err e = { 0 };
    write_line(r, seconds, best);
    if (lease_held(r->lease, &e) && !evaluate_write(r->eval->v, r->step, &e)) {
        char text[1400];
        snprintf(text, sizeof text, "eval.json is not written: %s (%s)", e.what, e.where);
        log_warn(text);
    }
    say(r, seconds, best);
}

bool step_eval(Run *r, StepState *s, Err *e)
{
    bool left = false;
    const double began = now();
    if (!r->eval || !due(r))
        return true;
    watch_phase(r->watch, WATCH_EVAL, r->step);
    FAULT("eval");
    optim_settle(&r->optim);                                /* new weights are here, whoever is asked for them first */
    if (!evaluate_run(r->eval->v, leave, &(Leave){ r, s }, &left, e))
        return false;
    int best = !left && r->grid.rank == 0 && better(r);
    if (r->grid.rank == 0 && !left)
        keep(r, now() - began, best);
    if (left)
        log_line(r->log, "step %lld: the evaluation is left, because the run is to stop", (long long)r->step);
    comm_bcast(r->grid.world, &best, sizeof best, 0);
    if (best)
        saver_best(r->saver, r->step);
    s->best_due = best;
    watch_phase(r->watch, WATCH_STEP, r->step);
    return true;
}
