/* curves.c -- which curves a report has, and of what (page.h) */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/base.h"
#include "launch/markup.h"
#include "launch/report/page.h"
#include "launch/report/parts.h"
#include "launch/report/plot.h"

/* The paths of a page have this much room: so many curves, so many columns each. */
enum { PATHS_ROOM = 1200000, COLUMN_BYTES = 17, LEAST_COLUMNS = 120, TITLE = 96 };

static const struct { int column; const char *title, *unit; bool zero, gaps; } SHARED[] = {
    { COL_LOSS, "Loss", "", false, true },
    { COL_TEXT, "Text loss", "nats / token", false, true },
    { COL_VISUAL, "Visual loss", "nats / code, mean over depths", false, true },
    { COL_GRAD, "Gradient norm", "before clipping", false, true },
    { COL_LR, "Learning rate", "", true, false },
    { COL_SAMPLES, "Samples", "1 / s", true, false },
    { COL_TOKENS, "Tokens", "1 / s", true, false },
    { COL_FLOPS, "Flops", "share of this machine's sgemm", true, false },
    { COL_STEP, "Time of a step", "s", true, false },
    { COL_RSS, "Memory", "MiB, peak resident of rank 0", true, false },
    { COL_RESTARTS, "Codes started again", "a step", true, false },
};
enum { SHARED_N = sizeof SHARED / sizeof *SHARED };

static const struct { int first; const char *title, *unit, *word; bool zero; } LISTS[] = {
    { COL_DEPTH, "Visual loss by depth", "nats / code", "depth", false },
    { COL_USAGE, "Code usage", "share of each codebook", "book", true },
    { COL_PERPLEXITY, "Code perplexity", "", "book", true },
};
enum { LISTS_N = sizeof LISTS / sizeof *LISTS };

/* Runs share an axis.  Where one ends within the first eighth of it nobody could read that one: then the page has another view, to where it ends,
   of the same charts; and so on, for a run that ends within an eighth of that. */
enum { VIEWS = 4, SQUEEZED = 8 };
typedef struct { int64_t from, to, until; int run, n; } View;       /* axis; last step drawn; run ends it; n: which one, -1: there is one alone */

static int64_t last_of(const ReportRun *r) { return r->columns.n ? r->columns.step[r->columns.n - 1] : 0; }

static int views_of(const Page *p, View view[VIEWS])
{
    int64_t from = INT64_MAX;
    int n = 0;
    for (int i = 0; i < p->runs; i++)
        from = p->run[i].columns.n ? min64(from, p->run[i].columns.step[0]) : from;
    for (int64_t limit = INT64_MAX; n < VIEWS; n++, limit = (view[n - 1].until - 1) / SQUEEZED) {
        View v = { .from = from, .n = n };
        for (int i = 0; i < p->runs; i++)
            if (last_of(&p->run[i]) > v.until && last_of(&p->run[i]) <= limit)
                v.until = v.to = last_of(&p->run[i]), v.run = i;
        if (n && !v.until)
            break;
        view[n] = v;
    }
    if (n == 1)
        view[0].n = -1;
    view[0].until = INT64_MAX;                              /* of evaluations, whatever steps they have */
    return n;
}

/* Steps up to this one: how many. */
static int64_t within(const int64_t *step, int64_t n, int64_t until)
{
    while (n > 0 && step[n - 1] > until)
        n--;
    return n;
}

/* A column that is not there, or zero all the time, says nothing. */
static bool says(const ReportRun *r, int column)
{
    const ColumnSums s = columns_sums(&r->columns, column);
    return s.n > 0 && (s.least != 0 || s.most != 0);
}

/* Steps at which the lives of a run that have lines begin. */
static int64_t *lives_of(const ReportRun *r)
{
    const StepFile *log = &r->status.log;
    int64_t *first = malloc((size_t)(log->lives + 1) * sizeof *first);
    CHECK(first, "no memory for %d lives", log->lives);
    for (int i = 0; i < log->lives; i++)
        first[i] = log->life[i].first;
    return first;
}

static Curve curve_of(const ReportRun *r, int column, const char *name, int look, int64_t until)
{
    const Columns *c = &r->columns;
    return (Curve){ .name = name, .step = c->step, .y = c->x[column], .n = within(c->step, c->n, until), .look = look, .skip = c->skip,
                    .skips = within(c->skip, c->skips, until) };
}

/* Those curves that have a step in the view, over all steps that their runs have in it. */
static void draw(const Page *p, const View *view, Chart *c)
{
    int n = 0;
    for (int v = 0; v < c->curves; v++)
        if (c->curve[v].n) {
            c->to = max64(c->to, min64(view->to, last_of(&p->run[c->curve[v].look])));
            c->curve[n++] = c->curve[v];
        }
    c->curves = n;
    c->view = view->n;
    c->from = view->from;
    c->named = p->runs > 1;
    if (n)
        plot_chart(p->f, c);
}

static void shared(const Page *p, const View *view, int which, int columns)
{
    static Chart c;
    int64_t *life = NULL;
    c = (Chart){ .title = SHARED[which].title, .unit = SHARED[which].unit, .zero = SHARED[which].zero, .gaps = SHARED[which].gaps, .columns = columns };
    for (int i = 0; i < p->runs; i++)
        if (says(&p->run[i], SHARED[which].column))
            c.curve[c.curves++] = curve_of(&p->run[i], SHARED[which].column, p->run[i].name, i, view->until);
    if (p->runs == 1 && c.curves) {
        c.life = life = lives_of(p->run);
        c.lives = p->run->status.log.lives;
    }
    draw(p, view, &c);
    free(life);
}

/* What evaluations found on the way, a chart a value. */
static void evals(const Page *p, const View *view, int value, int columns)
{
    static const struct { const char *title, *unit; } is[EVALS_VALUES] = {
        [EVALS_LOSS] = { "Evaluation: loss", "held-out samples" }, [EVALS_TEXT] = { "Evaluation: text loss", "nats / token" },
        [EVALS_VISUAL] = { "Evaluation: visual loss", "nats / code" }, [EVALS_MEAN] = { "Evaluation: accuracy", "mean over tasks" } };
    static Chart c;
    c = (Chart){ .title = is[value].title, .unit = is[value].unit, .zero = value == EVALS_MEAN, .columns = columns };
    for (int i = 0; i < p->runs; i++) {
        const Evals *x = &p->run[i].status.evals;
        bool says_it = false;
        for (int64_t k = 0; k < x->n; k++)
            says_it |= isfinite(x->value[value][k]) && (x->value[value][k] != 0 || value == EVALS_MEAN);
        if (says_it)
            c.curve[c.curves++] = (Curve){ .name = p->run[i].name, .step = x->step, .y = x->value[value], .n = within(x->step, x->n, view->until), .look = i };
    }
    draw(p, view, &c);
}

/* Scores of a benchmark, where a run has several. */
static void benchmark(const Page *p, const View *view, const char *name, int columns)
{
    static Chart c;
    int64_t *step[REPORT_RUNS], most = 0;
    double *y[REPORT_RUNS];
    char title[TITLE];
    snprintf(title, sizeof title, "Benchmark: %s", name);
    c = (Chart){ .title = title, .unit = "score, share of 1", .zero = true, .columns = columns };
    for (int i = 0; i < p->runs; i++) {
        const int64_t all = (int64_t)json_array_size(p->run[i].benchmarks);
        int64_t n = 0;
        step[i] = malloc((size_t)(all + 1) * sizeof **step);
        y[i] = malloc((size_t)(all + 1) * sizeof **y);
        CHECK(step[i] && y[i], "no memory for %" PRId64 " scores", all);
        for (int64_t k = 0; k < all; k++) {
            y[i][n] = page_score(&p->run[i], k, name, &step[i][n]);
            n += isfinite(y[i][n]) != 0;
        }
        most = max64(most, n);
        n = within(step[i], n, view->until);
        if (n)
            c.curve[c.curves++] = (Curve){ .name = p->run[i].name, .step = step[i], .y = y[i], .n = n, .look = i };
    }
    if (most > 1)
        draw(p, view, &c);
    for (int i = 0; i < p->runs; i++) {
        free(step[i]);
        free(y[i]);
    }
}

/* A run's own chart says whose it is. */
static void own_title(const Page *p, int i, const char *title, char out[TITLE])
{
    snprintf(out, TITLE, p->runs > 1 ? "%s: %s" : "%s", title, p->run[i].name);
}

static void lists(const Page *p, int which, int i, int columns)
{
    static Chart c;
    static char  name[LOG_DEPTHS][TITLE];
    const ReportRun *r = &p->run[i];
    char title[TITLE];
    const int n = columns_list(&r->columns, LISTS[which].first);
    own_title(p, i, LISTS[which].title, title);
    c = (Chart){ .title = title, .unit = LISTS[which].unit, .zero = LISTS[which].zero, .columns = columns, .view = -1 };
    for (int k = 0; k < n; k++)
        if (r->columns.x[LISTS[which].first + k]) {
            snprintf(name[k], TITLE, "%s %d", LISTS[which].word, k);
            c.curve[c.curves++] = curve_of(r, LISTS[which].first + k, name[k], k, INT64_MAX);
        }
    if (c.curves)
        plot_chart(p->f, &c);
}

static int count(const Page *p, int views, json_t *names)
{
    int n = p->runs * (int)json_object_size(names);
    for (int i = 0; i < p->runs; i++) {
        for (int k = 0; k < SHARED_N; k++)
            n += says(&p->run[i], SHARED[k].column);
        n += p->run[i].status.evals.n ? EVALS_VALUES : 0;
    }
    n *= views;
    for (int i = 0; i < p->runs; i++) {
        for (int k = 0; k < LISTS_N; k++)
            n += columns_list(&p->run[i].columns, LISTS[k].first);
        n += 2 * TIME_PARTS;            /* of the shares of time */
    }
    return n;
}

/* Where the time of steps goes: parts of t_step and of the save before it, as shares of both. */
static void shares(const Page *p, int i, int columns)
{
    static Chart c;
    static const char *const name[TIME_PARTS] = { "data", "forward", "backward", "reduce", "optim", "ckpt", "rest" };
    const ReportRun *r = &p->run[i];
    double *whole, *rest;
    char title[TITLE];
    if (!parttime_arrays(&r->columns, &whole, &rest))
        return;
    own_title(p, i, "Time of a step", title);
    c = (Chart){ .title = title, .unit = "shares, rank 0", .columns = columns, .view = -1, .stacked = true, .whole = whole };
    for (int k = 0; k < TIME_PARTS; k++) {
        const double *y = k == TIME_REST ? rest : r->columns.x[TIME_COLUMN[k]];
        if (y)
            c.curve[c.curves++] = (Curve){ .name = name[k], .step = r->columns.step, .y = y, .n = r->columns.n, .look = k == TIME_REST ? PLOT_COLOURS - 1 : k };
    }
    plot_chart(p->f, &c);
    free(whole);
    free(rest);
}

/* Which view is shown, chosen without script. */
static void choice(const Page *p, const View *view, int views, int64_t last)
{
    fprintf(p->f, "<p class=\"note\">Runs of very different lengths: what they share is drawn to where a shorter one ends, too.</p>\n");
    for (int k = 0; k < views; k++) {
        fprintf(p->f, "<input type=\"radio\" name=\"view\" id=\"w%d\"%s/><label for=\"w%d\">", k, k ? "" : " checked=\"checked\"", k);
        if (k == 0)
            fprintf(p->f, "all %" PRId64 " steps", last);
        else {
            fprintf(p->f, "the first %" PRId64 ", where ", view[k].until);
            page_run(p, view[k].run);
            fprintf(p->f, " ends");
        }
        fprintf(p->f, "</label>\n");
    }
}

static void grid(const Page *p, const View *view, int views, json_t *names, int columns)
{
    const char *name;
    json_t *one;
    fprintf(p->f, "<div class=\"grid\">\n");
    for (int k = 0; k < SHARED_N; k++) {
        for (int w = 0; w < views; w++)
            shared(p, &view[w], k, columns);
        for (int i = 0; i < p->runs && SHARED[k].column == COL_VISUAL; i++)
            lists(p, 0, i, columns);
        for (int v = 0; v < EVALS_VALUES && SHARED[k].column == COL_VISUAL; v++)
            for (int w = 0; w < views; w++)
                evals(p, &view[w], v, columns);
        if (SHARED[k].column == COL_VISUAL)
            json_object_foreach(names, name, one)
                for (int w = 0; w < views; w++)
                    benchmark(p, &view[w], name, columns);
        for (int i = 0; i < p->runs && SHARED[k].column == COL_STEP; i++)
            shares(p, i, columns);
    }
    for (int k = 1; k < LISTS_N; k++)
        for (int i = 0; i < p->runs; i++)
            lists(p, k, i, columns);
    fprintf(p->f, "</div>");
}

void part_curves(const Page *p)
{
    int64_t rows = 0, first = INT64_MAX, last = 0;
    View view[VIEWS];
    int lives = 0;
    const int views = views_of(p, view);
    for (int i = 0; i < p->runs; i++) {
        const Columns *c = &p->run[i].columns;
        rows += c->n;
        first = c->n ? min64(first, c->step[0]) : first;
        last = max64(last, last_of(&p->run[i]));
        lives = p->runs == 1 ? p->run[i].status.log.lives : 0;
    }
    if (rows == 0) {
        fprintf(p->f, "<section><h2>Curves</h2><p>No step has been logged.</p></section>\n");
        return;
    }
    json_t *names = page_benchmarks(p);
    const int columns = (int)max64(LEAST_COLUMNS, min64(PLOT_COLUMNS, PATHS_ROOM / COLUMN_BYTES / count(p, views, names)));
    fprintf(p->f, "<section><h2>Curves</h2><p class=\"note\">Over steps%s.", lives > 1 ? "; dotted lines: a life begins" : "");
    if (last - first >= columns)
        fprintf(p->f, " %" PRId64 " steps share %d columns of a drawing, %.3g each: the band is from the least to the most of them, "
                      "so that no spike is left out, the line is their mean.",
                last - first + 1, columns, (double)(last - first + 1) / columns);
    fprintf(p->f, "</p>\n");
    if (views > 1)
        choice(p, view, views, last);
    grid(p, view, views, names, columns);
    fprintf(p->f, "</section>\n");
    json_decref(names);
}
