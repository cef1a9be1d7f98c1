/*
 * report.c -- `asvr report RUN [RUN...]`: one HTML page, from the files of runs alone
 *
 * On a login node, without MPI, while a run goes on or after.
 */
#include <stdlib.h>
#include <string.h>

#include "io/base/files.h"
#include "io/base/log.h"
#include "launch/report/page.h"
#include "launch/stagewalk.h"
#include "launch/verbs.h"
#include "launch/words.h"

/* Runs are told apart by what is behind the folder that they have in common. */
static void shorten(Page *p)
{
    const char *one = p->run[0].name;
    size_t same = p->runs > 1 ? strlen(one) : 0;
    for (int i = 1; i < p->runs; i++)
        for (size_t at = 0; at < same; at++)
            if (p->run[i].name[at] != one[at])
                same = at;                          /* the end of a shorter name is a difference, too */
    while (same > 0 && one[same - 1] != '/')
        same--;
    for (int i = 0; i < p->runs; i++)
        same = p->run[i].name[same] ? same : 0;     /* "a/" beside "a/b": whole names */
    p->folder = same;
    for (int i = 0; i < p->runs; i++)
        p->run[i].name += same;
}

/* The page is put together in memory, and replaces an older one whole. */
static bool write_page(const char *path, const Page *runs, Err *e)
{
    char *html = NULL, size[UNIT_WORD];
    size_t n = 0;
    Page p = *runs;
    p.f = open_memstream(&html, &n);
    CHECK(p.f, "no memory for a page");
    page_write(&p);
    CHECK(fclose(p.f) == 0, "no memory for a page of %zu bytes", n);
    const bool ok = file_replace(path, html, n, e);
    if (ok)
        printf("%s  %d run%s  %s\n", path, p.runs, p.runs == 1 ? "" : "s", unit_bytes((double)n, size));
    free(html);
    return ok;
}

int report_main(const Words *w, const Config *none)
{
    static char run[REPORT_RUNS][CONFIG_STRING];
    char path[PATH_ROOM];
    const char *first = NULL;
    Err e = { 0 };
    (void)none;
    if (w->n_paths > REPORT_RUNS)
        return words_usage("asvr report PATH [PATH...] [--out=FILE]", "report: %d runs are more than %d", w->n_paths, REPORT_RUNS);
    Page p = { .run = calloc((size_t)w->n_paths, sizeof *p.run) };
    CHECK(p.run, "no memory for %d runs", w->n_paths);
    for (; p.runs < w->n_paths && e.code == 0; p.runs++) {
        const char *dir = stages_begun(run[p.runs], w->paths[p.runs], &e);
        if (!dir)
            break;
        first = first ? first : dir;
        reportrun_open(&p.run[p.runs], dir, &e);
    }
    if (e.code == 0)
        shorten(&p);
    if (e.code == 0 && (w->values[1] ? path_set(path, &e, "%s", w->values[1]) : path_set(path, &e, "%s/report.html", first)))
        write_page(path, &p, &e);
    for (int i = 0; i < p.runs; i++)
        reportrun_close(&p.run[i]);
    free(p.run);
    if (e.code)
        log_error(&e);
    return e.code;
}
