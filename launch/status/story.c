#include "launch/status/story.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/base/json.h"

#define STORY_MAX ((size_t)4 << 30)

const char *const SPENT_NAME[SPENT] = { "starting", "steps", "saves", "evals", "other", "again", "hanging", "stopping", "under_way", "waiting" };
const char *const SPENT_LABEL[SPENT] = { "starting", "steps that count", "waiting for saves", "evaluating", "between steps otherwise", "steps lost, to do again",
                                         "hanging, until it was found", "stopping, the last save", "the step under way", "waiting between lives" };

/* ---- reading ---- */

static void text_of(const json_t *o, const char *key, char *out, size_t cap)
{
    const char *text = json_string_value(json_object_get(o, key));
    snprintf(out, cap, "%s", text ? text : "");
}

static int64_t count_of(const json_t *o, const char *key, int64_t none)
{
    const json_t *x = json_object_get(o, key);
    return json_is_integer(x) ? (int64_t)json_integer_value(x) : none;
}

static double time_of(const json_t *o, const char *key)
{
    const double t = json_number_value(json_object_get(o, key));
    return t > 0 && t < STORY_LATEST ? t : 0;
}

static StoryLife *life_add(Story *s)
{
    s->life = realloc(s->life, (size_t)(s->lives + 1) * sizeof *s->life);
    CHECK(s->life, "no memory for %d lives", s->lives + 1);
    s->life[s->lives] = (StoryLife){ .count = -1, .saved = -1, .step = -1, .from = -1 };
    return &s->life[s->lives++];
}

static void start(Story *s, const json_t *o, const char *token)
{
    StoryLife *l = life_add(s);
    const json_t *list = json_object_get(o, "nodes");
    l->known = true;
    snprintf(l->token, sizeof l->token, "%s", token);
    l->born = time_of(o, "time");
    text_of(o, "host", l->host, sizeof l->host);
    text_of(o, "job", l->job, sizeof l->job);
    text_of(o, "version", l->version, sizeof l->version);
    l->restart = count_of(o, "restart", 0);
    l->saved = count_of(o, "saved", -1);
    l->ranks = (int)count_of(o, "ranks", 0);
    l->tp = (int)count_of(o, "tp", 1);
    l->dp = (int)count_of(o, "dp", 1);
    l->threads = (int)count_of(o, "threads", 0);
    l->hosts = (int)json_array_size(list);
    for (int i = 0, at = 0; i < l->hosts && at < STORY_TEXT - 1; i++) {
        const char *host = json_string_value(json_array_get(list, (size_t)i));
        at += snprintf(l->nodes + at, (size_t)(STORY_TEXT - at), "%s%s", i ? ", " : "", host ? host : "?");
    }
}

static StoryFound *found(StoryFound list[STORY_FOUND], int *n, const json_t *o)
{
    memmove(list + 1, list, (STORY_FOUND - 1) * sizeof *list);
    ++*n;
    list[0] = (StoryFound){ .time = time_of(o, "time"), .rank = (int)count_of(o, "rank", -1), .step = count_of(o, "step", -1),
                            .seconds = time_of(o, "seconds") };
    text_of(o, "host", list[0].host, sizeof list[0].host);
    text_of(o, "collective", list[0].collective, sizeof list[0].collective);
    text_of(o, "why", list[0].text, sizeof list[0].text);
    return list;
}

static StoryLife *life_find(Story *s, const char *token)
{
    for (int i = s->lives - 1; i >= 0; i--)
        if (!strcmp(s->life[i].token, token))
            return &s->life[i];
    return NULL;
}

static void end(StoryLife *l, const json_t *o)
{
    l->ended = true;
    l->code = (int)count_of(o, "code", 0);
    l->end = time_of(o, "time");
    l->worked = time_of(o, "worked");
    l->step = count_of(o, "step", -1);
    l->saved = count_of(o, "saved", l->saved);
    text_of(o, "why", l->why, sizeof l->why);
    text_of(o, "where", l->where, sizeof l->where);
}

/* An event that this version does not know is none of its business. */
static bool take(Story *s, const json_t *o)
{
    const char *what = json_string_value(json_object_get(o, "event")), *token = json_string_value(json_object_get(o, "life"));
    if (!what || !token || (!strcmp(what, "start") && time_of(o, "time") == 0))
        return false;
    StoryLife *l = life_find(s, token);
    if (!strcmp(what, "start")) {
        start(s, o, token);
    } else if (!l) {
        ;
    } else if (!strcmp(what, "resume")) {
        l->resumed = time_of(o, "time");
        l->from = count_of(o, "step", -1);
        l->steps = count_of(o, "steps", 0);
        l->count = count_of(o, "count", -1);
    } else if (!strcmp(what, "ckpt")) {
        l->saved = count_of(o, "step", l->saved);
        l->ckpts++;
    } else if (!strcmp(what, "lost")) {
        l->lost = true;
        l->heard = time_of(o, "heard");
        l->worked = time_of(o, "worked");
        l->step = count_of(o, "step", -1);
    } else if (!strcmp(what, "end")) {
        end(l, o);
    } else if (!strcmp(what, "straggler")) {
        found(s->slow, &s->slows, o)->link = json_is_string(json_object_get(o, "collective"));
    } else if (!strcmp(what, "died") && !(l->died > 0) && !(l->hung > 0)) {
        char why[STORY_TEXT];
        l->died = time_of(o, "time");
        l->ended &= !(l->died > 0);             /* rank 0 had said its word, and somebody died all the same */
        l->code = (int)count_of(o, "code", EXIT_INTERNAL);
        text_of(o, "why", why, sizeof why);
        snprintf(l->verdict, sizeof l->verdict, "rank %d: %.480s", (int)count_of(o, "by", -1), why);
    } else if (!strcmp(what, "watch")) {
        const StoryFound *f = found(s->hang, &s->hangs, o);
        l->hung = f->time;
        l->ended &= !(l->hung > 0);
        l->code = EXIT_HANG;
        snprintf(l->verdict, sizeof l->verdict, "%s", f->text);
        snprintf(l->hung_host, sizeof l->hung_host, "%s", f->host);
    }
    return true;
}

bool story_read(Story *s, const char *run_dir, Err *e)
{
    char path[PATH_ROOM], *text = NULL;
    size_t n = 0;
    if (!path_set(path, e, "%s/lives.jsonl", run_dir))
        return false;
    story_free(s);
    if (access(path, F_OK) && errno == ENOENT)
        return true;
    if (!file_read(path, STORY_MAX, &text, &n, e))
        return false;
    s->there = true;
    for (char *at = text, *line_end; at < text + n && (line_end = memchr(at, '\n', (size_t)(text + n - at))); at = line_end + 1) {
        json_t *o = json_loadb(at, (size_t)(line_end - at), 0, NULL);
        s->damaged += !take(s, o);
        json_decref(o);
    }
    free(text);
    return true;
}

void story_free(Story *s)
{
    free(s->life);
    *s = (Story){ 0 };
}

bool story_failed(const StoryLife *l, char host[STORY_HOST])
{
    const char *at = l->ended && l->code == EXIT_INTERNAL ? strstr(l->where, "host ") : NULL;
    if (l->hung > 0)
        snprintf(host, STORY_HOST, "%s", l->hung_host);
    else if (at)
        snprintf(host, STORY_HOST, "%.*s", (int)strcspn(at + 5, " ,"), at + 5);
    return l->hung > 0 ? host[0] != 0 : at != NULL;
}

/* ---- joining ---- */

/* Lines whose life is not in lives.jsonl come first. */
static void join_lines(Story *s, const StepFile *lines)
{
    const int known = s->lives;
    int *of = calloc((size_t)lines->lives + 1, sizeof *of);
    CHECK(of, "no memory for %d lives", lines->lives);
    for (int k = 0; k < lines->lives; k++) {
        of[k] = known - 1;
        while (of[k] >= 0 && s->life[of[k]].count != lines->life[k].restart)
            of[k]--;
        s->unknown += of[k] < 0;
    }
    for (int i = 0; i < s->unknown; i++)
        life_add(s);
    if (known)
        memmove(s->life + s->unknown, s->life, (size_t)known * sizeof *s->life);
    for (int k = 0, next = 0; k < lines->lives; k++) {
        const StepLife *x = &lines->life[k];
        StoryLife *l = &s->life[of[k] < 0 ? next++ : of[k] + s->unknown];
        if (of[k] < 0)
            *l = (StoryLife){ .born = x->begin, .resumed = x->begin, .count = x->restart, .from = x->first - 1, .ranks = x->world,
                              .tp = x->tp, .dp = x->dp, .threads = x->threads, .saved = -1, .step = x->last };
        l->lines = x;
    }
    free(of);
}

/* When it ended, or was last heard. */
static double until_of(const StoryLife *l, const StoryLife *next, double now)
{
    double t = l->ended ? l->end : l->hung > 0 ? l->hung : l->died > 0 ? l->died : l->lost ? l->heard : l->known && !next ? now : l->lines ? l->lines->end : l->born;
    if (next)
        t = fmin(t, next->born);
    return fmax(t, l->born);
}

/* Seconds of evaluations that were done between two times. */
static double evaluated(const Evals *x, double from, double to)
{
    double sum = 0;
    for (int64_t i = 0; i < x->n; i++)
        if (x->time[i] > from && x->time[i] <= to && x->seconds[i] > 0)
            sum += x->seconds[i];
    return sum;
}

/* Without a rest: what is not one thing is the next. */
static void account(StoryLife *l, const StoryLife *next, const Evals *evals, bool lives, double now)
{
    double *s = l->spent, end = l->until = until_of(l, next, now);
    const double begin = l->lines ? l->lines->begin : l->resumed > 0 ? l->resumed : end;
    const double kept = fmin(end, l->lines ? l->lines->end : begin), worked = fmin(end, fmax(kept, l->worked));
    memset(s, 0, sizeof l->spent);
    s[SPENT_STARTING] = fmin(begin, end) - l->born;
    if (l->lines) {
        s[SPENT_STEPS] = l->lines->steps;
        s[SPENT_SAVES] = l->lines->saves;
        s[SPENT_EVALS] = evaluated(evals, begin, kept);
        s[SPENT_OTHER] = kept - begin - l->lines->steps - l->lines->saves - s[SPENT_EVALS];
    }
    if (end > kept && lives && !next && !l->ended)
        s[SPENT_UNDER_WAY] = end - kept;
    else if (end > kept) {
        s[SPENT_AGAIN] = worked - kept;
        s[l->ended ? SPENT_STOPPING : l->hung > 0 ? SPENT_HANGING : SPENT_AGAIN] += end - worked;
    }
    if (next && !(l->ended && l->code == EXIT_DONE))
        s[SPENT_WAITING] = fmax(0, next->born - end);
}

void story_join(Story *s, const StepFile *lines, const Evals *evals, bool lives, double now)
{
    join_lines(s, lines);
    for (int i = 0; i < s->lives; i++) {
        account(&s->life[i], i + 1 < s->lives ? &s->life[i + 1] : NULL, evals, lives, now);
        for (int k = 0; k < SPENT; k++) {
            s->spent[k] += s->life[i].spent[k];
            s->wall += s->life[i].spent[k];
        }
    }
}
