#include "launch/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/comm.h"
#include "io/base/files.h"

CkptMeta identity_of(const Run *r)
{
    const Config *c = r->c;
    CkptMeta m = { .step = r->step, .seed = (uint64_t)c->run.seed, .config_hash = config_hash(c, CKPT_VERSION),
                   .dp = r->grid.dp_size, .tp = r->grid.tp_size, .global_batch = c->train.global_batch,
                   .samples = r->step * c->train.global_batch };
    snprintf(m.stage, sizeof m.stage, "%s", STAGE_NAME[c->train.stage]);
    snprintf(m.init, sizeof m.init, "%s", r->init);
    snprintf(m.base, sizeof m.base, "%s", r->base);
    m.lora_rank = r->model.c.lora_rank;
    m.lora_alpha = r->model.c.lora_alpha;
    m.norms = r->norms;
    run_data(r, CKPT_VERSION, m.data);
    return m;
}

bool identity_started(Run *r, const Ckpt *from, Err *e)
{
    const size_t at = strlen(r->init), end = strlen(r->base);
    char *path = realpath(ckpt_path(from), NULL);
    bool ok = true;
    if (at + 18 < sizeof r->init)
        snprintf(r->init + at, sizeof r->init - at, "%s%016llx", at ? "," : "", (unsigned long long)ckpt_meta(from)->fingerprint);
    if (r->model.c.lora_rank && (!path || strchr(path, ',') || end + strlen(path) + 2 > sizeof r->base))
        ok = err_set(e, EXIT_CONFIG, ckpt_path(from), "give it a shorter path, without commas", "its path cannot be recorded as a base of low-rank pairs");
    else if (r->model.c.lora_rank)
        snprintf(r->base + end, sizeof r->base - end, "%s%s", end ? "," : "", path);
    free(path);
    return ok;
}

/* What RUN/config.cfg said and what is asked now, key by key: "train.lr: 0.001 -> 0.002, ..."  Rank 0. */
static void say_difference(const Run *r, int version, Err *e)
{
    static Config  was;
    static ErrList errs;
    char path[PATH_ROOM], *text = NULL;
    size_t n = 0;
    if (!path_set(path, e, "%s/config.cfg", r->c->run.dir))
        return;
    FILE *f = open_memstream(&text, &n);
    CHECK(f, "no memory for a comparison of configurations");
    const bool differ = config_load(&was, path, NULL, 0, &errs) && config_diff(&was, r->c, version, f) > 0;
    fclose(f);
    char list[sizeof e->got] = "";
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        const size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", line + strspn(line, " "));
    }
    if (differ) {
        err_expected(e, "what %s says", path);
        err_got(e, "%s", list);
    }
    free(text);
}

/* Another grid of sums: this life's losses are near those that the earlier one would have had, no more.  Rank 0. */
static void say_tolerance(const Run *r, const CkptMeta *from)
{
    static Config  was;
    static ErrList errs;
    char path[PATH_ROOM], why[128] = "";
    const Config *is = r->c;
    const bool known = path_set(path, &(Err){ 0 }, "%s/config.cfg", is->run.dir) && config_load(&was, path, NULL, 0, &errs);
    const int blocks = run_blocks(is, &r->model.c, r->grid.tp_size), before = known ? run_blocks(&was, &r->model.c, from->tp) : blocks;
    if (before != blocks)
        snprintf(why, sizeof why, "blocks of what tp splits: %d -> %d", before, blocks);
    else if (from->tp != r->grid.tp_size && blocks == 0)
        snprintf(why, sizeof why, "parallel.tp: %d -> %d", from->tp, r->grid.tp_size);
    else if (known && was.parallel.reduction != is->parallel.reduction)
        snprintf(why, sizeof why, "parallel.reduction: %s -> %s", REDUCE_NAME[was.parallel.reduction],
                 REDUCE_NAME[is->parallel.reduction]);
    else if (known && was.parallel.wire != is->parallel.wire)
        snprintf(why, sizeof why, "parallel.wire differs");
    else if (is->parallel.reduction == REDUCE_FAST && from->dp != r->grid.dp_size)
        snprintf(why, sizeof why, "%d replicas -> %d with parallel.reduction = fast", from->dp, r->grid.dp_size);
    if (why[0])
        printf("%s: losses go on within a tolerance, not to the bit\n", why);
    fflush(stdout);
}

/* The data by content. */
static bool same_data(const Run *r, const CkptMeta *was, const char *path, Err *e)
{
    char is[64], differ[sizeof e->got] = "";
    run_data(r, was->version, is);
    if (strcmp(was->data, is) == 0)
        return true;
    if (r->grid.rank == 0)
        run_data_difference(r, differ, sizeof differ);
    err_expected(e, "%s", was->data);
    err_got(e, "%.64s%s%.180s", is, differ[0] ? "; " : "", differ);
    return err_set(e, EXIT_CONFIG, path, "take another run.dir, or put the data set back that it was started on",
                   "the run in run.dir was started on another data set");
}

/* Does the k-th checkpoint that train.init names, or one of that run, have the fingerprint that the run started from?  What is
   not there any more says nothing.  Rank 0. */
static bool may_be(const char *named, const char *want)
{
    enum { MANY = 256 };
    uint64_t found[MANY];
    const int n = ckpt_fingerprints(named, found, MANY);
    for (int i = 0; i < n; i++) {
        char hex[17];
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)found[i]);
        if (!strncmp(hex, want, 16))
            return true;
    }
    return n == 0;
}

/* The weights that it started from are of no use any more, but another start is another run. */
static void same_start(const Run *r, const CkptMeta *was, const char *path, Err *e)
{
    const char *want = was->init, *at = r->c->train.init + strspn(r->c->train.init, ", ");
    char named[PATH_ROOM];
    if (was->version == 1 || !*at)
        return;
    for (; *at && !e->code; at += strspn(at, ", ")) {
        const int length = (int)strcspn(at, ",");
        if (!path_set(named, e, "%.*s", length, at))
            return;
        if (!*want || !may_be(named, want)) {
            err_expected(e, "train.init with the fingerprint %s", *was->init ? was->init : "of no checkpoint: it started from the seed");
            err_got(e, "%.200s, which has no such checkpoint", named);
            err_set(e, EXIT_CONFIG, path, "take another run.dir; or name the checkpoint it started from, or none: it goes on from its own",
                    "the run in run.dir was started from other weights");
        }
        want += strcspn(want, ",");
        want += *want == ',';
        at += length;
    }
}

/* A run goes on only as what it was: otherwise neither its losses nor its data order would mean anything. */
bool identity_same(Run *r, const CkptMeta *was, const char *path, Err *e)
{
    if (was->config_hash != config_hash(r->c, was->version) || strcmp(was->stage, STAGE_NAME[r->c->train.stage])) {
        if (r->grid.rank == 0)
            say_difference(r, was->version, e);
        err_set(e, EXIT_CONFIG, path, "take another run.dir, or the configuration in RUN/config.cfg",
                "the run in run.dir was started with another configuration");
    } else if (same_data(r, was, path, e) && r->grid.rank == 0) {
        same_start(r, was, path, e);
    }
    if (r->grid.rank == 0 && !e->code)
        say_tolerance(r, was);
    snprintf(r->init, sizeof r->init, "%s", was->init);
    snprintf(r->base, sizeof r->base, "%s", was->base);
    r->norms = was->norms;
    return run_agree(r, e);
}
