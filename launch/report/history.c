/* history.c -- a run's lives, the ranks that held it up, and what eval has found (page.h) */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/markup.h"
#include "launch/report/page.h"

enum { LIVES_SHOWN = 200 };

/* ---- lives ---- */

static void life_row(FILE *f, const Status *s, int i)
{
    const StoryLife *l = &s->story.life[i];
    LifeWords w;
    char word[UNIT_WORD];
    status_life(s, l, &w);
    fprintf(f, "<tr><td>%d</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td class=\"l\">", i + 1, w.began, w.ended, w.steps, w.lost,
            unit_span(l->spent[SPENT_STEPS], word));
    markup_text(f, w.job);
    fprintf(f, "</td><td><abbr title=\"");
    markup_text(f, l->nodes);
    fprintf(f, "\">%s</abbr></td><td>%d</td><td class=\"l why\">", w.nodes, l->ranks);
    markup_text(f, w.why);
    fprintf(f, "</td></tr>\n");
}

static void lives_table(const Page *p, int i)
{
    const Status *s = &p->run[i].status;
    const int n = s->story.lives, first = n > LIVES_SHOWN ? n - LIVES_SHOWN : 0;
    fprintf(p->f, "<div class=\"card scroll\"><table><caption>");
    page_run(p, i);
    fprintf(p->f, "</caption><thead><tr><th>life</th><th>started</th><th>ended</th><th>steps</th><th>lost</th><th>in steps</th><th class=\"l\">"
                  "job</th><th>nodes</th><th>ranks</th>"
                  "<th class=\"l\">why it ended</th></tr></thead><tbody>\n");
    for (int k = first; k < n; k++)
        life_row(p->f, s, k);
    fprintf(p->f, "</tbody></table>%s</div>\n", first ? "<p class=\"note\">The latest 200; <code>asvr status --json</code> has all.</p>" : "");
}

static void slow_table(const Page *p, int i)
{
    const Columns *c = &p->run[i].columns;
    const Story *x = &p->run[i].status.story;
    char when[UNIT_WORD];
    if (c->slows) {
        fprintf(p->f, "<div class=\"card scroll\"><table><caption>Stragglers ");
        page_run(p, i);
        fprintf(p->f, "</caption><thead><tr><th>rank</th><th class=\"l\">host</th><th class=\"l\">what</th><th>steps</th><th>first</th><th>last</th>"
                      "<th>worst</th></tr></thead><tbody>\n");
        for (int k = 0; k < c->slows; k++) {
            const Slow *w = &c->slow[k];
            fprintf(p->f, "<tr><td>%d</td><td class=\"l\">", w->rank);
            markup_text(p->f, w->host);
            fprintf(p->f, "</td><td class=\"l\">%s</td><td>%" PRId64 "</td><td>%" PRId64 "</td><td>%" PRId64 "</td><td>%.3g s</td></tr>\n",
                    w->link ? "its link" : "others wait for it", w->steps, w->first, w->last, w->worst);
        }
        fprintf(p->f, "</tbody></table></div>\n");
    }
    if (!x->hangs)
        return;
    fprintf(p->f, "<div class=\"card scroll\"><table><caption>Hangs ");
    page_run(p, i);
    fprintf(p->f, "</caption><thead><tr><th>when</th><th class=\"l\">what</th></tr></thead><tbody>\n");
    for (int k = 0; k < x->hangs && k < STORY_FOUND; k++) {
        fprintf(p->f, "<tr><td>%s</td><td class=\"l why\">", unit_date(x->hang[k].time, when));
        markup_text(p->f, x->hang[k].text);
        fprintf(p->f, "</td></tr>\n");
    }
    fprintf(p->f, "</tbody></table></div>\n");
}

void part_lives(const Page *p)
{
    bool any = false;
    for (int i = 0; i < p->runs; i++)
        any |= p->run[i].status.story.lives > 0;
    if (!any)
        return;
    fprintf(p->f, "<section><h2>Lives</h2>\n");
    for (int i = 0; i < p->runs; i++) {
        if (p->run[i].status.story.lives)
            lives_table(p, i);
        slow_table(p, i);
    }
    fprintf(p->f, "</section>\n");
}

/* ---- eval ---- */

static double number(const json_t *o, const char *key)
{
    const json_t *x = json_object_get(o, key);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

static void percent(FILE *f, const char *class, double x)
{
    if (isfinite(x))
        fprintf(f, "<td class=\"%s\">%.1f %%</td>", class, 100 * x);
    else
        fprintf(f, "<td class=\"%s\">&#8211;</td>", class);
}

/* Accuracy as a bar, with a stroke where the most frequent answer would be. */
static void task_row(FILE *f, const char *name, double accuracy, double baseline, double n)
{
    fprintf(f, "<tr><th class=\"l\">");
    markup_text(f, name);
    fprintf(f, "</th><td class=\"wide\"><span class=\"bar\"><span style=\"width:%.2f%%\"></span>", isfinite(accuracy) ? 100 * fmin(1, fmax(0, accuracy)) : 0);
    if (isfinite(baseline))
        fprintf(f, "<i style=\"left:%.2f%%\"></i>", 100 * fmin(1, fmax(0, baseline)));
    fprintf(f, "</span></td>");
    percent(f, "", accuracy);
    percent(f, "at", baseline);
    fprintf(f, "<td class=\"at\">");
    if (isfinite(n))
        fprintf(f, "%.0f", n);
    fprintf(f, "</td></tr>\n");
}

static void eval_table(const Page *p, int i)
{
    const json_t *o = p->run[i].eval, *tasks = json_object_get(o, "tasks");
    static const char *const figure[][2] = { { "step", "step" }, { "loss_text", "text loss" }, { "loss_visual", "visual loss" } };
    fprintf(p->f, "<div class=\"card scroll\"><table><caption>");
    page_run(p, i);
    for (size_t k = 0; k < sizeof figure / sizeof *figure; k++)
        if (isfinite(number(o, figure[k][0]))) {
            fprintf(p->f, "<span class=\"fact\">%s <b>", figure[k][1]);
            page_number(p->f, number(o, figure[k][0]));
            fprintf(p->f, "</b></span>");
        }
    fprintf(p->f, "</caption><thead><tr><th class=\"l\">task</th><th class=\"l wide\">accuracy</th><th></th><th class=\"at\">baseline</th>"
                  "<th class=\"at\">questions</th></tr></thead><tbody>\n");
    const char *key;
    json_t *task;
    json_object_foreach((json_t *)tasks, key, task)
        task_row(p->f, key, number(task, "accuracy"), number(task, "baseline"), number(task, "n"));
    if (isfinite(number(o, "retrieval")))
        task_row(p->f, "retrieval", number(o, "retrieval"), NAN, NAN);
    if (isfinite(number(o, "mean")))
        task_row(p->f, "mean", number(o, "mean"), NAN, NAN);
    fprintf(p->f, "</tbody></table><p class=\"note\">The stroke in a bar is the baseline: always giving the task's most frequent training answer.</p>"
                  "</div>\n");
}

static const json_t *task_of(const Page *p, int i, const char *key) { return json_object_get(json_object_get(p->run[i].eval, "tasks"), key); }

/* Accuracies of several runs side by side; tasks in the order of the run that has them first. */
static void compare(const Page *p)
{
    const char *key;
    json_t *task;
    fprintf(p->f, "<div class=\"card scroll\"><table><caption>Accuracies</caption><thead><tr><th class=\"l\">task</th>");
    for (int i = 0; i < p->runs; i++) {
        fprintf(p->f, "<th>");
        page_run(p, i);
        fprintf(p->f, "</th>");
    }
    fprintf(p->f, "</tr></thead><tbody>\n");
    for (int i = 0; i < p->runs; i++)
        json_object_foreach(json_object_get(p->run[i].eval, "tasks"), key, task) {
            bool told = false;
            for (int j = 0; j < i; j++)
                told |= task_of(p, j, key) != NULL;
            if (told)
                continue;
            fprintf(p->f, "<tr><th class=\"l\">");
            markup_text(p->f, key);
            fprintf(p->f, "</th>");
            for (int j = 0; j < p->runs; j++)
                percent(p->f, "", number(task_of(p, j, key), "accuracy"));
            fprintf(p->f, "</tr>\n");
        }
    fprintf(p->f, "<tr class=\"sum\"><th class=\"l\">mean</th>");
    for (int j = 0; j < p->runs; j++)
        percent(p->f, "", number(p->run[j].eval, "mean"));
    fprintf(p->f, "</tr></tbody></table></div>\n");
}

static void sheet(const Page *p, int i)
{
    const ReportRun *r = &p->run[i];
    char size[UNIT_WORD];
    if (!r->sheet_bytes)
        return;
    fprintf(p->f, "<figure class=\"card sheet\"><figcaption><b>Questions and answers</b> ");
    page_run(p, i);
    fprintf(p->f, "</figcaption>");
    if (r->sheet) {
        fprintf(p->f, "<img alt=\"pictures with the model&#39;s answers\" src=\"data:image/png;base64,");
        markup_base64(p->f, r->sheet, r->sheet_bytes);
        fprintf(p->f, "\"/>");
    } else {
        fprintf(p->f, "<p class=\"note\">eval.png has %s, too much for this page.</p>", unit_bytes((double)r->sheet_bytes, size));
    }
    fprintf(p->f, "</figure>\n");
}

void part_eval(const Page *p)
{
    int evals = 0;
    bool any = false;
    for (int i = 0; i < p->runs; i++) {
        evals += p->run[i].eval != NULL;
        any |= p->run[i].eval || p->run[i].sheet_bytes;
    }
    if (!any)
        return;
    fprintf(p->f, "<section><h2>Evaluation</h2>\n");
    if (evals > 1)
        compare(p);
    fprintf(p->f, "<div class=\"two\">\n");
    for (int i = 0; i < p->runs; i++) {
        if (p->run[i].eval)
            eval_table(p, i);
        sheet(p, i);
    }
    fprintf(p->f, "</div>");
    fprintf(p->f, "</section>\n");
}
