#include "launch/stagewalk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "dist/comm.h"
#include "io/base/log.h"
#include "io/ckpt/ckptdir.h"
#include "io/set/index.h"
#include "launch/chattemplate.h"
#include "launch/run.h"
#include "launch/status/story.h"

static int judge(Config *c, const Words *w, const char *verb, int stage, int ranks)
{
    static ErrList errs;
    errs = (ErrList){ 0 };
    if (config_load_stage(c, w->path, stage, w->sets, w->n_sets, &errs))
        config_check(c, verb, ranks, &errs);
    for (int i = 0; i < errs.n; i++)
        log_error(&errs.err[i]);
    if (errs.lost)
        fprintf(stderr, "asvr: and %d more errors\n", errs.lost);
    return errs.n ? EXIT_CONFIG : EXIT_DONE;
}

int stages_load(Config *c, const Words *w, int stage, int ranks) { return judge(c, w, w->verb->name, stage, ranks); }

/* Rank 0 alone reads and judges the configuration; all ranks get its answer. */
static int configure(Config *c, const Words *w, const char *verb, int stage)
{
    int code = EXIT_DONE;
    if (comm_rank(MPI_COMM_WORLD) == 0)
        code = judge(c, w, verb, stage, comm_size(MPI_COMM_WORLD));
    if (comm_rank(MPI_COMM_WORLD) == 0 && code == EXIT_DONE)
        code = chat_template(c, verb);
    comm_bcast(MPI_COMM_WORLD, &code, sizeof code, 0);
    comm_bcast(MPI_COMM_WORLD, c, sizeof *c, 0);
    return code;
}

/* ---- what is there already; rank 0 looks ---- */

static bool there(const char *path)
{
    int is = comm_rank(MPI_COMM_WORLD) == 0 && access(path, F_OK) == 0;
    comm_bcast(MPI_COMM_WORLD, &is, sizeof is, 0);
    return is;
}

static bool imported(const Config *c)
{
    char path[PATH_ROOM];
    int64_t *step = NULL;
    int n = 0;
    Err none = { 0 };
    if (comm_rank(MPI_COMM_WORLD) == 0 && path_set(path, &none, "%s/ckpt", c->import.to))
        ckptdir_list(path, &step, &n, &none);
    free(step);
    comm_bcast(MPI_COMM_WORLD, &n, sizeof n, 0);
    return n > 0;
}

/* The data set that the run was trained on is the one that data.set names; of a mix nobody asks here. */
static bool same_data(const Config *c)
{
    char path[PATH_ROOM], is[17];
    Err none = { 0 };
    Index *x = index_open(c->data.set, &none);
    if (!x)
        return false;
    snprintf(is, sizeof is, "%016llx", (unsigned long long)x->hash);
    index_close(x);
    json_t *data = path_set(path, &none, "%s/data.json", c->run.dir) ? json_load_file(path, 0, NULL) : NULL;
    const json_t *sets = json_object_get(data, "sets");
    const char *was = json_string_value(json_object_get(json_array_get(sets, 0), "set"));
    const bool same = json_array_size(sets) == 1 && was && !strcmp(was, is);
    json_decref(data);
    return same;
}

/* Its last life was done, with this configuration and this data set.  Anything else is train's to judge. */
static bool finished(const Config *c)
{
    static Config  was;
    static ErrList errs;
    char path[PATH_ROOM];
    Story s = { 0 };
    Err none = { 0 };
    errs = (ErrList){ 0 };
    if (!path_set(path, &none, "%s/config.cfg", c->run.dir) || access(path, F_OK) || !config_load(&was, path, NULL, 0, &errs) ||
        config_hash(&was, 0) != config_hash(c, 0) || !story_read(&s, c->run.dir, &none))
        return false;
    const StoryLife *last = s.lives ? &s.life[s.lives - 1] : NULL;
    const bool done = last && last->ended && last->code == EXIT_DONE && last->steps > 0 && last->step == last->steps;
    story_free(&s);
    return done && same_data(c);
}

static bool is_finished(const Config *c)
{
    int is = comm_rank(MPI_COMM_WORLD) == 0 && finished(c);
    comm_bcast(MPI_COMM_WORLD, &is, sizeof is, 0);
    return is;
}

/* ---- one after the other ---- */

static void say(const Config *c, const char *what, const char *path)
{
    if (comm_rank(MPI_COMM_WORLD) == 0)
        printf("stage %d of %d, %s: %s %s\n", c->stages.at + 1, c->stages.n, STAGE_NAME[c->train.stage], what, path);
    fflush(stdout);
}

/* All of them, before the first begins: each is right, and has a folder of its own.  Rank 0. */
static int judge_all(const Words *w, const char *verb, int n)
{
    static Config c;
    char (*dir)[CONFIG_STRING] = calloc((size_t)n, sizeof *dir);
    int code = EXIT_DONE;
    CHECK(dir, "no memory for %d stages", n);
    for (int i = 0; i < n && code == EXIT_DONE; i++) {
        code = judge(&c, w, verb, i, comm_size(MPI_COMM_WORLD));
        snprintf(dir[i], sizeof *dir, "%s", c.run.dir);
        for (int k = 0; k < i && code == EXIT_DONE && !strcmp(verb, "train"); k++)
            if (!strcmp(dir[k], dir[i])) {
                Err e = { 0 };
                err_got(&e, "%s, of stage %d and of stage %d", dir[i], k + 1, i + 1);
                err_set(&e, EXIT_CONFIG, w->path, "run: { dir = \"...\"; } in each stage; --set train.stage names one of them",
                        "each stage is a run, and wants a run.dir of its own");
                log_error(&e);
                code = e.code;
            }
    }
    free(dir);
    return code;
}

static int pack_missing(Config *c, const Words *w, int stage)
{
    int code = EXIT_DONE;
    if (c->import.from[0] && c->import.to[0] && !imported(c)) {
        say(c, "imports", c->import.from);
        code = import_main(c);
    }
    if (code == EXIT_DONE && c->data.set[0] && !there(c->data.set)) {
        code = configure(c, w, "pack", stage);
        if (code == EXIT_DONE) {
            say(c, "packs", c->data.set);
            code = pack_main(c);
        }
        if (code == EXIT_DONE)
            code = configure(c, w, "train", stage);
    }
    return code;
}

static int train_all(Config *c, const Words *w, int n)
{
    int code = EXIT_DONE, done = 0;
    for (int i = 0; i < n && code == EXIT_DONE; i++) {
        code = configure(c, w, "train", i);
        if (code != EXIT_DONE)
            break;
        if (is_finished(c)) {
            say(c, "is done:", c->run.dir);
            done++;
            continue;
        }
        code = pack_missing(c, w, i);
        if (code == EXIT_DONE) {
            say(c, "trains", c->run.dir);
            code = train_main(c);
        }
    }
    if (done == n && comm_rank(MPI_COMM_WORLD) == 0)
        printf("nothing is left to train; data that have changed are packed anew by `asvr pack`, and want a run.dir of their own\n");
    return code;
}

/* A data set that several stages name is the first one's. */
static int pack_all(Config *c, const Words *w, int n)
{
    char (*set)[CONFIG_STRING] = calloc((size_t)n, sizeof *set);
    int code = EXIT_DONE;
    CHECK(set, "no memory for %d stages", n);
    for (int i = 0; i < n && code == EXIT_DONE; i++) {
        bool again = false;
        code = configure(c, w, "pack", i);
        snprintf(set[i], sizeof *set, "%s", c->data.set);
        for (int k = 0; k < i; k++)
            again = again || !strcmp(set[k], set[i]);
        if (code == EXIT_DONE && !again) {
            say(c, "packs", c->data.set);
            code = pack_main(c);
        }
    }
    free(set);
    return code;
}

int stages_run(Config *c, const Words *w)
{
    const char *verb = w->verb->name;
    const bool trains = !strcmp(verb, "train"), packs = !strcmp(verb, "pack");
    int code = configure(c, w, verb, -1);
    if (code != EXIT_DONE || c->stages.n == 0 || !(trains || packs))
        return code != EXIT_DONE ? code : w->verb->with_config(c);
    if (comm_rank(MPI_COMM_WORLD) == 0)
        code = judge_all(w, verb, c->stages.n);
    comm_bcast(MPI_COMM_WORLD, &code, sizeof code, 0);
    return code != EXIT_DONE ? code : trains ? train_all(c, w, c->stages.n) : pack_all(c, w, c->stages.n);
}

const char *stages_begun(char out[CONFIG_STRING], const char *path, Err *e)
{
    static Config  c;
    static ErrList errs;
    char log[PATH_ROOM];
    struct stat st;
    const size_t n = strlen(path);
    if (n < 4 || strcmp(path + n - 4, ".cfg") || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return path;
    for (int back = 0, all = 1; back < all; back++) {       /* from the last stage on */
        errs = (ErrList){ 0 };
        if (!config_load_stage(&c, path, back ? all - 1 - back : -1, NULL, 0, &errs)) {
            *e = errs.err[0];
            return NULL;
        }
        all = (int)max64(1, c.stages.n);
        if (!path_set(log, e, "%s/lives.jsonl", c.run.dir))
            return NULL;
        if (!c.run.dir[0] || access(log, F_OK) != 0)
            continue;
        if (c.stages.n)
            fprintf(stderr, "asvr: stage %d of %d, %s: %s\n", c.stages.at + 1, c.stages.n, STAGE_NAME[c.train.stage], c.run.dir);
        snprintf(out, CONFIG_STRING, "%s", c.run.dir);
        return out;
    }
    err_set(e, EXIT_DATA, path, "`asvr train` begins it", "no run of this configuration has begun");
    return NULL;
}
