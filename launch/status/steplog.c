#include "launch/status/steplog.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/base/files.h"

enum { PACE = 100 /* steps */ };

double steplog_number(const char **at, const char *key)
{
    const char *p = strstr(*at, key);
    char *end;
    if (!p)
        return NAN;
    p += strlen(key);
    *at = p;
    const double x = strtod(p, &end);
    return end > p ? x : NAN;
}

static int integer(const char **at, const char *key)
{
    const double x = steplog_number(at, key);
    return x >= 0 && x < INT32_MAX ? (int)x : 0;
}

static void straggler(StepFile *s, const char **at)
{
    const char *p = strstr(*at, "\"straggler\": {\"rank\": ");
    s->straggler = -1;
    if (p && sscanf(p, "\"straggler\": {\"rank\": %d, \"host\": \"%63[^\"]\", \"seconds\": %lf", &s->straggler, s->straggler_host,
                    &s->straggler_seconds) != 3)
        s->straggler = -1;
    const char *link = s->straggler >= 0 && p ? strstr(p, "\"collective\": ") : NULL;
    s->straggler_link = link && link[14] == '"';
    *at = p ? p : *at;
}

static StepLife *life_of(StepFile *s, int64_t restart)
{
    if (s->lives && s->life[s->lives - 1].restart == restart)
        return &s->life[s->lives - 1];
    s->life = realloc(s->life, (size_t)(s->lives + 1) * sizeof *s->life);
    CHECK(s->life, "no memory for %d lives", s->lives + 1);
    s->life[s->lives] = (StepLife){ .restart = restart, .first = -1 };
    return &s->life[s->lives++];
}

/* What lies between two steps of a life is a save, as far as t_ckpt says so. */
static void count(StepLife *l, const StepRow *r)
{
    const double t = isfinite(r->t_step) ? r->t_step : 0;
    if (l->first < 0) {
        l->first = r->step;
        l->begin = r->time - t;
    } else {
        const double gap = r->time - l->end - t, save = fmax(0, fmin(gap, isfinite(r->t_ckpt) ? r->t_ckpt : 0));
        l->saves += save;
        l->other += gap - save;
    }
    l->steps += t;
    l->last = r->step;
    l->end = r->time;
}

/* False where it is no line of a step, or one that should have been cut. */
static bool take(StepFile *s, const char *line, size_t n)
{
    StepRow r = { .step = -1 };
    const StepRow *last = steplog_row(s, 0);
    const char *at = line;
    if (strlen(line) != n || n < 3 || strcmp(line + n - 2, "}\n") || sscanf(line, "{\"step\": %" SCNd64 ",", &r.step) != 1)
        return false;
    r.time = steplog_number(&at, "\"time\": ");
    if (r.step < 1 || r.step > ((int64_t)1 << 53) || !(r.time > 0 && r.time < STORY_LATEST) || (last && r.step <= last->step))
        return false;
    r.tokens = steplog_number(&at, "\"tokens\": ");
    r.loss = steplog_number(&at, "\"loss\": ");
    r.text = steplog_number(&at, "\"loss_text\": ");
    r.visual = steplog_number(&at, "\"loss_visual\": ");
    const double skipped = steplog_number(&at, "\"skipped\": ");
    r.tokens_s = steplog_number(&at, "\"tokens_per_s\": ");
    r.samples_s = steplog_number(&at, "\"samples_per_s\": ");
    r.t_step = steplog_number(&at, "\"t_step\": ");
    r.t_ckpt = steplog_number(&at, "\"t_ckpt\": ");
    straggler(s, &at);
    StepLife *l = life_of(s, integer(&at, "\"restart\": "));
    l->world = integer(&at, "\"world\": ");
    l->dp = integer(&at, "\"dp\": ");
    l->tp = integer(&at, "\"tp\": ");
    l->threads = integer(&at, "\"threads\": ");
    count(l, &r);
    s->skipped = skipped > 0 && skipped < INT32_MAX ? (int64_t)skipped : 0;
    s->row[s->rows++ % STEPLOG_ROWS] = r;
    if (s->each)
        s->each(s->ctx, s, line);
    return true;
}

static void again(StepFile *s)
{
    free(s->life);
    *s = (StepFile){ .straggler = -1, .each = s->each, .ctx = s->ctx };
}

bool steplog_read(StepFile *s, const char *run_dir, Err *e)
{
    char path[PATH_ROOM], *line = NULL;
    size_t cap = 0;
    struct stat st;
    if (!path_set(path, e, "%s/run.jsonl", run_dir))
        return false;
    FILE *f = fopen(path, "re");
    if (!f && errno != ENOENT)
        return file_error(e, path, "open");
    if (!f || fstat(fileno(f), &st) || st.st_ino != s->inode || st.st_size < s->at)
        again(s);
    s->there = f != NULL;
    if (!f)
        return true;
    s->inode = st.st_ino;
    fseeko(f, s->at, SEEK_SET);
    errno = 0;
    for (ssize_t n; (n = getline(&line, &cap, f)) > 0 && line[n - 1] == '\n'; s->at += n)
        s->damaged += !take(s, line, (size_t)n);
    free(line);
    const bool ok = !ferror(f) || file_error(e, path, "read");
    fclose(f);
    return ok;
}

void steplog_free(StepFile *s) { again(s); }

const StepRow *steplog_row(const StepFile *s, int64_t i)
{
    return i < s->rows && i < STEPLOG_ROWS ? &s->row[(s->rows - 1 - i) % STEPLOG_ROWS] : NULL;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double steplog_rate(const StepFile *s)
{
    double x[STEPLOG_ROWS];
    int n = 0;
    const StepRow *r;
    for (int i = 0; (r = steplog_row(s, i)); i++)
        if (isfinite(r->samples_s))
            x[n++] = r->samples_s;
    qsort(x, (size_t)n, sizeof *x, ascending);
    return n ? x[n / 2] : NAN;
}

double steplog_pace(const StepFile *s)
{
    const StepRow *now = steplog_row(s, 0);
    const StepLife *l = s->lives ? &s->life[s->lives - 1] : NULL;
    if (!now || !l)
        return NAN;
    const StepRow *was = steplog_row(s, min64(PACE, min64(STEPLOG_ROWS - 1, s->rows - 1)));
    if (was->step < l->first)
        was = steplog_row(s, min64(now->step - l->first, STEPLOG_ROWS - 1));
    if (!was || was->step < l->first || was->step == now->step)
        return now->t_step;
    return (now->time - was->time) / (double)(now->step - was->step);
}
