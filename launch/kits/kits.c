#include "launch/kits/kits.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "dist/comm.h"

/* Raised when questions are put otherwise: answers that were kept are of the older way. */
enum { PROMPTS = 1, TABLES = 256 };

typedef struct { int n; char path[TABLES][PATH_ROOM]; } Paths;

static int by_path(const void *a, const void *b) { return strcmp(a, b); }

/* Rank 0: the tables that eval.tsv means. */
static void find_tables(Kits *k, Paths *p, Err *e)
{
    const char *named = k->r.c->eval.tsv;
    struct stat st;
    DIR *d = stat(named, &st) == 0 && S_ISDIR(st.st_mode) ? opendir(named) : NULL;
    if (!d) {
        path_set(p->path[p->n++], e, "%s", named);
        return;
    }
    k->folder = true;
    for (struct dirent *entry; (entry = readdir(d)) && !e->code; ) {
        const size_t n = strlen(entry->d_name);
        if (n < 5 || entry->d_name[0] == '.' || strcmp(entry->d_name + n - 4, ".tsv"))
            continue;
        if (p->n == TABLES)
            err_set(e, EXIT_DATA, named, "", "more than %d tables in the folder", TABLES);
        else
            path_set(p->path[p->n++], e, "%s%s%s", named, named[strlen(named) - 1] == '/' ? "" : "/", entry->d_name);
    }
    closedir(d);
    qsort(p->path, (size_t)p->n, PATH_ROOM, by_path);
    if (p->n == 0)
        err_set(e, EXIT_DATA, named, "VLMEvalKit's tables, as MMBench_DEV_EN.tsv", "no *.tsv in the folder");
}

static bool open_tables(Kits *k, Err *e)
{
    const Config *c = k->r.c;
    Paths *p = calloc(1, sizeof *p);
    CHECK(p, "no memory for the names of tables");
    if (k->r.grid.rank == 0)
        find_tables(k, p, e);
    bool ok = run_agree(&k->r, e);
    if (ok) {
        comm_bcast(k->r.grid.world, &p->n, sizeof p->n, 0);
        comm_bcast(k->r.grid.world, p->path, (size_t)p->n * PATH_ROOM, 0);
        comm_bcast(k->r.grid.world, &k->folder, sizeof k->folder, 0);
        k->table = calloc((size_t)p->n, sizeof *k->table);
        k->score = calloc((size_t)p->n, sizeof *k->score);
        CHECK(k->table && k->score, "no memory for %d tables", p->n);
    }
    for (int i = 0; i < p->n && ok; i++) {
        Table *t = &k->table[k->tables++];
        ok = table_open(t, &k->r, p->path[i], c->eval.kind ? (Kind)(c->eval.kind - 1) : kind_of_file(p->path[i]), e);
        for (int j = 0; j < i; j++) {
            t->later |= k->table[j].kind == t->kind;
            if (ok && !strcmp(k->table[j].name, t->name))
                ok = err_set(e, EXIT_DATA, p->path[i], "", "two tables of that name");
        }
    }
    free(p);
    return run_agree(&k->r, e);
}

static bool open_model(Kits *k, Err *e)
{
    Run *r = &k->r;
    const Config *c = r->c;
    int images = 1;
    for (int i = 0; i < k->tables; i++)
        images = k->table[i].images > images ? k->table[i].images : images;
    const RunShape shape = { .stage = STAGE_INSTRUCT, .codes_given = c->model.codes.depth, .micro_batch = 1, .max_images = images, .max_len = 1,
                             .answers = c->eval.batch, .answers_by = "eval.batch" };
    if (!run_text(r, e) || !run_model(r, &shape, e) || !run_weights_of(r, c->eval.from[0] ? c->eval.from : c->run.dir, &k->step, e))
        return false;
    const GeneratorShape g = { .slots = c->eval.batch, .max_len = c->model.decoder.max_len, .max_new = c->chat.max_new, .template_ = c->data.template };
    generate_open(&k->g, &r->model, &r->tape, r->text, &g);
    k->said = malloc(KITS_ANSWER);
    k->slot_row = calloc((size_t)g.slots, sizeof *k->slot_row);
    CHECK(k->said && k->slot_row, "no memory for %d answers", g.slots);
    const ImageOps *ops = image_ops(e);
    if (ops)
        ops->allow(c->data.max_pixels);
    k->weights = run_fingerprint(r, NULL);
    model_pack(&r->model);
    return run_agree(r, e);
}

/* What answers depend on. */
static uint64_t identity(const Kits *k, const Table *t)
{
    const Config *c = k->r.c;
    char text[2048];
    const int n = snprintf(text, sizeof text, "%d %016llx %016llx %s %s|%s|%d %d %d %d %d|%.1024s", PROMPTS, (unsigned long long)t->tsv.hash,
                           (unsigned long long)k->weights, kinds[t->kind].name, kinds[t->kind].ask, templates[c->data.template].name, config_picture(c),
                           config_fit(c), c->model.decoder.max_len, c->chat.max_new, c->train.compute, c->data.system);
    return XXH64(text, (size_t)n, 0);
}

static bool score(Kits *k, int which, char *const *said, Err *e)
{
    const Table *t = &k->table[which];
    Pad pad = { 0 };
    Asked *a = calloc((size_t)t->asked + 1, sizeof *a);
    CHECK(a, "no memory for %lld questions", (long long)t->asked);
    for (int64_t i = 0; i < t->asked && !e->code; i++) {
        const int64_t row = t->row[i];
        a[i] = (Asked){ .row = row, .prediction = said[row], .index = table_text(t, row, t->index, &pad, e), .answer = table_text(t, row, t->answer, &pad, e),
                        .category = table_text(t, row, t->category, &pad, e), .l2 = table_text(t, row, t->l2, &pad, e),
                        .split = table_text(t, row, t->split, &pad, e),
                        .picture = t->image_path >= 0 ? table_text(t, row, t->image_path, &pad, e) : pad_print(&pad, "%lld", (long long)t->shows[row]) };
        for (int o = 0; o < OPTIONS && !e->code; o++)
            a[i].option[o] = table_text(t, row, t->option[o], &pad, e);
    }
    if (!e->code && t->answer >= 0)
        score_table(&k->score[which], t->kind, a, t->asked);
    else if (!e->code)
        k->score[which] = (Score){ .score = 0.0 / 0.0, .n = t->asked };      /* a test split: answers are its makers' */
    free(a);
    pad_clear(&pad);
    return !e->code;
}

static bool all_said(const Table *t, const Kept *kept, Err *e)
{
    int64_t lacks = 0;
    for (int64_t i = 0; i < t->asked; i++)
        lacks += kept->said[t->row[i]] == NULL;
    return lacks == 0 || err_set(e, EXIT_IO, kept->dir, "is the disk full? start again: it goes on with those that are there",
                                 "%lld answers could not be kept", (long long)lacks);
}

static bool evaluate(Kits *k, int which, Err *e)
{
    const Table *t = &k->table[which];
    char dir[PATH_ROOM];
    Kept kept = { 0 };
    k->done = k->too_long = 0;
    bool ok = path_set(dir, e, "%s/eval/%s", k->r.c->run.dir, t->name) && kept_open(&kept, &k->r, dir, identity(k, t), t->tsv.rows, e);
    if (ok && k->r.grid.rank == 0) {
        printf("%s: %s, %lld questions", t->name, kinds[t->kind].name, (long long)t->asked);
        if (t->asked < t->tsv.rows)
            printf(" (%lld rows have no picture)", (long long)(t->tsv.rows - t->asked));
        if (kept.had)
            printf(", %lld answered already", (long long)kept.had);
        if (kept.other)
            printf(", %lld answers of other weights, table or prompts dropped", (long long)kept.other);
        printf("\n");
        fflush(stdout);
    }
    ok = ok && kits_ask(k, t, &kept, e);
    if (kept.dir[0])
        ok = kept_all(&kept, &k->r, e);
    int64_t sum[2] = { k->r.grid.tp_rank == 0 ? k->done : 0, k->r.grid.tp_rank == 0 ? k->too_long : 0 };
    comm_sum_i64(k->r.grid.world, sum, 2);
    comm_max_f64(k->r.grid.world, &k->seconds, 1);
    if (ok && k->r.grid.rank == 0) {
        if (sum[0])
            printf("%lld answers in %.1f s: %.1f questions/s\n", (long long)sum[0], k->seconds, (double)sum[0] / (k->seconds > 0 ? k->seconds : 1));
        if (sum[1])
            printf("%lld questions do not fit into model.decoder.max_len = %d: they are answered with nothing\n", (long long)sum[1], k->r.c->model.decoder.max_len);
        if (all_said(t, &kept, e) && score(k, which, kept.said, e))
            kits_write(k, t, kept.said, &k->score[which], e);
    }
    kept_close(&kept);
    return run_agree(&k->r, e);
}

/* Rank 0: a table's predictions: a file, or of a folder NAME/prediction.tsv or NAME.tsv. */
static bool rescore(Kits *k, int which, Err *e)
{
    const Table *t = &k->table[which];
    const char *named = k->r.c->eval.predictions;
    char path[PATH_ROOM];
    struct stat st;
    Pad pad = { 0 };
    char **said = calloc((size_t)t->tsv.rows + 1, sizeof *said);
    CHECK(said, "no memory for %lld predictions", (long long)t->tsv.rows);
    bool ok = path_set(path, e, "%s", named);
    if (ok && stat(named, &st) == 0 && S_ISDIR(st.st_mode)) {
        ok = path_set(path, e, "%s/%s/prediction.tsv", named, t->name);
        if (ok && stat(path, &st))
            ok = path_set(path, e, "%s/%s.tsv", named, t->name);
    } else if (ok && k->folder)
        ok = err_set(e, EXIT_CONFIG, "eval.predictions", "a folder, as RUN/eval", "eval.tsv is a folder, and eval.predictions one file");
    ok = ok && kits_read_predictions(t, path, said, &pad, e) && score(k, which, said, e) && kits_write_scores(k, t, &k->score[which], e);
    free(said);
    pad_clear(&pad);
    return ok;
}

int kits_main(const Config *c)
{
    Kits *k = calloc(1, sizeof *k);
    Err e = { 0 };
    const bool asks = !c->eval.predictions[0];
    CHECK(k, "no memory for the evaluation");
    run_open(&k->r, c, c->parallel.tp);
    bool ok = open_tables(k, &e) && (!asks || open_model(k, &e));
    for (int i = 0; i < k->tables && ok; i++) {
        if (!asks && k->r.grid.rank == 0)
            rescore(k, i, &e);
        ok = asks ? evaluate(k, i, &e) : run_agree(&k->r, &e);
    }
    if (ok && k->r.grid.rank == 0) {
        kits_print(k);
        if (asks && kits_write_json(k, &e))
            printf("\n%s/eval.json\n", c->run.dir);
    }
    ok = run_agree(&k->r, &e);
    if (!ok && k->r.grid.rank == 0)
        log_error(&e);
    generate_close(&k->g);
    prompt_free(&k->prompt);
    for (int i = 0; i < k->tables; i++) {
        table_close(&k->table[i]);
        score_free(&k->score[i]);
    }
    free(k->table);
    free(k->score);
    free(k->pixels);
    free(k->said);
    free(k->slot_row);
    pad_clear(&k->pad);
    run_close(&k->r);
    free(k);
    return ok ? EXIT_DONE : e.code;
}
