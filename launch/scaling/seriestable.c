/* seriestable.c -- a series as a table and as CSV (seriesout.h) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/scaling/seriesout.h"

static const char *const KIND[] = { "weak", "strong", "rates" };

const Point *series_reference(const Series *s, int kind)
{
    const Point *best = NULL;
    for (int i = s->first; i < s->n; i++) {
        const Point *p = &s->p[i];
        if (p->kind == kind && p->state == POINT_DONE &&
            (!best || p->ranks * p->threads < best->ranks * best->threads ||
             (p->ranks * p->threads == best->ranks * best->threads && p->tp < best->tp)))
            best = p;
    }
    return best;
}

double point_samples(const Point *p) { return p->steps.global_batch / steps_median(&p->steps, TIME_STEP); }

double point_efficiency(const Point *p, const Point *reference)
{
    return point_samples(p) / (p->ranks * p->threads) / (point_samples(reference) / (reference->ranks * reference->threads));
}

double point_differs(const Point *p)
{
    return p->rates[0] ? steps_median(&p->steps, TIME_STEP) / p->want.step - 1 : NAN;
}

/* ---- the terminal ---- */

/* The same in all points is said once, above. */
static void head(const Series *s, int kind)
{
    const Config *c = s->c;
    const Point *p = &s->p[s->first];
    printf("\n%s: %d samples a %s, median of %d repetition%s of %d step%s", KIND[kind], c->train.global_batch,
           kind == SCALING_WEAK ? "replica and step" : "step", c->scaling.repeat, c->scaling.repeat == 1 ? "" : "s", c->scaling.steps, c->scaling.steps == 1 ? "" : "s");
    if (!series_varies(s, offsetof(Point, zero)))
        printf("; ZeRO %d", p->zero);
    if (!series_varies(s, offsetof(Point, micro_batch)))
        printf("; micro-batches of %d", p->micro_batch);
    if (!series_varies(s, offsetof(Point, threads)))
        printf("; %d thread%s a rank", p->threads, p->threads == 1 ? "" : "s");
    printf("\nranks  tp %s%s%s  samples/s  s a step, least   most predicted  differs  eff%s  compute     tp     dp  optim   rest   data   ckpt  of sgemm\n",
           series_varies(s, offsetof(Point, zero)) ? "zero " : "", series_varies(s, offsetof(Point, micro_batch)) ? " mb " : "",
           series_varies(s, offsetof(Point, threads)) ? " th " : "", kind == SCALING_STRONG ? "  speed-up" : "");
}

/* What not every benchmark measures. */
static void perhaps(double x, bool there)
{
    if (there)
        printf(" %6.1f", x);
    else
        printf(" %6s", "-");
}

static void row(const Series *s, const Point *p)
{
    printf("%5d %3d ", p->ranks, p->tp);
    if (series_varies(s, offsetof(Point, zero)))
        printf("%4d ", p->zero);
    if (series_varies(s, offsetof(Point, micro_batch)))
        printf("%3d ", p->micro_batch);
    if (series_varies(s, offsetof(Point, threads)))
        printf("%3d ", p->threads);
    if (p->state == POINT_FAILED) {
        printf("  failed (%d): %s/points/%s/out.txt\n", p->code, s->dir, p->name);
        return;
    }
    if (p->state != POINT_DONE) {
        printf("  not run\n");
        return;
    }
    const Stat *t = p->steps.part;
    const Point *one = series_reference(s, p->kind);
    const double step = steps_median(&p->steps, TIME_STEP);
    double least, most;
    steps_spread(&p->steps, TIME_STEP, &least, &most);
    printf("%10.2f %10.3f %6.3f %6.3f ", point_samples(p), step, least, most);
    if (p->rates[0])
        printf("%9.3f %+6.1f %% ", p->want.step, 100 * point_differs(p));
    else
        printf("%9s %8s ", "-", "-");
    printf("%4.2f", point_efficiency(p, one));
    if (p->kind == SCALING_STRONG)
        printf(" %9.2f", point_efficiency(p, one) * p->ranks * p->threads);
    printf(" %8.1f %6.1f %6.1f %6.1f %6.1f", 1e3 * (t[TIME_FORWARD].mean + t[TIME_BACKWARD].mean + t[TIME_SUMS].mean), 1e3 * t[TIME_TP].mean,
           1e3 * (t[TIME_DP].mean + t[TIME_WORLD].mean), 1e3 * t[TIME_OPTIMIZER].mean, 1e3 * t[TIME_REST].mean);
    perhaps(1e3 * p->steps.global_batch / p->steps.loader, p->steps.loader > 0);
    perhaps(1e3 * p->steps.ckpt_stopped, p->steps.ckpt > 0);
    printf("      %4.2f", p->steps.flops / step / (p->steps.sgemm * p->steps.ranks));
    if (p->steps.shared > 1)
        printf("  %.3g threads a core", p->steps.shared);
    printf("\n");
}

/* What the columns are, and how the machine was meanwhile. */
static void foot(const Series *s)
{
    double slowest = 1e30, fastest = 0;
    for (int i = 0; i < s->n; i++)
        if (s->p[i].state == POINT_DONE && s->p[i].steps.shared <= 1) {
            slowest = fmin(slowest, s->p[i].steps.sgemm);
            fastest = fmax(fastest, s->p[i].steps.sgemm);
        }
    printf("\ncompute to rest are ms a step, mean over ranks; tp, dp: messages that computing does not hide, waiting for others included,\n"
           "dp with what all ranks say to each other; data: ms that reading a step's samples takes alone, which training hides;\n"
           "ckpt: ms for which a save stops training; -: not measured (needs a packed data.set, bench.ckpt)\n");
    if (fastest > 1.1 * slowest)
        printf("sgemm gave %.1f to %.1f GF/s a rank from point to point: something else was running, or clocks moved\n", 1e-9 * slowest, 1e-9 * fastest);
}

void series_table(const Series *s)
{
    for (int kind = 0; kind < SERIES_KINDS; kind++) {
        bool any = false;
        for (int i = s->first; i < s->n; i++) {
            if (s->p[i].kind != kind)
                continue;
            if (!any)
                head(s, kind);
            any = true;
            row(s, &s->p[i]);
        }
    }
    foot(s);
}

/* ---- CSV ---- */

static void cell(FILE *f, double x, bool there)
{
    if (there)
        fprintf(f, ",%.9g", x);
    else
        fputc(',', f);
}

static void csv_row(FILE *f, const Series *s, const Point *p)
{
    static const char *const state[] = { "open", "done", "failed" };
    const bool done = p->state == POINT_DONE;
    const Point *one = series_reference(s, p->kind);
    const Steps *x = &p->steps;
    double least = 0, most = 0, step = done ? steps_median(x, TIME_STEP) : 0;
    if (done)
        steps_spread(x, TIME_STEP, &least, &most);
    fprintf(f, "%s,%d,%d,%d,%d,%d,%d,%d,%s,%d,%.6g", KIND[p->kind], p->ranks, p->tp, p->ranks / p->tp, p->zero, p->micro_batch, p->threads,
            p->global_batch, state[p->state], p->code, done ? x->shared : p->shared);
    cell(f, x->nodes, done);
    cell(f, x->repeats, done);
    cell(f, x->steps, done);
    cell(f, step, done);
    cell(f, least, done);
    cell(f, most, done);
    cell(f, done ? point_samples(p) : 0, done);
    cell(f, done ? point_efficiency(p, one) : 0, done);
    cell(f, done ? point_efficiency(p, one) * p->ranks * p->threads : 0, done);
    cell(f, done ? x->flops / step / (x->sgemm * x->ranks) : 0, done);
    cell(f, x->sgemm, done);
    cell(f, p->want.step, p->rates[0]);
    cell(f, done ? 100 * point_differs(p) : 0, done && p->rates[0]);
    cell(f, p->want.tp, p->rates[0]);
    cell(f, p->want.dp, p->rates[0]);
    for (int k = 0; k < TIMES; k++) {
        cell(f, x->part[k].min, done);
        cell(f, x->part[k].mean, done);
        cell(f, x->part[k].max, done);
    }
    cell(f, x->loader, done && x->loader > 0);
    cell(f, x->ckpt, done && x->ckpt > 0);
    cell(f, x->ckpt_stopped, done && x->ckpt > 0);
    cell(f, x->peak_mib, done);
    fprintf(f, ",%s,%s\n", p->rates, p->name);
}

bool series_csv(const Series *s, Err *e)
{
    char path[PATH_ROOM], *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    CHECK(f, "no memory for a table");
    fprintf(f, "series,ranks,tp,dp,zero,micro_batch,threads,global_batch,state,code,threads_per_core,nodes,repeats,steps,step_s,step_min_s,step_max_s,"
               "samples_per_s,efficiency,speedup,share_of_sgemm,sgemm_flops_per_s,predicted_step_s,differs_percent,predicted_tp_s,predicted_dp_s");
    for (int k = 0; k < TIMES; k++)
        fprintf(f, ",%s_min_over_ranks_s,%s_mean_over_ranks_s,%s_max_over_ranks_s", TIME_NAME[k], TIME_NAME[k], TIME_NAME[k]);
    fprintf(f, ",loader_samples_per_s,save_s,save_stops_s,peak_mib,rates,point\n");
    for (int i = s->first; i < s->n; i++)
        csv_row(f, s, &s->p[i]);
    fclose(f);
    const bool ok = path_set(path, e, "%s/scaling.csv", s->dir) && file_replace(path, text, n, e);
    free(text);
    return ok;
}

/* ---- Extra-P ---- */

/* One line: all repetitions of one number at one point. */
static void line(FILE *f, const Series *s, const Point *p, const char *callpath, const int *parts, int n)
{
    static const struct { const char *name; size_t at; } more[] = {
        { "tp", offsetof(Point, tp) }, { "zero", offsetof(Point, zero) }, { "micro_batch", offsetof(Point, micro_batch) },
        { "threads", offsetof(Point, threads) } };
    fprintf(f, "{\"params\": {\"p\": %d", p->ranks);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (series_varies(s, more[i].at))
            fprintf(f, ", \"%s\": %d", more[i].name, *(const int *)((const char *)p + more[i].at));
    fprintf(f, "}, \"callpath\": \"%s%s\", \"metric\": \"time\", \"value\": [", s->c->scaling.kind != SCALING_BOTH ? "" : p->kind == SCALING_WEAK ?
            "weak->" : "strong->", callpath);
    for (int i = 0; i < p->steps.repeats; i++) {
        double sum = 0;
        for (int k = 0; k < n; k++)
            sum += p->steps.repeat[i][parts[k]];
        fprintf(f, "%s%.9g", i ? ", " : "", fmax(0, sum));
    }
    fprintf(f, "]}\n");
}

bool series_jsonl(const Series *s, Err *e)
{
    static const int reduce[] = { TIME_SUMS, TIME_DP, TIME_WORLD };
    char path[PATH_ROOM], *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    CHECK(f, "no memory for a table");
    for (int i = s->first; i < s->n; i++) {
        const Point *p = &s->p[i];
        if (p->state != POINT_DONE)
            continue;
        line(f, s, p, "step", (const int[]){ TIME_STEP }, 1);
        line(f, s, p, "step->forward", (const int[]){ TIME_FORWARD }, 1);
        line(f, s, p, "step->backward", (const int[]){ TIME_BACKWARD }, 1);
        line(f, s, p, "step->reduce", reduce, 3);
        line(f, s, p, "step->tp", (const int[]){ TIME_TP }, 1);
        line(f, s, p, "step->optimizer", (const int[]){ TIME_OPTIMIZER }, 1);
        line(f, s, p, "step->rest", (const int[]){ TIME_REST }, 1);
    }
    fclose(f);
    const bool ok = path_set(path, e, "%s/scaling.jsonl", s->dir) && file_replace(path, text, n, e);
    free(text);
    return ok;
}
