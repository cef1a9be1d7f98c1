/* pack.c -- `asvr pack`: a source -> shards, on any number of ranks */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dist/comm.h"
#include "io/base/files.h"
#include "launch/pack/shardbuild.h"
#include "launch/run.h"
#include "launch/pack/source.h"
#include "launch/verbs.h"

enum { PATH = CONFIG_STRING + 32 };

/* File number i of a pattern: its '*' becomes five digits. */
static void shard_path(char out[PATH], const char *pattern, int64_t i)
{
    const char *star = strchr(pattern, '*');
    if (star)
        snprintf(out, PATH, "%.*s%05lld%s", (int)(star - pattern), pattern, (long long)i, star + 1);
    else
        snprintf(out, PATH, "%s", pattern);
}

static bool make_folder_of(const char *path, Err *e)
{
    char dir[PATH];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (!slash || slash == dir)
        return true;
    *slash = '\0';
    return dir_make(dir, e);
}

/* Shards of an earlier, longer pack would mix with the new ones.  Other files that the glob takes in are not ours. */
static void remove_older(const char *pattern, int64_t files)
{
    char path[PATH];
    for (int64_t i = files; strchr(pattern, '*'); i++) {
        shard_path(path, pattern, i);
        if (unlink(path) != 0)
            return;
        printf("removed   %s (of an earlier pack)\n", path);
    }
}

/* A vocabulary is trained, once, where text.model does not exist yet. */
static bool need_text_model(Run *r, Source *s, Err *e)
{
    const Config *c = r->c;
    char corpus[PATH];
    struct stat st;
    if (r->grid.rank != 0 || stat(c->text.model, &st) == 0)
        return run_agree(r, e);
    snprintf(corpus, sizeof corpus, "%s.corpus", c->text.model);
    FILE *f = make_folder_of(corpus, e) ? fopen(corpus, "w") : NULL;
    if (!f && !e->code)
        file_error(e, corpus, "write the corpus for the text model");
    if (f) {
        bool ok = s->corpus(s, f, e);
        if (fclose(f) != 0)
            ok = file_error(e, corpus, "write the corpus for the text model");
        if (ok && text_train(corpus, c->model.decoder.vocab, templates[c->data.template].symbols, c->text.model, e))
            printf("text      %s: trained on the source's text\n", c->text.model);
    }
    unlink(corpus);
    return run_agree(r, e);
}

/* The tower and the codebooks that give the pictures their codes. */
static bool open_tokenizer(Run *r, Err *e)
{
    enum { IMAGES = 32 };
    if (!r->c->data.codes[0])
        return true;
    const RunShape shape = { .stage = STAGE_TOKENIZER, .micro_batch = IMAGES, .max_images = IMAGES, .max_len = 1 };
    Origin o;
    if (!run_model(r, &shape, e) || !run_load_parts(r, r->c->data.codes, &o, e))
        return false;
    if (!origin_whole(&o)) {
        char text[ORIGIN_TEXT];
        origin_text(&o, text);
        err_got(e, "%s", text);
        return err_set(e, EXIT_DATA, r->c->data.codes, "data.codes names a checkpoint of the tokenizer stage",
                       model_has(&r->model, PART_TOKENIZER) ? "the checkpoint lacks codebooks or the codes' own tower"
                                                            : "the checkpoint has no codebooks");
    }
    return true;
}

typedef struct { int64_t samples, images, tokens, bad, unlabelled, cut; } Totals;

enum { TOTALS = 6, NAMED = 5 };            /* NAMED: samples with nothing to learn that a rank names, of each kind */

/* A sample without a text target teaches nothing: it is left out, counted and named.  Stages that read no labels take
   it all the same; only the decoder's stages cut at model.decoder.max_len. */
static bool teaches(const Config *c, const PackSample *p, int64_t i, Totals *sum)
{
    const int side = c->model.vision.image / c->model.vision.patch, max_len = c->model.decoder.max_len;
    const Prompt *x = &p->prompt;
    if (c->train.stage == STAGE_TOKENIZER || splice_text_targets(x->tokens, x->labels, x->n, side * side,
                                                                 c->train.stage == STAGE_CONTRAST ? INT32_MAX : max_len))
        return true;
    const bool cut = splice_text_targets(x->tokens, x->labels, x->n, side * side, INT32_MAX) > 0;
    if (cut && ++sum->cut <= NAMED)
        fprintf(stderr, "asvr: warning: sample %lld (%s) is left out: its answers lie beyond model.decoder.max_len = %d rows\n",
                (long long)i, p->record, max_len);
    else if (!cut && ++sum->unlabelled <= NAMED)
        fprintf(stderr, "asvr: warning: sample %lld (%s) is left out: it has no answer to learn\n", (long long)i, p->record);
    return false;
}

/* One shard: each rank makes a contiguous part of its samples. */
static bool write_shard(Run *r, Source *s, int split, int64_t file, const ShardMeta *meta, Totals *sum, Err *e)
{
    const Config *c = r->c;
    const int64_t size = c->data.shard_samples, all = s->samples[split], ranks = r->grid.size, rank = r->grid.rank;
    const int64_t first = file * size, n = min64(size, all - first);
    const int64_t mine = first + n * rank / ranks, end = first + n * (rank + 1) / ranks;
    char path[PATH];
    PackSample p = { 0 };
    ShardBuild b = { 0 };
    shardbuild_begin(&b, meta);
    for (int64_t i = mine; i < end && !e->code; i++) {
        Err bad = { 0 };
        const int got = s->make(s, split, i, &p, &bad);
        if (got == 1) {
            if (teaches(c, &p, i, sum))
                shardbuild_add(&b, &p);
        } else if (got == 0 && c->data.on_bad == BAD_SKIP) {
            sum->bad++;
            fprintf(stderr, "asvr: warning: sample %lld is skipped: %s (%s)\n", (long long)i, bad.what, bad.where);
        } else {
            *e = bad;
        }
    }
    bool ok = run_agree(r, e);
    if (ok) {
        shard_path(path, split == SPLIT_TRAIN ? c->data.shards : c->data.val, file);
        if (meta->depth)
            shardbuild_codes(&b, &r->model);
        ok = shard_write(r->grid.world, path, meta, shardbuild_get(&b), e);
        sum->samples += b.part.samples;
        sum->images += b.part.images;
        sum->tokens += b.part.tokens;
    }
    shardbuild_free(&b);
    prompt_free(&p.prompt);
    free(p.pixels);
    return ok;
}

static void say_totals(const Config *c, int split, const double totals[TOTALS], int64_t files, double seconds)
{
    printf("%-9s %s: %.0f samples, %.0f pictures, %.0f tokens%s in %lld file%s, %.1f s\n",
           split == SPLIT_TRAIN ? "training" : "held out", split == SPLIT_TRAIN ? c->data.shards : c->data.val, totals[0],
           totals[1], totals[2], c->data.codes[0] ? ", with codes" : "", (long long)files, files == 1 ? "" : "s", seconds);
    if (totals[3] > 0)
        printf("skipped   %.0f bad samples\n", totals[3]);
    if (totals[4] + totals[5] > 0)
        printf("left out  %.0f samples without an answer to learn, %.0f with all answers beyond %d rows\n", totals[4],
               totals[5], c->model.decoder.max_len);
    fflush(stdout);
}

static bool pack_split(Run *r, Source *s, int split, Err *e)
{
    const Config *c = r->c;
    const char *pattern = split == SPLIT_TRAIN ? c->data.shards : c->data.val;
    const int64_t files = ceil_div(s->samples[split], c->data.shard_samples);
    if (s->samples[split] == 0 || !pattern[0])
        return true;
    if (!strchr(pattern, '*') && files > 1)
        return err_set(e, EXIT_CONFIG, pattern, "write a * where the file's number goes, or raise data.shard_samples",
                       "%lld samples need %lld files, but the pattern names one", (long long)s->samples[split], (long long)files);
    const int kinds = c->data.codes[0] ? 1 + (c->model.codes.appearance_layer != 0) : 0;
    ShardMeta meta = { .image = config_picture(c), .patch = c->model.vision.patch, .scales = c->model.vision.scales,
                       .depth = kinds * c->model.codes.depth, .eval = split == SPLIT_VAL && s->answers,
                       .text_model = text_hash(r->text), .codes_model = kinds > 0 ? run_codes_model(r, SEMANTIC) : 0,
                       .appearance_model = kinds > 1 ? run_codes_model(r, APPEARANCE) : 0 };
    snprintf(meta.template_, sizeof meta.template_, "%s", templates[c->data.template].name);
    snprintf(meta.source, sizeof meta.source, "%s", c->data.source == SOURCE_SCENES ? "scenes" : "llava");
    if (meta.eval) {
        memcpy(meta.tasks, s->tasks, sizeof meta.tasks);
        memcpy(meta.baseline, s->baseline, sizeof meta.baseline);
    }
    Totals sum = { 0 };
    const double t = now();
    if (r->grid.rank == 0)
        make_folder_of(pattern, e);
    bool ok = run_agree(r, e);
    for (int64_t i = 0; i < files && ok; i++)
        ok = write_shard(r, s, split, i, &meta, &sum, e);
    double totals[TOTALS] = { (double)sum.samples, (double)sum.images, (double)sum.tokens, (double)sum.bad,
                              (double)sum.unlabelled, (double)sum.cut };
    comm_sum_f64(r->grid.world, totals, TOTALS);
    if (r->grid.rank == 0 && ok) {
        remove_older(pattern, files);
        say_totals(c, split, totals, files, now() - t);
    }
    if (ok && totals[0] == 0)
        ok = err_set(e, EXIT_DATA, pattern, "", "no sample of the source was usable");
    return ok;
}

static bool pack(Run *r, Source *s, Err *e)
{
    const Config *c = r->c;
    if (c->data.source == SOURCE_SCENES)
        source_scenes(s, c, e);
    else
        source_llava(s, c, r->grid.world, e);
    if (!run_agree(r, e))
        return false;
    if (s->samples[SPLIT_TRAIN] + s->samples[SPLIT_VAL] == 0)
        return err_set(e, EXIT_DATA, c->data.source == SOURCE_LLAVA ? c->data.json : "data.samples", "", "the source has no samples");
    if (!need_text_model(r, s, e) || !run_text(r, e) || !open_tokenizer(r, e))
        return false;
    s->text = r->text;
    return pack_split(r, s, SPLIT_TRAIN, e) && pack_split(r, s, SPLIT_VAL, e);
}

int pack_main(const Config *c)
{
    Run r;
    Source s = { 0 };
    Err e = { 0 };
    run_open(&r, c, 1);
    const bool ok = pack(&r, &s, &e);
    if (r.grid.rank == 0 && !ok)
        log_error(&e);
    if (s.ctx)
        s.close(&s);
    run_close(&r);
    return ok ? EXIT_DONE : e.code;
}
