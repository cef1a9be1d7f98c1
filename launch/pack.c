/* pack.c -- `asvr pack`: a source -> a data set, on any number of ranks; stopped or killed it goes on where it was */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <jansson.h>
#include <xxhash.h>

#include "core/fault.h"
#include "core/rng.h"
#include "dist/comm.h"
#include "dist/stop.h"
#include "io/base/files.h"
#include "io/h5/h5.h"
#include "launch/nodes.h"
#include "launch/pack/packset.h"
#include "launch/pack/shardbuild.h"
#include "launch/pack/source.h"
#include "launch/run.h"
#include "launch/verbs.h"

/* Samples that a rank names: with nothing to learn, of each kind and shard; bad ones. */
enum { NAMED = 5, NAMED_BAD = 100 };

typedef struct {
    Run       r;
    Source    source;
    PackSet   set;                 /* rank 0 */
    ShardMeta meta;
    int64_t   left[3];             /* bad, unlabelled, cut: of all shards so far */
    int64_t   done, all, made;     /* samples behind us, of the source, made in this start */
    int       named;               /* bad samples that this rank has named */
    double    began, said;
} Pack;

static bool make_folder_of(const char *path, Err *e)
{
    char dir[PATH_ROOM];
    return path_folder(dir, path, e) && dir_make(dir, e);
}

/* A vocabulary is trained, once, where text.model does not exist yet. */
static bool need_text_model(Run *r, Source *s, Err *e)
{
    const Config *c = r->c;
    char corpus[PATH_ROOM];
    struct stat st;
    if (r->grid.rank != 0 || stat(c->text.model, &st) == 0 || !text_trainable(c->text.model))
        return run_agree(r, e);
    if (!path_set(corpus, e, "%s.corpus", c->text.model))
        return run_agree(r, e);
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

/* ---- one shard ---- */

/* A sample without a text target teaches nothing: it is left out, counted and named.  Stages that read no labels take
   it all the same; only the decoder's stages cut at model.decoder.max_len. */
static bool teaches(const Config *c, const PackSample *p, int64_t i, LeftOut *left)
{
    const int side = c->model.vision.image / c->model.vision.patch, max_len = c->model.decoder.max_len;
    const Prompt *x = &p->prompt;
    if (c->train.stage == STAGE_TOKENIZER || splice_text_targets(x->tokens, x->labels, x->n, side * side,
                                                                 c->train.stage == STAGE_CONTRAST ? INT32_MAX : max_len))
        return true;
    const bool cut = splice_text_targets(x->tokens, x->labels, x->n, side * side, INT32_MAX) > 0;
    if (cut && ++left->cut <= NAMED)
        fprintf(stderr, "asvr: warning: sample %lld (%s) is left out: its answers lie beyond model.decoder.max_len = %d rows\n",
                (long long)i, p->record, max_len);
    else if (!cut && ++left->unlabelled <= NAMED)
        fprintf(stderr, "asvr: warning: sample %lld (%s) is left out: it has no answer to learn\n", (long long)i, p->record);
    return false;
}

/* Samples [from, to) of a split, made by this rank. */
static void make_part(Pack *p, ShardBuild *b, int split, int64_t from, int64_t to, LeftOut *left, Err *e)
{
    Source *s = &p->source;
    PackSample x = { 0 };
    for (int64_t i = from; i < to && !e->code; i++) {
        Err bad = { 0 };
        watch_phase(p->r.watch, WATCH_PACK, i);
        FAULT_STEP(i + 1);
        FAULT("data");
        const int got = s->make(s, split, i, &x, &bad);
        if (got == 1) {
            if (teaches(s->c, &x, i, left))
                shardbuild_add(b, &x);
        } else if (got == 0 && s->c->data.on_bad == BAD_SKIP) {
            left->bad++;
            if (++p->named <= NAMED_BAD)
                fprintf(stderr, "asvr: warning: sample %lld is skipped: %s%s%s (%s)\n", (long long)i, bad.what, bad.got[0] ? ": " : "", bad.got, bad.where);
            if (p->named == NAMED_BAD)
                fprintf(stderr, "asvr: warning: rank %d has named %d bad samples; further ones are counted\n", p->r.grid.rank, NAMED_BAD);
        } else {
            *e = bad;
        }
    }
    prompt_free(&x.prompt);
    free(x.pixels);
}

/* This rank's share of n things that begin at `first`. */
static int64_t share(const Pack *p, int64_t first, int64_t n, int rank) { return first + n * rank / p->r.grid.size; }

/* What the samples' sources are like, by whatever number of ranks looks. */
static uint64_t stamp(Pack *p, int split, int64_t first, int64_t n)
{
    Source *s = &p->source;
    uint64_t sum = 0;
    const int rank = p->r.grid.rank;
    for (int64_t i = share(p, first, n, rank); s->stamp && i < share(p, first, n, rank + 1); i++) {
        watch_phase(p->r.watch, WATCH_PACK, i);
        sum += rng_bits(s->stamp(s, split, i, 1), rng_stream("stamp"), (uint64_t)i);
    }
    comm_sum_u64(p->r.grid.world, &sum, 1);
    return sum + s->identity;
}

/* Each rank makes a contiguous part, all write it, rank 0 notes it. */
static bool write_shard(Pack *p, int split, int64_t number, const ShardMeta *meta, int64_t first, int64_t n, uint64_t stamped, Err *e)
{
    Run *r = &p->r;
    char path[PATH_ROOM] = "";
    LeftOut left = { 0 };
    ShardBuild b = { 0 };
    shardbuild_begin(&b, meta);
    make_part(p, &b, split, share(p, first, n, r->grid.rank), share(p, first, n, r->grid.rank + 1), &left, e);
    if (r->grid.rank == 0 && !e->code)
        packset_path(&p->set, split, number, path, e);
    watch_phase(r->watch, WATCH_SHARD, first + n);          /* behind all who still make its samples */
    bool ok = run_agree(r, e);
    if (ok) {
        comm_bcast(r->grid.world, path, sizeof path, 0);
        if (meta->depth)
            shardbuild_codes(&b, &r->model, &r->tape, r->watch);
        watch_phase(r->watch, WATCH_SHARD, first + n);
        ok = shard_write(r->grid.world, path, meta, shardbuild_get(&b), e);
    }
    shardbuild_free(&b);
    if (!ok)
        return false;
    int64_t sum[3] = { left.bad, left.unlabelled, left.cut };
    comm_sum_i64(r->grid.world, sum, 3);
    for (int k = 0; k < 3; k++)
        p->left[k] += sum[k];
    left = (LeftOut){ sum[0], sum[1], sum[2] };
    if (r->grid.rank == 0)
        packset_done(&p->set, split, number, stamped, &left, e);
    p->made += n;
    return run_agree(r, e);
}

/* ---- all of them ---- */

/* A line now and then; on a terminal one that stays where it is. */
static void say_progress(Pack *p, bool last)
{
    const double t = now() - p->began, rate = (double)p->made / t;
    const bool terminal = log_screen(STDOUT_FILENO);
    if (p->r.grid.rank != 0 || (last && !terminal) || (!last && now() - p->said < (terminal ? 0.5 : 10)))
        return;
    const int64_t eta = rate > 0 ? (int64_t)((double)(p->all - p->done) / rate) : 0;
    if (last)
        printf("\r\033[K");
    else
        printf("%spack      %lld/%lld samples  %.0f samples/s  ETA %lld:%02lld%s", terminal ? "\r\033[K" : "", (long long)p->done,
               (long long)p->all, rate, (long long)(eta / 60), (long long)(eta % 60), terminal ? "" : "\n");
    fflush(stdout);
    p->said = now();
}

static ShardMeta meta_of(const Pack *p, int split)
{
    ShardMeta m = p->meta;
    m.eval = split == SPLIT_VAL && p->source.answers;
    if (!m.eval)
        m.tasks[0] = m.baseline[0] = 0;
    return m;
}

/* False with EXIT_SAVED where somebody asked to stop. */
static bool pack_split(Pack *p, int split, Err *e)
{
    Run *r = &p->r;
    const int64_t size = r->c->data.shard_samples, all = p->source.samples[split];
    const ShardMeta meta = meta_of(p, split);
    for (int64_t number = 0, first = 0; first < all; number++, first += size) {
        const int64_t n = min64(size, all - first);
        const uint64_t stamped = stamp(p, split, first, n);
        LeftOut left = { 0 };
        int kept = r->grid.rank == 0 && packset_has(&p->set, split, number, stamped, &left);
        comm_bcast(r->grid.world, &kept, sizeof kept, 0);
        if (kept) {
            const int64_t was[3] = { left.bad, left.unlabelled, left.cut };
            for (int k = 0; k < 3; k++)
                p->left[k] += was[k];
        } else if (!write_shard(p, split, number, &meta, first, n, stamped, e)) {
            return false;
        }
        p->done += n;
        say_progress(p, false);
        /* Once all shards are there, the commit takes less time than starting again. */
        if (comm_agree(r->grid.world, stop_requested()) && p->done < p->all) {
            say_progress(p, true);
            if (r->grid.rank == 0)
                printf("stopped on request after %lld of %lld samples; start the same command again to go on\n", (long long)p->done,
                       (long long)p->all);
            e->code = EXIT_SAVED;
            return false;
        }
    }
    return true;
}

static void say_totals(const Pack *p)
{
    const Config *c = p->r.c;
    const Index *x = p->set.index;
    double bytes = 0;
    for (int split = 0; split < SPLITS; split++) {
        int64_t samples = 0, images = 0, tokens = 0, files = 0;
        for (int i = 0; i < x->n; i++)
            if (x->shard[i].split == split) {
                samples += x->shard[i].samples, images += x->shard[i].images, tokens += x->shard[i].tokens, files++;
                bytes += (double)x->shard[i].bytes;
            }
        if (files)
            printf("%-9s %lld samples, %lld pictures, %lld tokens%s in %lld file%s\n", split == SPLIT_TRAIN ? "training" : "held out",
                   (long long)samples, (long long)images, (long long)tokens, c->data.codes[0] ? ", with codes" : "", (long long)files,
                   files == 1 ? "" : "s");
    }
    if (p->left[0] > 0)
        printf("skipped   %lld bad samples\n", (long long)p->left[0]);
    if (p->left[1] + p->left[2] > 0)
        printf("left out  %lld samples without an answer to learn, %lld with all answers beyond %d rows\n", (long long)p->left[1],
               (long long)p->left[2], c->model.decoder.max_len);
    if (p->source.answer_first == 1)
        printf("turns     1 conversation began with an answer, which was left out\n");
    else if (p->source.answer_first)
        printf("turns     %lld conversations began with an answer, which was left out\n", (long long)p->source.answer_first);
    if (p->source.answers && c->data.source != SOURCE_SCENES) {
        printf("questions ");
        for (const char *t = p->source.tasks; *t; t++) {
            putchar(*t);
            if (*t == ',')
                putchar(' ');
        }
        printf(": eval says how many are answered rightly\n");
    }
    printf("set       %s: %016llx, %.1f MB, %.1f s", x->path, (unsigned long long)x->hash, 1e-6 * bytes, now() - p->began);
    printf(p->set.kept ? "; %d shard%s of an earlier start kept\n" : "\n", p->set.kept, p->set.kept == 1 ? "" : "s");
    fflush(stdout);
}

/* What makes this pack another one than that which left something. */
static uint64_t key_of(const Pack *p, const char *options)
{
    const uint64_t more[] = { SHARD_VERSION, p->source.identity, p->meta.text_model, p->meta.codes_model, p->meta.appearance_model,
                              (uint64_t)p->meta.depth };
    return XXH64(more, sizeof more, XXH64(options, strlen(options), INDEX_VERSION));
}

/* The options, and a hash of what was read under them. */
static char *with_source(char *options, uint64_t identity)
{
    char hex[17];
    json_t *o = json_loads(options, 0, NULL);
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)identity);
    CHECK(o && json_object_set_new(o, "source", json_string(hex)) == 0, "no memory for JSON");
    free(options);
    options = json_dumps(o, JSON_COMPACT);
    CHECK(options, "no memory for JSON");
    json_decref(o);
    return options;
}

/* What the index says beside its shards. */
static void complete(Pack *p, char *options)
{
    Index *x = p->set.index;
    const Source *s = &p->source;
    x->options = with_source(options, s->identity);
    x->held_out = x->used;
    x->held = s->held ? s->n_held : 0;
    if (s->held)
        index_append(x, s->held, s->n_held * (int64_t)sizeof *s->held);
    memcpy(x->kinds, s->kinds, sizeof x->kinds);
}

static void describe(Pack *p)
{
    const Config *c = p->r.c;
    const Source *s = &p->source;
    const int kinds = c->data.codes[0] ? 1 + (c->model.codes.appearance_layer != 0) : 0;
    p->meta = (ShardMeta){ .image = config_picture(c), .patch = c->model.vision.patch, .scales = c->model.vision.scales,
                           .store = c->data.store, .depth = kinds * c->model.codes.depth, .text_model = text_hash(p->r.text),
                           .codes_model = kinds > 0 ? run_codes_model(&p->r, SEMANTIC) : 0,
                           .appearance_model = kinds > 1 ? run_codes_model(&p->r, APPEARANCE) : 0 };
    snprintf(p->meta.template_, sizeof p->meta.template_, "%s", templates[c->data.template].name);
    snprintf(p->meta.source, sizeof p->meta.source, "%s", c->data.source == SOURCE_SCENES ? "scenes" : "llava");      /* the records; where they came from, the index says */
    memcpy(p->meta.tasks, s->tasks, sizeof p->meta.tasks);
    memcpy(p->meta.baseline, s->baseline, sizeof p->meta.baseline);
}

/* Shards are written by all ranks through MPI-IO: does it keep what it is given, on this file system? */
static bool try_disk(Pack *p, Err *e)
{
    char dir[PATH_ROOM];
    snprintf(dir, sizeof dir, "%s", p->set.work);
    comm_bcast(p->r.grid.world, dir, sizeof dir, 0);
    (void)FAILS("selftest", e);
    return run_agree(&p->r, e) && h5_selftest(p->r.grid.world, dir, e);
}

static bool pack(Pack *p, Err *e)
{
    Run *r = &p->r;
    Source *s = &p->source;
    const Config *c = r->c;
    if (c->data.source == SOURCE_SCENES)
        source_scenes(s, c, e);
    else
        source_llava(s, c, r->grid.world, e);
    if (!run_agree(r, e))
        return false;
    p->all = s->samples[SPLIT_TRAIN] + s->samples[SPLIT_VAL];
    if (p->all == 0)
        return err_set(e, EXIT_DATA, c->data.source != SOURCE_SCENES ? c->data.json : "data.samples", "", "the source has no samples");
    if (!need_text_model(r, s, e) || !run_text(r, e) || !open_tokenizer(r, e))
        return false;
    s->text = r->text;
    describe(p);
    char *options = config_packs(c);
    p->began = p->said = now();
    if (r->grid.rank == 0)
        packset_open(&p->set, c->data.set, key_of(p, options), e);
    const bool opened = run_agree(r, e);
    if (opened)
        run_watch(r);                                       /* not before: who trains a text model tells nothing of its progress */
    if (!opened || !try_disk(p, e) || !pack_split(p, SPLIT_TRAIN, e) || !pack_split(p, SPLIT_VAL, e)) {
        free(options);
        return false;
    }
    say_progress(p, true);
    watch_phase(r->watch, WATCH_END, p->done);
    if (r->grid.rank == 0) {
        complete(p, options);
        if (p->set.index->meta.samples == 0)
            err_set(e, EXIT_DATA, c->data.set, "", "no sample of the source was usable");
        else if (packset_commit(&p->set, e))
            say_totals(p);
    } else {
        free(options);
    }
    return run_agree(r, e);
}

int pack_main(const Config *c)
{
    static Pack p;
    Err e = { 0 };
    run_open(&p.r, c, 1);
    stop_grace(c->stop.grace);
    nodes_say(&p.r);
    const bool ok = pack(&p, &e);
    if (p.r.grid.rank == 0 && !ok && e.code != EXIT_SAVED)
        log_error(&e);
    if (p.source.ctx)
        p.source.close(&p.source);
    packset_close(&p.set);
    run_close(&p.r);
    return ok ? EXIT_DONE : e.code;
}
