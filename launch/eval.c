/* eval.c -- `asvr eval`: losses and accuracies on held-out shards -> a table, RUN/eval.json, RUN/eval.png */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops.h"
#include "dist/comm.h"
#include "io/base/files.h"
#include "io/base/json.h"
#include "launch/eval/generate.h"
#include "io/set/gather.h"
#include "io/set/order.h"
#include "launch/run.h"
#include "launch/eval/sheet.h"
#include "launch/verbs.h"

enum { SHOWN = 20 };

/* Of one task: questions, right answers, and those that its most frequent training answer would have got right. */
typedef struct { double n, right, baseline; } Mark;

typedef struct {
    Run          r;
    ShardReader *reader;
    Gather       batch;
    Generator    generator;
    int64_t      step, samples;
    int          tasks, answers;           /* answers: of the first so many tasks the most frequent one is known */
    char       **task, **common;           /* names, and each one's most frequent training answer */
    Mark        *mark;                     /* (tasks) */
    struct { double pairs, nearest; } own; /* contrast: pictures, and those whose own caption is the nearest */
    Losses       sum;
    Shown        shown[SHOWN];
    int          n_shown;
} Eval;

/* The pieces of text between separators; the list and its first entry, which holds all of them, are to be freed. */
static char **split(const char *text, char at, int *n)
{
    size_t most = 1;
    for (const char *s = text; *s; s++)
        most += *s == at;
    char **list = calloc(most, sizeof *list);
    CHECK(list && (list[0] = strdup(text)), "no memory for a list of %zu texts", most);
    *n = 0;
    for (char *s = list[0]; s && *s; ) {
        list[(*n)++] = s;
        s = strchr(s, at);
        if (s)
            *s++ = '\0';
    }
    return list;
}

static void split_free(char **list)
{
    if (list)
        free(list[0]);
    free(list);
}

/* Evaluation shards name their tasks, as many as they like. */
static void open_tasks(Eval *v, const ShardMeta *m)
{
    v->task = split(m->tasks, ',', &v->tasks);
    v->common = split(m->baseline, '\n', &v->answers);
    v->mark = calloc((size_t)v->tasks + 1, sizeof *v->mark);
    CHECK(v->mark, "no memory for the marks of %d tasks", v->tasks);
}

static bool open_eval(Eval *v, const Config *c, Err *e)
{
    Run *r = &v->r;
    if ((c->text.model[0] && !run_text(r, e)) || !run_shards(r, SPLIT_VAL, e))
        return false;
    const RunShape shape = run_shape(r, false);
    if (!run_model(r, &shape, e) || !run_weights(r, &v->step, e) || !run_codes_match(r, e))
        return false;
    const ShardMeta *m = shards_meta(r->shards);
    v->samples = c->eval.samples ? min64(c->eval.samples, m->samples) : m->samples;
    if (m->eval && c->train.stage >= STAGE_PRETRAIN)
        open_tasks(v, m);
    const GatherRoom room = gather_room(r->shards, shape.micro_batch, shape.max_images);
    gather_open(&v->batch, &room);
    v->reader = reader_open(r->shards);
    reader_limits(v->reader, c->model.decoder.vocab, c->model.codes.size);
    const int kind = template_find(m->template_);
    if (v->tasks && kind < 0) {
        err_got(e, "\"%s\"", m->template_);
        err_set(e, EXIT_DATA, "data.set", "", "the shards are of an unknown template");
    } else if (v->tasks) {
        const GeneratorShape g = { .slots = 1, .max_len = c->model.decoder.max_len, .max_new = c->chat.max_new, .template_ = kind };
        generate_open(&v->generator, &r->model, &r->tape, r->text, &g);
    }
    return run_agree(r, e);
}

/* Losses of what was gathered; each micro-batch is its own global batch here, since sums are what is added up. */
static void flush(Eval *v)
{
    Model *m = &v->r.model;
    Tape *t = &v->r.tape;
    const Batch *b = gather_batch(&v->batch);
    Losses one = { .n_text = 1, .n_visual = 1, .pairs = 1 };
    if (b->B == 0)
        return;
    model_forward(m, t, b, &one, &v->sum);
    if (m->c.stage == STAGE_CONTRAST) {                     /* pairs: the sequences that have a picture */
        v->own.pairs += b->I;
        for (int32_t i = 0, nearest; i < b->I; i++) {
            op.pick(&nearest, t->contrast.z + (int64_t)i * b->I, b->I, 0, 0);
            v->own.nearest += nearest == i;
        }
    }
    gather_clear(&v->batch);
}

/* Puts the sample's question to the model and marks what it says. */
static void mark(Eval *v, const Sample *s)
{
    Shown it;
    snprintf(it.right, sizeof it.right, "%.*s", s->answer_len, s->answer);
    const Request q = generate_sample(&v->generator, s, it.question, sizeof it.question);
    generate_prompt(&v->generator, &q, it.answer, sizeof it.answer);
    const int t = s->task;
    const bool right = strcmp(it.answer, it.right) == 0;
    v->mark[t].n++;
    v->mark[t].right += right;
    v->mark[t].baseline += t < v->answers && strcmp(v->common[t], it.right) == 0;
    if (v->r.grid.rank != 0 || v->n_shown == SHOWN || s->n_images == 0)
        return;
    int same = 0;
    for (int i = 0; i < v->n_shown; i++)
        same += v->shown[i].task == t;
    if (same > v->n_shown / v->tasks)                   /* one of each task before the second of any */
        return;
    const size_t picture = (size_t)config_picture(v->r.c) * (size_t)config_picture(v->r.c) * 3;
    it.task = t;
    it.pixels = malloc(picture);
    CHECK(it.pixels, "no memory for a picture");
    memcpy(it.pixels, s->pixels, picture);
    v->shown[v->n_shown++] = it;
}

/* Fewer samples than there are: drawn over all of them, the same on any number of ranks. */
static int64_t which(const Eval *v, int64_t i)
{
    const int64_t all = shards_meta(v->r.shards)->samples;
    return v->samples == all ? i : order_sample(all, (uint64_t)v->r.c->run.seed, i);
}

static bool evaluate(Eval *v, Err *e)
{
    const int64_t ranks = v->r.grid.dp_size;
    int failed = 0;
    for (int64_t i = v->r.grid.dp_rank; i < v->samples; i += ranks) {
        Sample s;
        failed = comm_agree(v->r.grid.tp, reader_sample(v->reader, which(v, i), &s, e) ? 0 : 1);
        if (failed)
            break;                                      /* the ranks of a replica go on together or not at all */
        if (v->tasks)
            mark(v, &s);
        if (!gather_add(&v->batch, &s, i)) {
            flush(v);
            gather_add(&v->batch, &s, i);
        }
    }
    if (!failed)
        flush(v);
    comm_sum_f64(v->r.grid.dp, (double *)&v->sum, sizeof v->sum / sizeof(double));
    comm_sum_f64(v->r.grid.dp, (double *)&v->own, sizeof v->own / sizeof(double));
    comm_sum_f64(v->r.grid.dp, (double *)v->mark, v->tasks * (int64_t)(sizeof *v->mark / sizeof(double)));
    return run_agree(&v->r, e);
}

static double share(double a, double b) { return b > 0 ? a / b : 0; }

static void print_losses(const Eval *v)
{
    const Model *m = &v->r.model;
    const Losses *s = &v->sum;
    double depth[BRANCHES * MAX_DEPTH];
    const int depths = model_visual_depths(m, s, depth);
    printf("\nstep %lld, %lld samples\n", (long long)v->step, (long long)v->samples);
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

/* The means of the tasks' accuracies and of their baselines. */
static void means(const Eval *v, double *accuracy, double *baseline)
{
    double n = 0, sum[2] = { 0 };
    for (const Mark *m = v->mark; m < v->mark + v->tasks; m++)
        if (m->n > 0) {
            sum[0] += m->right / m->n;
            sum[1] += m->baseline / m->n;
            n++;
        }
    *accuracy = share(sum[0], n);
    *baseline = share(sum[1], n);
}

static void print_tasks(const Eval *v)
{
    int above = 0;
    double a, b;
    printf("\n%-14s %8s %9s %6s %6s\n", "task", "accuracy", "baseline", "gain", "n");
    for (int t = 0; t < v->tasks; t++) {
        const Mark *m = &v->mark[t];
        a = 100 * share(m->right, m->n), b = 100 * share(m->baseline, m->n);
        char bar[26] = "";
        for (int i = 0; i < 25 && i < (int)(a / 4); i++)
            strcat(bar, i < (int)(b / 4) ? "-" : "#");
        above += a >= b + 5;
        printf("%-14s %6.1f %% %7.1f %% %+6.1f %6.0f  %s\n", v->task[t], a, b, a - b, m->n, bar);
    }
    means(v, &a, &b);
    a *= 100, b *= 100;
    printf("%-14s %6.1f %% %7.1f %% %+6.1f         %d of %d tasks 5 points or more above\n", "mean", a, b, a - b, above, v->tasks);
    printf("baseline: always giving the task's most frequent training answer\n\n");
    for (int i = 0; i < v->n_shown && i < 12; i++) {
        const Shown *x = &v->shown[i];
        const bool right = strcmp(x->answer, x->right) == 0;
        printf("  %-52s %-16s %s%s\n", x->question, x->answer, right ? "" : "  right: ", right ? "" : x->right);
    }
}

static bool write_json(const Eval *v, Err *e)
{
    char path[PATH_ROOM];
    const Losses *l = &v->sum;
    double mean, baseline;
    if (!path_set(path, e, "%s/eval.json", v->r.c->run.dir))
        return false;
    json_t *tasks = json_object();
    json_t *root = json_pack("{s:I, s:o, s:o}", "step", (json_int_t)v->step, "loss_text", json_or_null(share(l->text, l->n_text)),
                             "loss_visual", json_or_null(model_visual_loss(&v->r.model, l)));
    if (v->own.pairs > 0)
        json_object_set_new(root, "retrieval", json_or_null(share(v->own.nearest, v->own.pairs)));
    means(v, &mean, &baseline);
    json_object_set_new(root, "mean", json_or_null(mean));
    for (int t = 0; t < v->tasks; t++) {
        const Mark *m = &v->mark[t];
        json_set(tasks, v->task[t], json_pack("{s:o, s:o, s:I}", "accuracy", json_or_null(share(m->right, m->n)), "baseline",
                                              json_or_null(share(m->baseline, m->n)), "n", (json_int_t)m->n));
    }
    json_object_set_new(root, "tasks", tasks);
    return json_write_rows(path, root, 9, e);
}

static void report(Eval *v, Err *e)
{
    char path[PATH_ROOM];
    print_losses(v);
    if (v->tasks)
        print_tasks(v);
    if (!write_json(v, e))
        return;
    printf("\n%s/eval.json%s", v->r.c->run.dir, v->n_shown ? "" : "\n");
    if (v->n_shown) {
        if (path_set(path, e, "%s/eval.png", v->r.c->run.dir) && sheet_write(path, v->shown, v->n_shown, config_picture(v->r.c), e))
            printf("  %s\n", path);
    }
}

int eval_main(const Config *c)
{
    Eval *v = calloc(1, sizeof *v);
    Err e = { 0 };
    CHECK(v, "no memory for the evaluation");
    run_open(&v->r, c, c->parallel.tp);
    bool ok = open_eval(v, c, &e) && evaluate(v, &e);
    if (ok && v->r.grid.rank == 0)
        report(v, &e);
    ok = run_agree(&v->r, &e);
    if (!ok && v->r.grid.rank == 0)
        log_error(&e);
    for (int i = 0; i < v->n_shown; i++)
        free(v->shown[i].pixels);
    generate_close(&v->generator);
    if (v->reader)
        reader_close(v->reader);
    gather_close(&v->batch);
    split_free(v->task);
    split_free(v->common);
    free(v->mark);
    run_close(&v->r);
    free(v);
    return ok ? EXIT_DONE : e.code;
}
