/*
 * scaling.c -- `asvr scaling`: runs a series of benchmarks over ranks and grids, predicts each before, and shows both
 *
 * One process without MPI; each point is `asvr bench` on ranks of its own (launcher.h).  series.h says which points there are.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/stop.h"
#include "io/base/lease.h"
#include "io/base/log.h"
#include "launch/scaling/launcher.h"
#include "launch/scaling/predict.h"
#include "launch/scaling/seriesout.h"
#include "launch/verbs.h"

/* The first line of an error that a point has printed. */
static void say_why(const Series *s, const Point *p)
{
    char path[PATH_ROOM], line[256];
    Err none = { 0 };
    FILE *f = point_path(s, p, "out.txt", path, &none) ? fopen(path, "re") : NULL;
    while (f && fgets(line, sizeof line, f))
        if (strstr(line, "error:")) {
            printf("           %.*s\n", (int)strcspn(line, "\n"), line);
            break;
        }
    if (f)
        fclose(f);
    printf("           %s\n", path);
}

static void say_result(const Series *s, const Point *p)
{
    double least, most;
    if (p->state == POINT_FAILED) {
        printf("           failed: %s %d\n", p->code == LAUNCH_TIME ? "it took longer than scaling.max_seconds, code" : p->code > 128 ? "killed, code" : p->code == LAUNCH_NONE ? "the launcher cannot be started, code" : "exit code",
               p->code);
        say_why(s, p);
        return;
    }
    steps_spread(&p->steps, TIME_STEP, &least, &most);
    printf("           %s %.4f s a step (%.4f to %.4f), %.2f samples/s", p->kept ? "has been measured:" : "measured", steps_median(&p->steps, TIME_STEP), least,
           most, point_samples(p));
    if (p->rates[0])
        printf(", predicted %.4f: %+.1f %%", p->want.step, 100 * point_differs(p));
    printf("%s\n", p->steps.shared > 1 ? "; cores are shared" : "");
}

/* Was a point measured?  Open MPI's mpirun sometimes ends with 1 though all ranks have ended well (open-mpi/ompi#7833, #12607): bench
   writes its file as the last thing that can fail, and there is none from before. */
static bool judge(const Series *s, Point *p, Err *e)
{
    char dir[PATH_ROOM];
    Err none = { 0 };
    p->state = POINT_FAILED;
    if (!point_path(s, p, "", dir, e) || (p->code != 0 && p->code != LAUNCH_COMPLAINS))
        return !e->code;
    if (!steps_read(&p->steps, dir, &none)) {
        if (!p->code)
            printf("           the launcher ended with 0, but there is nothing measured: %s: %s\n", none.where, none.what);
        p->code = p->code ? p->code : none.code;
        return true;
    }
    if (!point_matches(p)) {
        printf("           it ran with %d rank%s of %d thread%s, tp %d, and not with what was asked for: scaling.launcher must start %%n ranks of one job, by the\n"
               "           launcher of the MPI that asvr is built with\n", p->steps.ranks, p->steps.ranks == 1 ? "" : "s", p->steps.threads,
               p->steps.threads == 1 ? "" : "s", p->steps.tp);
        p->code = EXIT_CONFIG;
        return true;
    }
    p->state = POINT_DONE;
    if (p->code)
        printf("           the launcher ended with %d, after the benchmark had ended well\n", p->code);
    return true;
}

/* The same benchmark as an earlier point of this start: at one replica, weak and strong are. */
static const Point *twin(const Series *s, int i)
{
    for (int k = s->first; k < i; k++)
        if (!strcmp(s->p[k].name, s->p[i].name))
            return &s->p[k];
    return NULL;
}

/* One point: known already, or run now.  False: this process is to end, or cannot go on. */
static bool point(Series *s, int i, Err *e)
{
    Point *p = &s->p[i];
    const Point *same = twin(s, i);
    char words[2 * PATH_ROOM];
    const int wide = printf("[%d/%d]", i + 1, s->n);
    printf("%*s%s\n", 11 - wide, "", series_label(s, p));
    if (same) {
        const int kind = p->kind;
        *p = *same;
        p->kind = kind;
    } else {
        point_known(s, p);
    }
    if (!same && p->state == POINT_OPEN) {
        predict(s, p);
        if (p->rates[0])
            printf("           predicted %.4f s a step, %.2f samples/s, by the rates of %s\n", p->want.step, p->global_batch / p->want.step, p->rates);
        if (!point_write(s, p, e) || !launcher_words(s, p, words, sizeof words, e))
            return false;
        printf("           %s asvr bench %s/points/%s/point.cfg\n", words, s->dir, p->name);
        fflush(stdout);
        p->code = launcher_run(s, p, e);
        if (p->code == LAUNCH_ASKED || e->code || !judge(s, p, e) || !point_write(s, p, e))
            return false;
    }
    say_result(s, p);
    fflush(stdout);
    return true;
}

/* What the first point that failed ended with, if it is a code of ours; 76, start again, for what was killed or too slow; 78 for a launcher that there is not. */
static int worst(const Series *s)
{
    for (int i = 0; i < s->n; i++) {
        const int code = s->p[i].code;
        if (s->p[i].state == POINT_FAILED)
            return code == LAUNCH_TIME || code > 128 ? EXIT_UNSAVED : code == LAUNCH_NONE ? EXIT_CONFIG : code >= EXIT_USAGE && code <= EXIT_HANG ? code : EXIT_INTERNAL;
    }
    return EXIT_DONE;
}

/* The last lines, which JUBE, ReFrame and Ramble look for. */
static void say_end(const Series *s, int code)
{
    const Point *best = NULL;
    for (int i = s->first; i < s->n; i++)
        if (s->p[i].state == POINT_DONE && (!best || point_samples(&s->p[i]) > point_samples(best)))
            best = &s->p[i];
    printf("\n%s/scaling.csv  scaling.svg  scaling.jsonl\n", s->dir);
    if (best)
        printf("most samples a second: %s\nSamples Per Second (FOM): %.*f\n", series_label(s, best), point_samples(best) < 1 ? 4 : 2, point_samples(best));
    printf("asvr: %s\n", code == EXIT_DONE ? "OK" : "not all points were measured; the same command again runs what is missing");
}

static int scaling(Series *s, Err *e)
{
    printf("%d points, %d node%s of %d core%s; %s\n", s->n - s->first, s->nodes, s->nodes == 1 ? "" : "s", s->cores, s->cores == 1 ? "" : "s", s->dir);
    for (int i = 0; i < s->n; i++)
        if (!point(s, i, e)) {
            if (e->code)
                return e->code;
            printf("stopped on request; the same command again goes on with %s\n", series_label(s, &s->p[i]));
            return EXIT_SAVED;
        }
    series_table(s);
    if (!series_csv(s, e) || !series_jsonl(s, e) || !series_svg(s, e))
        return e->code;
    const int code = worst(s);
    say_end(s, code);
    return code;
}

int scaling_main(const Config *c)
{
    static const char *const launched[] = { "OMPI_COMM_WORLD_RANK", "PMI_RANK" };
    Series s = { 0 };
    Err e = { 0 };
    int code = EXIT_DONE;
    for (size_t i = 0; i < sizeof launched / sizeof *launched; i++)
        if (getenv(launched[i]) && !getenv("SLURM_STEP_ID"))
            err_set(&e, EXIT_CONFIG, launched[i], "start it without mpirun", "asvr scaling starts the ranks of its points itself");
    stop_install();
    Lease *lease = !e.code && series_open(&s, c, &e) ? lease_take(s.dir, "scaling.dir is in use", "two series need two folders: scaling.dir", &e) : NULL;
    if (lease)
        code = scaling(&s, &e);
    if (e.code) {
        log_error(&e);
        code = e.code;
    }
    lease_drop(lease);
    series_close(&s);
    return code;
}
