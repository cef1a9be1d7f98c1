/* statusjson.c -- `asvr status --json`: the same figures for scripts (status.h; docs/FORMATS.md has the keys) */
#include <math.h>
#include <stdlib.h>

#include "io/base/json.h"
#include "launch/status/status.h"

static json_t *count(int64_t n, int64_t none) { return n == none ? json_null() : json_integer(n); }
static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }
static json_t *moment(double t) { return t > 0 ? json_real(round(1000 * t) / 1000) : json_null(); }

static void put(json_t *o, const char *key, json_t *value) { json_object_set_new(o, key, value); }

static json_t *spent(const double x[SPENT])
{
    json_t *o = json_object();
    for (int k = 0; k < SPENT; k++)
        put(o, SPENT_NAME[k], json_real(round(1000 * x[k]) / 1000));
    return o;
}

static json_t *life(const StoryLife *l, bool living)
{
    json_t *o = json_object();
    put(o, "life", l->known ? json_string(l->token) : json_null());
    put(o, "started", moment(l->born));
    put(o, "ended", living ? json_null() : moment(l->until));
    put(o, "how", json_string(living ? "lives" : !l->known ? "unknown" : l->ended ? "ended" : l->hung > 0 ? "hung" : l->died > 0 ? "died" : "killed"));
    put(o, "code", l->ended || l->hung > 0 || l->died > 0 ? json_integer(l->code) : json_null());
    put(o, "why", json_text(l->ended ? l->why : l->verdict));
    put(o, "from", count(l->from, -1));
    put(o, "step", count(max64(l->step, l->lines ? l->lines->last : -1), -1));
    put(o, "kept", l->lines ? json_integer(l->lines->last) : json_null());
    put(o, "saved", count(l->saved, -1));
    put(o, "checkpoints", json_integer(l->ckpts));
    put(o, "job", json_text(l->job));
    put(o, "restart", json_integer(l->restart));
    put(o, "nodes", json_text(l->nodes));
    put(o, "ranks", json_integer(l->ranks));
    put(o, "dp", json_integer(l->dp));
    put(o, "tp", json_integer(l->tp));
    put(o, "threads", json_integer(l->threads));
    put(o, "seconds", spent(l->spent));
    return o;
}

static json_t *founds(const StoryFound *list, int n)
{
    json_t *a = json_array();
    for (int i = 0; i < n && i < STORY_FOUND; i++) {
        json_t *o = json_object();
        put(o, "time", moment(list[i].time));
        put(o, "rank", count(list[i].rank, -1));
        put(o, "host", json_text(list[i].host));
        put(o, "collective", json_text(list[i].collective));
        put(o, "step", count(list[i].step, -1));
        put(o, "seconds", number(list[i].seconds));
        put(o, "what", json_text(list[i].text));
        json_array_append_new(a, o);
    }
    return a;
}

static void figures(json_t *o, const Status *s)
{
    const StepRow *r = steplog_row(&s->log, 0);
    put(o, "loss", number(r ? r->loss : NAN));
    put(o, "loss_text", number(r ? r->text : NAN));
    put(o, "loss_visual", number(r ? r->visual : NAN));
    put(o, "samples_per_s", number(r ? r->samples_s : NAN));
    put(o, "tokens_per_s", number(r ? r->tokens_s : NAN));
    put(o, "samples_per_s_median", number(steplog_rate(&s->log)));
    put(o, "left_s", number(status_left(s)));
    put(o, "last_step_time", moment(r ? r->time : 0));
}

/* Evaluation i; null where there is none. */
static json_t *evaluation(const Evals *x, int64_t i)
{
    json_t *o = i >= 0 ? json_object() : json_null();
    if (i >= 0)
        put(o, "step", json_integer(x->step[i]));
    for (int k = 0; k < EVALS_VALUES && i >= 0; k++)
        put(o, EVALS_KEY[k], number(x->value[k][i]));
    return o;
}

void status_json(const Status *s, FILE *f)
{
    json_t *o = json_object(), *list = json_array(), *ckpt = json_null();
    char what[1100];
    status_sentence(s, what, sizeof what);
    put(o, "run", json_text(s->dir));
    put(o, "time", moment(s->now));
    put(o, "state", json_string(STATE_NAME[s->state]));
    put(o, "says", json_text(what));
    put(o, "lives_now", json_boolean(s->held));
    put(o, "stage", json_text(s->stage));
    put(o, "step", json_integer(s->step));
    put(o, "steps", count(s->steps, 0));
    figures(o, s);
    if (s->ckpt.there)
        ckpt = json_pack("{s:I, s:f, s:I}", "step", (json_int_t)s->ckpt.step, "time", s->ckpt.time, "bytes", (json_int_t)s->ckpt.bytes);
    put(o, "checkpoint", ckpt);
    put(o, "evaluation", evaluation(&s->evals, s->evals.n - 1));
    put(o, "best", evaluation(&s->evals, s->evals.best));
    put(o, "job", s->job.known ? json_pack("{s:s, s:s, s:s, s:s}", "state", s->job.state, "reason", s->job.reason, "left", s->job.left, "nodes",
                                           s->job.nodes) : json_null());
    put(o, "wall_s", json_real(round(1000 * s->story.wall) / 1000));
    put(o, "effective", number(s->story.wall > 0 ? s->story.spent[SPENT_STEPS] / s->story.wall : NAN));
    put(o, "seconds", spent(s->story.spent));
    for (int i = 0; i < s->story.lives; i++)
        json_array_append_new(list, life(&s->story.life[i], s->held && &s->story.life[i] == status_last(s)));
    put(o, "lives", list);
    put(o, "hangs", founds(s->story.hang, s->story.hangs));
    put(o, "stragglers", founds(s->story.slow, s->story.slows));
    json_dumpf(o, f, JSON_REAL_PRECISION(13));
    fputc('\n', f);
    json_decref(o);
}
