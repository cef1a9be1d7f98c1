/* kitsfiles.c -- what an evaluation leaves behind: RUN/eval/NAME/{prediction.tsv, from_log/TASK.json, scores.json}, RUN/eval.json, RUN/benchmarks.jsonl */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/base/json.h"
#include "launch/benchmarks.h"
#include "launch/kits/kits.h"

static bool path_of(const Kits *k, const Table *t, const char *name, char path[PATH_ROOM], Err *e)
{
    return path_set(path, e, "%s/eval/%s%s%s", k->r.c->run.dir, t->name, name[0] ? "/" : "", name);
}

/* The table without its pictures, and what was answered: fields as they were written. */
static bool write_predictions(const Kits *k, const Table *t, char *const *said, Err *e)
{
    char path[PATH_ROOM];
    TsvText out = { 0 }, field = { 0 };
    if (!path_of(k, t, "prediction.tsv", path, e))
        return false;
    for (int c = 0; c < t->tsv.cols; c++)
        if (c != t->image) {
            tsv_put(&out, t->tsv.name[c], strlen(t->tsv.name[c]));
            tsv_add(&out, "\t", 1);
        }
    tsv_add(&out, "prediction\n", 11);
    for (int64_t i = 0; i < t->asked && !e->code; i++) {
        const int64_t row = t->row[i];
        for (int c = 0; c < t->tsv.cols && !e->code; c++)
            if (c != t->image && tsv_bytes(&t->tsv, row, c, &field, e)) {
                tsv_put(&out, field.bytes, field.n);
                tsv_add(&out, "\t", 1);
            }
        tsv_put(&out, said[row], strlen(said[row]));
        tsv_add(&out, "\n", 1);
    }
    const bool ok = !e->code && file_replace(path, out.bytes, out.n, e);
    tsv_text_free(&out);
    tsv_text_free(&field);
    return ok;
}

/* What lmms-eval's model from_log reads: args.model, args.model_args, args.limit, model_configs.task, logs[].doc_id, logs[].resps. */
static bool write_log(const Kits *k, const Table *t, char *const *said, Err *e)
{
    char path[PATH_ROOM], name[160], args[64];
    Pad pad = { 0 };
    const char *task = kinds[t->kind].task[0] ? kinds[t->kind].task : t->name;
    snprintf(name, sizeof name, "from_log/%s.json", task);
    snprintf(args, sizeof args, "step=%lld,weights=%016llx", (long long)k->step, (unsigned long long)k->weights);
    json_t *logs = json_array();
    for (int64_t i = 0; i < t->asked && !e->code; i++) {
        const int64_t row = t->row[i];
        const char *target = table_text(t, row, t->answer, &pad, e), *index = table_text(t, row, t->index, &pad, e);
        if (target && index)
            json_array_append_new(logs, json_pack("{s:I, s:o, s:o, s:[[o]], s:[o]}", "doc_id", (json_int_t)row, "index", json_text(index), "target",
                                                  json_text(target), "resps", json_text(said[row]), "filtered_resps", json_text(said[row])));
    }
    pad_clear(&pad);
    json_t *root = json_pack("{s:{s:s, s:s, s:n}, s:{s:s}, s:o}", "args", "model", "asvr", "model_args", args, "limit",
                             "model_configs", "task", task, "logs", logs);
    CHECK(root, "no memory for a log of %lld answers", (long long)t->asked);
    char folder[PATH_ROOM];
    if (!e->code && path_of(k, t, "from_log", folder, e) && dir_make(folder, e) && path_of(k, t, name, path, e))
        return json_write_rows(path, root, 17, e);
    json_decref(root);
    return false;
}

static json_t *score_json(const Table *t, const Score *s)
{
    json_t *o = json_pack("{s:s, s:o, s:s, s:I}", "kind", kinds[t->kind].name, "score", json_or_null(s->score), "of", kinds[t->kind].score, "n", (json_int_t)s->n);
    if (s->lmms)
        json_object_set(o, "lmms-eval", s->lmms);
    if (s->vlm)
        json_object_set(o, "VLMEvalKit", s->vlm);
    return o;
}

bool kits_write_scores(const Kits *k, const Table *t, const Score *s, Err *e)
{
    char folder[PATH_ROOM], path[PATH_ROOM];
    return path_of(k, t, "", folder, e) && dir_make(folder, e) && path_of(k, t, "scores.json", path, e) && json_write(path, score_json(t, s), 17, e);
}

bool kits_write(const Kits *k, const Table *t, char *const *said, const Score *s, Err *e)
{
    return write_predictions(k, t, said, e) && write_log(k, t, said, e) && kits_write_scores(k, t, s, e);
}

/* The file as it is, if it is of this step: its other groups stay. */
static bool write_newest(const Kits *k, json_t *found, Err *e)
{
    char path[PATH_ROOM];
    if (!path_set(path, e, "%s/eval.json", k->r.c->run.dir))
        return false;
    json_t *root = json_load_file(path, 0, NULL);
    const json_t *step = json_object_get(root, "step");
    if (!json_is_integer(step) || json_integer_value(step) != k->step) {
        json_decref(root);
        root = json_pack("{s:I, s:n, s:n, s:n, s:{}}", "step", (json_int_t)k->step, "loss_text", "loss_visual", "mean", "tasks");
    }
    json_t *all = json_object_get(root, "benchmarks");
    if (!json_is_object(all)) {
        all = json_object();
        json_object_set_new(root, "benchmarks", all);
    }
    json_object_update(all, found);
    return json_write_rows(path, root, 9, e);
}

bool kits_write_json(const Kits *k, Err *e)
{
    const Config *c = k->r.c;
    char weights[17];
    struct timespec t;
    json_t *found = json_object();
    clock_gettime(CLOCK_REALTIME, &t);
    snprintf(weights, sizeof weights, "%016llx", (unsigned long long)k->weights);
    for (int i = 0; i < k->tables; i++)
        json_set(found, k->table[i].name, score_json(&k->table[i], &k->score[i]));
    json_t *line = json_pack("{s:I, s:f, s:s, s:O}", "step", (json_int_t)k->step, "time", (double)t.tv_sec + 1e-9 * (double)t.tv_nsec,
                             "weights", weights, "benchmarks", found);
    CHECK(line, "no memory for JSON");
    const int fd = benchmarks_open(c->run.dir, e);
    bool ok = fd >= 0 && write_newest(k, found, e);
    json_decref(found);
    if (ok)
        ok = benchmarks_append(fd, c->run.dir, line, e) && (!c->run.tensorboard || benchmarks_events(c->run.dir, e));
    else
        json_decref(line);
    if (fd >= 0)
        file_close(fd);
    return ok;
}

static void print_row(const Kits *k, int i)
{
    const Table *t = &k->table[i];
    const bool named = t->later || t->kind >= KIND_CHOICE;
    char score[16] = "-", file[140] = "";
    if (isfinite(k->score[i].score))
        snprintf(score, sizeof score, "%.1f %%", 100 * k->score[i].score);
    if (k->folder && !named)
        snprintf(file, sizeof file, "  (%s)", t->name);
    printf("%-16s %8s  %9lld  %s%s\n", named ? t->name : kinds[t->kind].column, score, (long long)k->score[i].n,
           isfinite(k->score[i].score) ? kinds[t->kind].score : "nothing to score: answers are not in the table", file);
}

void kits_print(const Kits *k)
{
    double sum = 0;
    int there = 0;
    char lacks[256] = "";
    printf("\n%-16s %8s  %9s\n", "benchmark", "score", "questions");
    for (int kind = 0; kind < PAPER; kind++) {    /* the paper's columns in its order */
        bool shown = false;
        for (int i = 0; i < k->tables; i++)
            if (k->table[i].kind == (Kind)kind && !k->table[i].later) {
                print_row(k, i);
                shown = isfinite(k->score[i].score);
                sum += shown ? k->score[i].score : 0;
                there += shown;
            }
        if (!shown)
            snprintf(lacks + strlen(lacks), sizeof lacks - strlen(lacks), "%s%s", lacks[0] ? ", " : "", kinds[kind].column);
    }
    if (k->folder && there == PAPER)
        printf("%-16s %6.1f %%             plain mean of the %d\n", "AVG", 100 * sum / there, there);
    else if (k->folder && there)
        printf("%-16s %6.1f %%             plain mean of %d of the paper's %d benchmarks; there is no score of %s\n", "AVG", 100 * sum / there, there, PAPER, lacks);
    for (int i = 0; i < k->tables; i++)                 /* and what else there is */
        if (k->table[i].later || (int)k->table[i].kind >= PAPER)
            print_row(k, i);
}

/* ---- predictions that others made ---- */

typedef struct { char *index; int64_t row; } Entry;
static int by_index(const void *a, const void *b) { return strcmp(((const Entry *)a)->index, ((const Entry *)b)->index); }

static Entry *read_entries(const Tsv *p, int col, Pad *pad, Err *e)
{
    TsvText text = { 0 };
    Entry *entry = calloc((size_t)p->rows + 1, sizeof *entry);
    CHECK(entry, "no memory for %lld predictions", (long long)p->rows);
    for (int64_t i = 0; i < p->rows && tsv_text(p, i, col, &text, e); i++)
        entry[i] = (Entry){ pad_text(pad, text.bytes, text.n), i };
    tsv_text_free(&text);
    if (e->code)
        return entry;
    qsort(entry, (size_t)p->rows, sizeof *entry, by_index);
    for (int64_t i = 1; i < p->rows; i++)
        if (!strcmp(entry[i].index, entry[i - 1].index)) {
            tsv_wrong(p, max64(entry[i].row, entry[i - 1].row), col, e, "", "index \"%.60s\" is there twice", entry[i].index);
            break;
        }
    return entry;
}

bool kits_read_predictions(const Table *t, const char *path, char **said, Pad *pad, Err *e)
{
    Tsv p;
    TsvText text = { 0 };
    Entry *entry = NULL;
    if (tsv_open(&p, path, e) && tsv_index(&p, e)) {
        table_warn(&p);
        const int index = tsv_column(&p, "index"), prediction = tsv_column(&p, "prediction");
        if (index < 0 || prediction < 0)
            err_set(e, EXIT_DATA, path, "", "predictions need the columns index and prediction");
        else
            entry = read_entries(&p, index, pad, e);
        for (int64_t i = 0; i < t->asked && !e->code; i++) {
            Entry *at, want = { table_text(t, t->row[i], t->index, pad, e), 0 };
            if (!want.index)
                break;
            at = bsearch(&want, entry, (size_t)p.rows, sizeof *entry, by_index);
            if (!at)
                err_set(e, EXIT_DATA, path, "the predictions are of another table, or of a part of it", "there is no prediction for index \"%.60s\" (row %lld of %.200s)",
                        want.index, (long long)t->row[i] + 1, t->tsv.path);
            else if (tsv_text(&p, at->row, prediction, &text, e))
                said[t->row[i]] = pad_text(pad, text.bytes, text.n);
        }
    }
    free(entry);
    tsv_text_free(&text);
    tsv_close(&p);
    return !e->code;
}
