/* found.c -- what an evaluation has found, told: numbers, table, JSON, contact sheet (evaluate.h) */
#include "launch/eval/found.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/base/files.h"
#include "io/base/json.h"

static double share(double a, double b) { return b > 0 ? a / b : 0; }

static bool known(const Evaluation *v, int t) { return t < v->answers && v->common[t][0]; }

/* The means of the tasks' accuracies and of their baselines; NAN where there is none. */
static void means(const Evaluation *v, double *accuracy, double *baseline)
{
    double n = 0, k = 0, sum[2] = { 0 };
    for (int t = 0; t < v->tasks; t++) {
        const Mark *m = &v->mark[t];
        if (m->n == 0)
            continue;
        sum[0] += m->right / m->n;
        n++;
        if (known(v, t)) {
            sum[1] += m->baseline / m->n;
            k++;
        }
    }
    *accuracy = n > 0 ? sum[0] / n : NAN;
    *baseline = k > 0 ? sum[1] / k : NAN;
}

int64_t evaluate_samples(const Evaluation *v) { return v->samples; }
int evaluate_tasks(const Evaluation *v) { return v->tasks; }

double evaluate_value(const Evaluation *v, const char *name)
{
    double mean, baseline;
    if (v->skipped == v->samples)                           /* nothing could be read: that is no loss of 0 */
        return NAN;
    means(v, &mean, &baseline);
    if (!strcmp(name, "mean"))
        return mean;
    if (!strcmp(name, "loss_text"))
        return share(v->sum.text, v->sum.n_text);
    if (!strcmp(name, "loss_visual"))
        return model_visual_loss(&v->model, &v->sum);
    return model_loss(&v->model, &v->sum);
}

/* ---- on the terminal ---- */

static void print_losses(const Evaluation *v, int64_t step)
{
    const Model *m = &v->model;
    const Losses *s = &v->sum;
    double depth[BRANCHES * MAX_DEPTH];
    const int depths = model_visual_depths(m, s, depth);
    printf("\nstep %lld, %lld samples\n", (long long)step, (long long)v->samples);
    if (m->c.stage == STAGE_CONTRAST)
        printf("contrastive loss %.4f; own caption nearest among %d: %.1f %%\n", share(s->contrast, s->pairs),
               m->c.micro_batch, 100 * share(v->own.nearest, v->own.pairs));
    if (m->c.stage == STAGE_TOKENIZER && s->n_distill > 0)
        printf("distance to the vision tower's features %.4f, to what they pool to %.4f, to the codes %.4f\n",
               s->distill / s->n_distill, s->pooled / s->n_distill, s->commit / s->n_distill);
    if (m->c.stage == STAGE_TOKENIZER)
        for (int k = 0; k < depths; k++)
            printf("%senergy left after depth %d: %.1f %%\n", k < m->c.codes_depth ? "" : "appearance: ", k % m->c.codes_depth + 1,
                   100 * depth[k]);
    if (m->c.stage >= STAGE_PRETRAIN)
        printf("text loss %.4f\n", share(s->text, s->n_text));
    if (m->c.stage >= STAGE_PRETRAIN && model_has(m, PART_DENOISER))
        printf("visual loss %.4f (of noise of variance 1)\n", model_visual_loss(m, s));
    else if (m->c.stage >= STAGE_PRETRAIN && depths) {
        printf("visual loss %.4f (by depth", model_visual_loss(m, s));
        for (int k = 0; k < depths; k++)
            printf("%s %.3f", k == m->c.codes_depth ? "; appearance" : "", depth[k]);
        printf("; chance %.3f)\n", log(m->c.codes_size));
    }
}

static void print_task(const Evaluation *v, int t)
{
    const Mark *m = &v->mark[t];
    const double a = 100 * share(m->right, m->n), b = 100 * share(m->baseline, m->n);
    char bar[26] = "";
    for (int i = 0; i < 25 && i < (int)(a / 4); i++)
        strcat(bar, known(v, t) && i < (int)(b / 4) ? "-" : "#");
    if (known(v, t))
        printf("%-14s %6.1f %% %7.1f %% %+6.1f %6.0f  %s\n", v->task[t], a, b, a - b, m->n, bar);
    else
        printf("%-14s %6.1f %% %9s %6s %6.0f  %s\n", v->task[t], a, "-", "-", m->n, bar);
}

static void print_tasks(const Evaluation *v)
{
    int above = 0, unknown = 0;
    double a, b, n = 0;
    printf("\n%-14s %8s %9s %6s %6s\n", "task", "accuracy", "baseline", "gain", "n");
    for (int t = 0; t < v->tasks; t++) {
        const Mark *m = &v->mark[t];
        above += known(v, t) && 100 * share(m->right, m->n) >= 100 * share(m->baseline, m->n) + 5;
        unknown += !known(v, t);
        n += m->n;
        print_task(v, t);
    }
    means(v, &a, &b);
    a *= 100, b *= 100;
    if (unknown == v->tasks)
        printf("%-14s %6.1f %%\n", "mean", a);
    else
        printf("%-14s %6.1f %% %7.1f %% %+6.1f         %d of %d tasks 5 points or more above\n", "mean", a, b, a - b, above, v->tasks);
    printf("baseline: always giving the task's most frequent training answer\n");
    if (unknown)
        printf("-: no training record of the task has an answer\n");
    if (n < (double)v->samples)
        printf("%.0f of the %lld samples ask a question with a known answer\n", n, (long long)v->samples);
    printf("\n");
    for (int i = 0; i < v->n_shown && i < 12; i++) {
        const Shown *x = &v->shown[i];
        printf("  %-52s %-16s %s%s\n", x->question, x->answer, x->good ? "" : "  right: ", x->good ? "" : x->right);
    }
}

void evaluate_print(const Evaluation *v, int64_t step)
{
    print_losses(v, step);
    if (v->tasks)
        print_tasks(v);
}

/* ---- in files ---- */

void evaluate_json(const Evaluation *v, json_t *o)
{
    json_t *tasks = json_object();
    double mean, baseline;
    means(v, &mean, &baseline);
    json_set(o, "loss_text", json_or_null(evaluate_value(v, "loss_text")));
    json_set(o, "loss_visual", json_or_null(evaluate_value(v, "loss_visual")));
    if (v->own.pairs > 0)
        json_set(o, "retrieval", json_or_null(share(v->own.nearest, v->own.pairs)));
    json_set(o, "mean", json_or_null(v->tasks ? mean : 0));
    for (int t = 0; t < v->tasks; t++) {
        const Mark *m = &v->mark[t];
        json_set(tasks, v->task[t], json_pack("{s:o, s:o, s:I}", "accuracy", json_or_null(share(m->right, m->n)), "baseline",
                                              json_or_null(known(v, t) ? share(m->baseline, m->n) : NAN), "n", (json_int_t)m->n));
    }
    json_set(o, "tasks", tasks);
}

bool evaluate_write(const Evaluation *v, int64_t step, Err *e)
{
    char path[PATH_ROOM];
    if (!path_set(path, e, "%s/eval.json", v->r->c->run.dir))
        return false;
    json_t *root = json_pack("{s:I}", "step", (json_int_t)step);
    CHECK(root, "no memory for JSON");
    evaluate_json(v, root);
    json_t *before = json_load_file(path, 0, NULL), *tables = json_object_get(before, "benchmarks");
    if (tables && json_integer_value(json_object_get(before, "step")) == step)      /* of the same weights: they stay */
        json_object_set(root, "benchmarks", tables);
    json_decref(before);
    return json_write_rows(path, root, 9, e);
}

bool evaluate_sheet(const Evaluation *v, Err *e)
{
    char path[PATH_ROOM];
    const char *dir = v->r->c->run.dir;
    printf("\n%s/eval.json%s", dir, v->n_shown ? "" : "\n");
    if (!v->n_shown)
        return true;
    if (!path_set(path, e, "%s/eval.png", dir) || !sheet_write(path, v->shown, v->n_shown, config_picture(v->r->c), e))
        return false;
    printf("  %s\n", path);
    return true;
}
