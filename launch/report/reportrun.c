/* reportrun.c -- a run's files, read for a report (page.h) */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/base/files.h"
#include "launch/benchmarks.h"
#include "launch/report/page.h"

enum { SMALL_MAX = 16 << 20, EVALS_MAX = 1 << 30 };

/* A file that need not be there; NULL: it is not, or larger than cap. */
static char *read_file(const char *dir, const char *name, size_t cap, size_t *n)
{
    char path[PATH_ROOM], *text = NULL;
    Err none = { 0 };
    if (!path_set(path, &none, "%s/%s", dir, name) || !file_read(path, cap, &text, n, &none))
        return NULL;
    return text;
}

static json_t *read_object(const char *dir, const char *name)
{
    size_t n = 0;
    char *text = read_file(dir, name, SMALL_MAX, &n);
    json_t *o = text ? json_loadb(text, n, 0, NULL) : NULL;
    free(text);
    if (o && !json_is_object(o)) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

/* The newest of what the run found while it trained. */
static json_t *read_evals(const char *dir)
{
    size_t n = 0;
    char *text = read_file(dir, "evals.jsonl", EVALS_MAX, &n), *end = text ? strrchr(text, '\n') : NULL, *line = text;
    json_t *o;
    if (end) {
        *end = 0;                               /* and a line that is cut */
        line = strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text;
    }
    o = end ? json_loads(line, 0, NULL) : NULL;
    free(text);
    return o;
}

/* eval.json; one that says of benchmarks alone has taken the place of the newest line of evals.jsonl. */
static json_t *read_eval(const char *dir)
{
    json_t *o = read_object(dir, "eval.json");
    if (!json_object_get(o, "benchmarks") || json_is_number(json_object_get(o, "loss_text")) || json_object_size(json_object_get(o, "tasks")))
        return o;
    json_decref(o);
    return read_evals(dir);
}

static void read_sheet(ReportRun *r, const char *dir)
{
    char path[PATH_ROOM];
    struct stat st;
    Err none = { 0 };
    r->sheet = read_file(dir, "eval.png", SHEET_MAX, &r->sheet_bytes);
    if (!r->sheet)
        r->sheet_bytes = path_set(path, &none, "%s/eval.png", dir) && stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

bool reportrun_open(ReportRun *r, const char *dir, Err *e)
{
    size_t n;
    r->name = dir;
    r->status.asked = INFINITY;                 /* what squeue says of a job is no part of a page that stays */
    r->status.log.each = columns_take;
    r->status.log.ctx = &r->columns;
    if (!status_open(&r->status, dir, e) || !status_gather(&r->status, e))
        return false;
    r->config = read_file(dir, "config.cfg", SMALL_MAX, &n);
    r->data = read_object(dir, "data.json");
    r->eval = read_eval(dir);
    r->benchmarks = benchmarks_read(dir);
    read_sheet(r, dir);
    return true;
}

void reportrun_close(ReportRun *r)
{
    status_free(&r->status);
    columns_free(&r->columns);
    free(r->config);
    json_decref(r->data);
    json_decref(r->eval);
    json_decref(r->benchmarks);
    free(r->sheet);
}
