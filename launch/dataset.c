/* dataset.c -- the data set of a verb: opened, the same on all ranks, and what names it (run.h) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "dist/comm.h"
#include "io/base/files.h"
#include "launch/run.h"

/* The stages that learn from pictures alone. */
static bool stage_fits(const Run *r, const ShardMeta *m, const char *key, Err *e)
{
    const char *stage = STAGE_NAME[r->c->train.stage];
    if (r->c->train.stage >= STAGE_PRETRAIN)
        return true;
    if (m->images == 0)
        return err_set(e, EXIT_DATA, key, "name a data set with pictures, or train pretrain or instruct, which learn from text, too",
                       "stage %s learns from pictures, and the data set has none", stage);
    return true;
}

static bool shards_fit(const Run *r, Err *e)
{
    const Config *c = r->c;
    const ShardMeta *m = shards_meta(r->shards);
    const char *hint = "pack again with this configuration, or train with the one that packed", *key = "data.set";
    if (m->image != config_picture(c) || m->patch != c->model.vision.patch) {
        err_expected(e, "pictures of %d, patches of %d (model.vision)", config_picture(c), c->model.vision.patch);
        err_got(e, "pictures of %d, patches of %d", m->image, m->patch);
        return err_set(e, EXIT_DATA, key, hint, "the data set was packed for another vision tower");
    }
    if (r->text && m->text_model != text_hash(r->text)) {
        err_expected(e, "text model %016llx (%s)", (unsigned long long)text_hash(r->text), c->text.model);
        err_got(e, "text model %016llx", (unsigned long long)m->text_model);
        return err_set(e, EXIT_DATA, key, hint, "the data set was packed with another text model");
    }
    return stage_fits(r, m, key, e);
}

/* Copies on the nodes, or a stale cache: ranks that opened different files would work on them in silence. */
bool run_same(const Run *r, uint64_t value, const char *path, const char *what, Err *e)
{
    const Grid *g = &r->grid;
    uint64_t *all = calloc((size_t)g->size, sizeof *all);
    int other = 0;
    struct { char host[128], path[256]; } who = { "", "" };
    CHECK(all, "no memory for %d numbers", g->size);
    comm_gather_u64(g->world, value, all);
    while (other < g->size && all[other] == all[0])
        other++;
    if (other < g->size) {
        gethostname(who.host, sizeof who.host - 1);
        snprintf(who.path, sizeof who.path, "%.255s", path);
        comm_bcast(g->world, &who, sizeof who, other);
        err_expected(e, "%016llx, which rank 0 opened", (unsigned long long)all[0]);
        err_got(e, "%016llx on rank %d, host %s", (unsigned long long)all[other], other, who.host);
        err_set(e, EXIT_DATA, who.path, "copy it to all nodes again, or read it from one place", "the ranks have opened different %s", what);
    }
    free(all);
    return !e->code;
}

static void warn_version_1(const Run *r, int split)
{
    if (r->grid.rank != 0)
        return;
    char text[1400];
    snprintf(text, sizeof text, "data.%s names shards without an index (version 1), which the next version will not read: "
             "set data.set and pack again", split == SPLIT_TRAIN ? "shards" : "val");
    log_warn(text);
}

bool run_shards(Run *r, int split, Err *e)
{
    const Config *c = r->c;
    const char *glob = split == SPLIT_TRAIN ? c->data.shards : c->data.val;
    if (c->data.set[0]) {
        r->shards = shards_open(c->data.set, split, e);
    } else if (glob[0]) {
        warn_version_1(r, split);
        r->shards = shards_glob(glob, split, e);
    } else {
        err_set(e, EXIT_CONFIG, "data.set", "`asvr pack` writes it", "data.set is not set");
    }
    if (r->shards && c->train.stage == STAGE_CONTRAST)      /* one picture for one text */
        shards_first_image(r->shards);
    if (r->shards)
        shards_fit(r, e);
    if (!run_agree(r, e) || !run_same(r, shards_identity(r->shards), c->data.set[0] ? c->data.set : c->data.shards, "data sets", e))
        return false;
    if (r->grid.rank == 0)                                  /* one opens every file once, so that thousands need not */
        shards_present(r->shards, e);
    if (c->data.on_bad == BAD_SKIP && e->code == EXIT_DATA) {
        char text[1200];
        snprintf(text, sizeof text, "%s (%s): its samples will be skipped", e->what, e->where);
        log_warn(text);
        *e = (Err){ 0 };
    }
    return run_agree(r, e);
}

RunShape run_shape(const Run *r, bool train)
{
    const Config *c = r->c;
    const int side = c->model.vision.image / c->model.vision.patch, images = shards_max_images(r->shards);
    const int64_t rows = shards_max_tokens(r->shards) + (int64_t)images * (side * side - 1);
    return (RunShape){ .stage = (Stage)c->train.stage, .train = train, .codes_given = shards_meta(r->shards)->depth,
                       .micro_batch = c->train.micro_batch,
                       .max_images = (int)max64(1, (int64_t)c->train.micro_batch * images),
                       .max_len = (int)max64(1, min64(rows, c->model.decoder.max_len)) };
}

void run_data(const Run *r, int version, char out[64])
{
    const ShardMeta *s = shards_meta(r->shards);
    if (version == 1)
        snprintf(out, 64, "%lld samples %016llx %016llx", (long long)s->samples, (unsigned long long)s->text_model,
                 (unsigned long long)s->codes_model);
    else
        snprintf(out, 64, "%s %016llx", shards_indexed(r->shards) ? "set" : "shards", (unsigned long long)shards_identity(r->shards));
}

/* ---- RUN/data.json: what the data set was, for those who ask after it is gone ---- */

bool run_data_write(const Run *r, Err *e)
{
    char path[PATH_ROOM], *text = shards_about(r->shards);
    const bool ok = path_set(path, e, "%s/data.json", r->c->run.dir) && file_replace(path, text, strlen(text), e);
    free(text);
    return ok;
}

static void say(char *out, size_t cap, const char *key, const json_t *was, const json_t *is)
{
    char *a = was ? json_dumps(was, JSON_ENCODE_ANY | JSON_COMPACT) : NULL, *b = is ? json_dumps(is, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    const size_t at = strlen(out);
    snprintf(out + at, cap - at, "%s%s: %s -> %s", at ? ", " : "", key, a ? a : "none", b ? b : "none");
    free(a);
    free(b);
}

/* Texts and numbers that differ; objects are looked into. */
static void differences(char *out, size_t cap, const json_t *was, const json_t *is)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)is, key, value) {
        const json_t *old = json_object_get(was, key);
        if (json_is_object(value) && json_is_object(old))
            differences(out, cap, old, value);
        else if (strcmp(key, "set") && !json_equal((json_t *)(uintptr_t)old, value))
            say(out, cap, key, old, value);
    }
}

void run_data_difference(const Run *r, char *out, size_t cap)
{
    char path[PATH_ROOM], *is = shards_about(r->shards);
    Err e = { 0 };
    json_t *b = json_loads(is, 0, NULL), *a = path_set(path, &e, "%s/data.json", r->c->run.dir) ? json_load_file(path, 0, NULL) : NULL;
    const json_t *was = json_object_get(a, "sets"), *present = json_object_get(b, "sets");
    out[0] = 0;
    if (was && json_array_size(was) == json_array_size(present))
        for (size_t i = 0; i < json_array_size(was); i++)
            differences(out, cap, json_array_get(was, i), json_array_get(present, i));
    else if (was)
        snprintf(out, cap, "%zu data sets -> %zu", json_array_size(was), json_array_size(present));
    json_decref(a);
    json_decref(b);
    free(is);
}
