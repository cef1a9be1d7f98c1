/* parttime.c -- where the time of steps and of a run went (page.h, parts.h) */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/base.h"
#include "launch/report/page.h"
#include "launch/report/parts.h"

const int TIME_COLUMN[TIME_REST] = { COL_DATA, COL_FORWARD, COL_BACKWARD, COL_REDUCE, COL_OPTIM, COL_CKPT };
static const char *const PART_LABEL[TIME_PARTS] = { "waiting for data", "forward", "backward", "waiting for sums (reduce)", "optimizer",
                                                    "saving (ckpt)", "the rest" };

static double value(const Columns *c, int column, int64_t i) { return c->x[column] && isfinite(c->x[column][i]) ? c->x[column][i] : 0; }

bool parttime_arrays(const Columns *c, double **whole, double **rest)
{
    if (!c->x[COL_STEP])
        return false;
    *whole = malloc((size_t)c->n * sizeof(double));
    *rest = malloc((size_t)c->n * sizeof(double));
    CHECK(*whole && *rest, "no memory for %" PRId64 " steps", c->n);
    for (int64_t i = 0; i < c->n; i++) {
        double parts = 0;
        for (int k = 0; k < TIME_REST; k++)
            parts += value(c, TIME_COLUMN[k], i);
        (*whole)[i] = fmax(parts, value(c, COL_STEP, i) + value(c, COL_CKPT, i));
        (*rest)[i] = (*whole)[i] - parts;
    }
    return true;
}

/* Sums over the steps that count; false where there are none. */
static bool sums_of(const Columns *c, double sum[TIME_PARTS], double *all)
{
    double *whole, *rest;
    for (int k = 0; k < TIME_PARTS; k++)
        sum[k] = 0;
    *all = 0;
    if (!parttime_arrays(c, &whole, &rest))
        return false;
    for (int64_t i = 0; i < c->n; i++) {
        for (int k = 0; k < TIME_REST; k++)
            sum[k] += value(c, TIME_COLUMN[k], i);
        sum[TIME_REST] += rest[i];
        *all += whole[i];
    }
    free(whole);
    free(rest);
    return *all > 0;
}

/* Seconds and their share of a whole, two cells. */
static void cells(FILE *f, double seconds, double whole)
{
    char word[UNIT_WORD];
    fprintf(f, "<td>%s</td><td class=\"share\"><span class=\"bar\"><span style=\"width:%.2f%%\"></span></span><span class=\"pc\">%.1f %%</span>"
               "</td>", unit_span(seconds, word),
            whole > 0 ? 100 * fmax(0, seconds) / whole : 0, whole > 0 ? 100 * seconds / whole : 0);
}

static void table_head(const Page *p, const char *what)
{
    fprintf(p->f, "<div class=\"card scroll\"><table><thead><tr><th class=\"l\">%s</th>", what);
    for (int i = 0; i < p->runs; i++) {
        fprintf(p->f, "<th colspan=\"2\">");
        page_run(p, i);
        fprintf(p->f, "</th>");
    }
    fprintf(p->f, "</tr></thead><tbody>\n");
}

static void run_time(const Page *p)
{
    table_head(p, "the run, since its first life began");
    for (int pass = 0; pass < 2; pass++)                            /* what counts, then what does not */
        for (int k = 0; k < SPENT; k++) {
            bool any = k == SPENT_STEPS;
            for (int i = 0; i < p->runs; i++)
                any |= fabs(p->run[i].status.story.spent[k]) >= 0.05;
            if (!any || (k == SPENT_STEPS) != (pass == 0))
                continue;
            fprintf(p->f, "<tr><th class=\"l\">%s%s</th>", SPENT_LABEL[k], k == SPENT_STEPS ? " (effective training time)" : "");
            for (int i = 0; i < p->runs; i++)
                cells(p->f, p->run[i].status.story.spent[k], p->run[i].status.story.wall);
            fprintf(p->f, "</tr>\n");
        }
    fprintf(p->f, "<tr class=\"sum\"><th class=\"l\">all</th>");
    for (int i = 0; i < p->runs; i++)
        cells(p->f, p->run[i].status.story.wall, p->run[i].status.story.wall);
    fprintf(p->f, "</tr></tbody></table></div>\n");
}

static void step_time(const Page *p)
{
    static double sum[REPORT_RUNS][TIME_PARTS];
    double all[REPORT_RUNS];
    bool any = false;
    for (int i = 0; i < p->runs; i++)
        any |= sums_of(&p->run[i].columns, sum[i], &all[i]);
    if (!any)
        return;
    table_head(p, "the steps that count, rank 0");
    for (int k = 0; k < TIME_PARTS; k++) {
        fprintf(p->f, "<tr><th class=\"l\">%s</th>", PART_LABEL[k]);
        for (int i = 0; i < p->runs; i++)
            cells(p->f, sum[i][k], all[i]);
        fprintf(p->f, "</tr>\n");
    }
    fprintf(p->f, "<tr class=\"sum\"><th class=\"l\">all</th>");
    for (int i = 0; i < p->runs; i++)
        cells(p->f, all[i], all[i]);
    fprintf(p->f, "</tr></tbody></table></div>\n");
}

void part_time(const Page *p)
{
    bool any = false;
    for (int i = 0; i < p->runs; i++)
        any |= p->run[i].status.story.wall > 0;
    if (!any)
        return;
    fprintf(p->f, "<section><h2>Where the time went</h2><div class=\"%s\">\n", p->runs == 1 ? "pair" : "");
    run_time(p);
    step_time(p);
    fprintf(p->f, "</div></section>\n");
}
