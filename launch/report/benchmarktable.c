/* benchmarktable.c -- scores of benchmarks, a row each, runs side by side (page.h) */
#include <inttypes.h>
#include <math.h>

#include "launch/markup.h"
#include "launch/report/page.h"

/* A pair of cells in each row: a run's newest score, or that of its best checkpoint. */
typedef struct { int run; bool best; } Pair;

json_t *page_benchmarks(const Page *p)
{
    json_t *names = json_object(), *line, *x;
    const char *key;
    size_t k;
    for (int i = 0; i < p->runs; i++)
        json_array_foreach(p->run[i].benchmarks, k, line)
            json_object_foreach(json_object_get(line, "benchmarks"), key, x)
                if (json_is_number(json_object_get(x, "score")) && !json_object_get(names, key))
                    json_set(names, key, json_incref(x));
    return names;
}

double page_score(const ReportRun *r, int64_t i, const char *name, int64_t *step)
{
    const json_t *line = json_array_get(r->benchmarks, (size_t)i);
    const json_t *x = json_object_get(json_object_get(json_object_get(line, "benchmarks"), name), "score");
    *step = json_integer_value(json_object_get(line, "step"));
    return json_is_number(x) ? json_number_value(x) : NAN;
}

/* The step that RUN/ckpt/best names; -1. */
static int64_t best_of(const ReportRun *r) { return r->status.evals.best >= 0 ? r->status.evals.step[r->status.evals.best] : -1; }

static double score(const Page *p, Pair c, const char *name, int64_t *step)
{
    const ReportRun *r = &p->run[c.run];
    double x = NAN;
    for (int64_t i = (int64_t)json_array_size(r->benchmarks) - 1; i >= 0 && !isfinite(x); i--) {
        x = page_score(r, i, name, step);
        x = c.best && *step != best_of(r) ? NAN : x;
    }
    return x;
}

/* The best checkpoint has cells of its own where they say more than the newest scores. */
static int pairs_of(const Page *p, json_t *names, Pair pair[2 * REPORT_RUNS])
{
    int n = 0;
    for (int i = 0; i < p->runs; i++) {
        const Pair newest = { i, false }, best = { i, true };
        const char *key;
        json_t *x;
        bool any = false, other = false;
        json_object_foreach(names, key, x) {
            int64_t at = 0, at_best = 0;
            any |= isfinite(score(p, newest, key, &at));
            other |= isfinite(score(p, best, key, &at_best)) && at_best != at;
        }
        if (any)
            pair[n++] = newest;
        if (other)
            pair[n++] = best;
    }
    return n;
}

static void head(const Page *p, const Pair *pair, int n)
{
    fprintf(p->f, "<thead><tr><th class=\"l\">benchmark</th><th class=\"l\">score</th>");
    for (int k = 0; k < n; k++) {
        fprintf(p->f, "<th>");
        page_run(p, pair[k].run);
        fprintf(p->f, "%s</th><th>step</th>", pair[k].best ? " best" : p->runs == 1 ? "newest" : "");
    }
    fprintf(p->f, "</tr></thead><tbody>\n");
}

/* Has it a star? */
static bool row(const Page *p, const Pair *pair, int n, const char *name, const json_t *one, double sum[])
{
    bool star = false;
    const char *of = json_string_value(json_object_get(one, "of"));
    fprintf(p->f, "<tr><th class=\"l\">");
    markup_text(p->f, name);
    fprintf(p->f, "</th><td class=\"l at\">");
    markup_text(p->f, of ? of : "");
    fprintf(p->f, "</td>");
    for (int k = 0; k < n; k++) {
        int64_t step = 0;
        const double x = score(p, pair[k], name, &step);
        const bool best = isfinite(x) && step == best_of(&p->run[pair[k].run]);
        sum[k] += x;                                        /* NaN where one of the column is missing */
        star |= best;
        if (isfinite(x))
            fprintf(p->f, "<td>%.1f %%</td><td class=\"at\">%" PRId64 "%s</td>", 100 * x, step, best ? " &#9733;" : "");
        else
            fprintf(p->f, "<td>&#8211;</td><td></td>");
    }
    fprintf(p->f, "</tr>\n");
    return star;
}

void part_benchmarks(const Page *p)
{
    json_t *names = page_benchmarks(p), *one;
    Pair pair[2 * REPORT_RUNS];
    double sum[2 * REPORT_RUNS] = { 0 };
    const char *key;
    const int n = pairs_of(p, names, pair), rows = (int)json_object_size(names);
    bool star = false;
    if (n) {
        fprintf(p->f, "<section><h2>Benchmarks</h2><div class=\"card scroll\"><table>");
        head(p, pair, n);
        json_object_foreach(names, key, one)
            star |= row(p, pair, n, key, one, sum);
        if (rows > 1)
            fprintf(p->f, "<tr class=\"sum\"><th class=\"l\">mean</th><td class=\"l at\">of all %d</td>", rows);
        for (int k = 0; k < n && rows > 1; k++)
            fprintf(p->f, isfinite(sum[k]) ? "<td>%.1f %%</td><td></td>" : "<td>&#8211;</td><td></td>", 100 * sum[k] / rows);
        fprintf(p->f, "%s</tbody></table>", rows > 1 ? "</tr>" : "");
        fprintf(p->f, "%s</div></section>\n", star ? "<p class=\"note\">&#9733; the step that <code>ckpt/best</code> names; its scores are below <i>best</i> where there are newer ones.</p>" : "");
    }
    json_decref(names);
}
