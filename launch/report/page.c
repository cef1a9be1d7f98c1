/* page.c -- the page's head, its tables of figures, lives and answers (page.h) */
#include "launch/report/page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/markup.h"
#include "launch/report/plot.h"

void page_number(FILE *f, double x)
{
    if (!isfinite(x))
        fputs("&#8211;", f);
    else
        fprintf(f, fabs(x) >= 9999.5 && fabs(x) < 1e15 ? "%.0f" : "%.5g", x);
}

void page_run(const Page *p, int i)
{
    if (p->runs == 1)
        return;
    fprintf(p->f, "<span class=\"key\"><svg class=\"chip\" viewBox=\"0 0 18 8\" aria-hidden=\"true\"><path class=\"m c%d d%d\" d=\"M0 4h18\"/>"
                  "</svg>", i % PLOT_COLOURS,
            i / PLOT_COLOURS % 4);
    markup_text(p->f, p->run[i].name);
    fprintf(p->f, "</span>");
}

/* ---- head ---- */

static void tile(FILE *f, const char *what, const char *more)
{
    fprintf(f, "</dd>%s%s%s</div>\n<div><dt>%s</dt><dd>", more[0] ? "<p>" : "", more, more[0] ? "</p>" : "", what);
}

static void steps_of(const Status *s, char *out, size_t cap)
{
    if (s->steps > 0)
        snprintf(out, cap, "of %" PRId64 ", %.1f %%", s->steps, 100.0 * (double)min64(s->step, s->steps) / (double)s->steps);
    else
        snprintf(out, cap, "of how many is not known");
}

/* What is known of one run, in large figures. */
static void tiles(const Page *p)
{
    const ReportRun *r = &p->run[0];
    const Status *s = &r->status;
    const StoryLife *l = status_last(s);
    const ColumnSums loss = columns_sums(&r->columns, COL_LOSS);
    char more[160] = "", word[UNIT_WORD];
    fprintf(p->f, "<dl class=\"tiles\"><div><dt>step</dt><dd>%" PRId64, s->step);
    steps_of(s, more, sizeof more);
    tile(p->f, "loss", more);
    page_number(p->f, loss.last);
    snprintf(more, sizeof more, "least %.5g at step %" PRId64, loss.least, loss.at_least);
    tile(p->f, "samples / s", loss.n ? more : "");
    page_number(p->f, steplog_rate(&s->log));
    snprintf(more, sizeof more, "median of the last %" PRId64, min64(r->columns.n, STEPLOG_ROWS));
    tile(p->f, "effective training time", more);
    if (s->story.wall > 0)
        fprintf(p->f, "%.1f %%", 100 * s->story.spent[SPENT_STEPS] / s->story.wall);
    else
        fprintf(p->f, "&#8211;");
    snprintf(more, sizeof more, "of %s", unit_span(s->story.wall, word));
    tile(p->f, "lives", more);
    fprintf(p->f, "%d", s->story.lives);
    if (l)
        snprintf(more, sizeof more, "%d rank%s: tp %d, dp %d", l->ranks, l->ranks == 1 ? "" : "s", l->tp, l->dp);
    tile(p->f, "saved", l ? more : "");
    if (s->ckpt.there)
        fprintf(p->f, "%" PRId64, s->ckpt.step);
    else
        fprintf(p->f, "&#8211;");
    snprintf(more, sizeof more, s->ckpt.there ? "%s, looks whole" : "nothing yet", unit_bytes((double)s->ckpt.bytes, word));
    tile(p->f, "skipped steps", more);
    fprintf(p->f, "%" PRId64 "</dd><p>%" PRId64 " with no finite loss</p></div></dl>\n", r->columns.skipped, loss.bad);
}

static void runs_table(const Page *p)
{
    fprintf(p->f, "<div class=\"card scroll\"><table><thead><tr><th class=\"l\">run</th><th class=\"l\">stage</th><th>step</th><th>of</th><th>"
                  "loss</th><th>samples / s</th>"
                  "<th>effective</th><th>time</th><th>lives</th><th>skipped</th><th class=\"l\">state</th></tr></thead><tbody>\n");
    for (int i = 0; i < p->runs; i++) {
        const Status *s = &p->run[i].status;
        char word[UNIT_WORD], what[1100];
        fprintf(p->f, "<tr><th class=\"l\">");
        page_run(p, i);
        fprintf(p->f, "</th><td class=\"l\">%s</td><td>%" PRId64 "</td><td>", s->stage, s->step);
        fprintf(p->f, s->steps > 0 ? "%" PRId64 : "?", s->steps);
        fprintf(p->f, "</td><td>");
        page_number(p->f, columns_sums(&p->run[i].columns, COL_LOSS).last);
        fprintf(p->f, "</td><td>");
        page_number(p->f, steplog_rate(&s->log));
        fprintf(p->f, "</td><td>%.1f %%</td><td>%s</td><td>%d</td><td>%" PRId64 "</td>"
                      "<td class=\"l\">", s->story.wall > 0 ? 100 * s->story.spent[SPENT_STEPS] / s->story.wall : 0,
                unit_span(s->story.wall, word), s->story.lives, p->run[i].columns.skipped);
        status_sentence(s, what, sizeof what);
        markup_text(p->f, what);
        fprintf(p->f, "</td></tr>\n");
    }
    fprintf(p->f, "</tbody></table></div>\n");
}

void part_head(const Page *p)
{
    char what[1100], word[UNIT_WORD], folder[1024];
    const Status *s = &p->run[0].status;
    fprintf(p->f, "<header><p class=\"brand\">asvr report</p><h1>");
    if (p->runs > 1)
        fprintf(p->f, "%d runs", p->runs);
    else
        markup_text(p->f, p->run[0].name);
    fprintf(p->f, "</h1><p class=\"state\">");
    if (p->runs == 1) {
        status_sentence(s, what, sizeof what);
        if (s->stage[0])
            fprintf(p->f, "<span class=\"pill\">%s</span> ", s->stage);
        fprintf(p->f, "<span class=\"pill %s\">%s</span> ", STATE_NAME[s->state], STATE_NAME[s->state]);
        markup_text(p->f, what);
    }
    fprintf(p->f, "</p><p class=\"made\">");
    if (p->folder) {
        fprintf(p->f, "in <code>");
        folder[0] = 0;
        strncat(folder, p->run[0].status.dir, p->folder < sizeof folder ? p->folder : sizeof folder - 1);
        markup_text(p->f, folder);
        fprintf(p->f, "</code>, ");
    }
    fprintf(p->f, "as of %s</p></header>\n", unit_date(s->now, word));
    if (p->runs > 1)
        runs_table(p);
    else
        tiles(p);
    for (int i = 0; i < p->runs; i++)
        if (p->run[i].status.log.damaged + p->run[i].status.story.damaged) {
            fprintf(p->f, "<p class=\"note\">");
            page_run(p, i);
            fprintf(p->f, " %" PRId64 " lines of run.jsonl or lives.jsonl could not be read, or repeat a step, and are left out.</p>\n",
                    p->run[i].status.log.damaged + p->run[i].status.story.damaged);
        }
}

/* ---- figures ---- */

/* Digits behind the point, the same in a row: five that count of its last value, or of its largest. */
static int digits(const ColumnSums *s)
{
    const double most = fmax(fabs(s->least), fabs(s->most)), x = isfinite(s->last) && fabs(s->last) > 1e-4 * most ? fabs(s->last) : most;
    return x > 0 ? (int)fmax(0, fmin(7, 4 - floor(log10(x)))) : 0;
}

static void figures_row(const Page *p, const ReportRun *r, int column, const char *name)
{
    const ColumnSums s = columns_sums(&r->columns, column);
    const int d = digits(&s);
    if (!s.n)
        return;
    fprintf(p->f, "<tr><th class=\"l\">%s</th>", name);
    fprintf(p->f, isfinite(s.last) ? "<td>%.*f</td>" : "<td>&#8211;</td>", d, s.last);
    fprintf(p->f, "<td>%.*f</td><td class=\"at\">%" PRId64 "</td><td>%.*f</td><td class=\"at\">%" PRId64 "</td><td>%.*f</td>"
                  "<td class=\"at\">", d, s.least, s.at_least, d, s.most,
            s.at_most, d, s.mean);
    if (s.bad)
        fprintf(p->f, "%" PRId64, s.bad);
    fprintf(p->f, "</td></tr>\n");
}

void part_figures(const Page *p)
{
    static const struct { int column; const char *name; } one[] = {
        { COL_LOSS, "loss" }, { COL_TEXT, "loss_text" }, { COL_VISUAL, "loss_visual" }, { COL_GRAD, "grad_norm" }, { COL_LR, "lr" },
        { COL_SAMPLES, "samples_per_s" }, { COL_TOKENS, "tokens_per_s" }, { COL_FLOPS, "flops_share" }, { COL_STEP, "t_step" }, { COL_DATA, "t_data" },
        { COL_FORWARD, "t_forward" }, { COL_BACKWARD, "t_backward" }, { COL_REDUCE, "t_reduce" }, { COL_OPTIM, "t_optim" },
        { COL_CKPT, "t_ckpt" }, { COL_RSS, "rss_mb" } };
    static const struct { int first; const char *name; } list[] = {
        { COL_DEPTH, "loss_visual_depth" }, { COL_USAGE, "code_usage" }, { COL_PERPLEXITY, "code_perplexity" } };
    char name[64];
    bool any = false;
    for (int i = 0; i < p->runs; i++)
        any |= p->run[i].columns.n > 0;
    if (!any)
        return;
    fprintf(p->f, "<section><h2>Figures</h2><div class=\"%s\">\n", p->runs > 1 ? "two" : "");
    for (int i = 0; i < p->runs; i++) {
        const ReportRun *r = &p->run[i];
        fprintf(p->f, "<div class=\"card scroll\"><table class=\"figures\"><caption>");
        page_run(p, i);
        fprintf(p->f, "</caption><thead><tr><th class=\"l\">of each step</th><th>last</th><th>least</th><th class=\"at\">at step</th><th>most</th>"
                      "<th class=\"at\">at step</th>"
                      "<th>mean</th><th class=\"at\">not finite</th></tr></thead><tbody>\n");
        for (size_t k = 0; k < sizeof one / sizeof *one; k++)
            figures_row(p, r, one[k].column, one[k].name);
        for (size_t k = 0; k < sizeof list / sizeof *list; k++)
            for (int d = 0; d < columns_list(&r->columns, list[k].first); d++) {
                snprintf(name, sizeof name, "%s[%d]", list[k].name, d);
                figures_row(p, r, list[k].first + d, name);
            }
        fprintf(p->f, "</tbody></table></div>\n");
    }
    fprintf(p->f, "</div></section>\n");
}

void page_write(const Page *p)
{
    fprintf(p->f, "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><meta name=\"color-scheme\" content=\"light dark\"/>\n"
                  "<link rel=\"icon\" href=\"data:,\"/><title>");
    for (int i = 0; i < p->runs; i++) {
        fputs(i ? ", " : "", p->f);
        markup_text(p->f, p->run[i].name);
    }
    fprintf(p->f, " - asvr report</title>\n<style>%s</style></head><body>\n", PAGE_STYLE);
    part_head(p);
    part_curves(p);
    part_eval(p);
    part_benchmarks(p);
    part_time(p);
    part_lives(p);
    part_figures(p);
    part_config(p);
    fprintf(p->f, "<script>%s</script>\n</body></html>\n", PAGE_SCRIPT);
}
