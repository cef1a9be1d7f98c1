/* llavasource.c -- LLaVA-style JSON with its pictures as a source of pack (source.h) */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <xxhash.h>

#include "core/rng.h"
#include "dist/comm.h"
#include "io/source/pictureload.h"
#include "launch/eval/judge.h"
#include "launch/pack/listed.h"
#include "launch/pack/owntasks.h"
#include "launch/pack/records.h"
#include "launch/pack/source.h"

/* As much text as a vocabulary needs; of a longer JSON every k-th training record is taken. */
enum { CORPUS_BYTES = 200000000 };

typedef struct {
    Listed    listed;
    Llava    *json;
    Records   records;
} File;

typedef struct {
    File      file[SPLITS];        /* both splits' records; the second one where data.val_json names it */
    bool      apart;
    Pictures *pictures;
    OwnTasks  tasks;
    char     *answer;              /* of the sample in hand, as /answers has it */
} Ctx;

static File *file_of(const Ctx *x, int split) { return (File *)(uintptr_t)&x->file[x->apart ? split : 0]; }

static int64_t record_of(const Ctx *x, int split, int64_t i)
{
    const Records *r = &file_of(x, split)->records;
    return split == SPLIT_TRAIN ? records_training(r, i) : x->apart ? i : r->held[i];
}

/* Sample i of a split, as llava_next. */
static int read_record(Source *s, int split, int64_t i, LlavaRecord *r, Err *e)
{
    const File *f = file_of(s->ctx, split);
    const int64_t record = record_of(s->ctx, split, i);
    llava_seek(f->json, f->records.offset[record], record);
    return llava_next(f->json, r, e);
}

/* Says of which record e is, and how to go on. */
static int placed(const Source *s, int split, const LlavaRecord *r, Err *e)
{
    const File *x = file_of(s->ctx, split);
    char place[sizeof e->where], at[128];
    if (x->listed.shown[0])                             /* a byte of the listing helps nobody */
        snprintf(at, sizeof at, "id %.100s", r->id);
    else
        snprintf(at, sizeof at, "byte %lld", (long long)r->offset);
    snprintf(place, sizeof place, "%.300s: record %lld, %s", llava_scan(x->json)->name, (long long)r->record, at);
    if (e->where[0]) {
        const size_t n = strlen(e->where);
        snprintf(e->where + n, sizeof e->where - n, " (%s)", place);
    } else {
        snprintf(e->where, sizeof e->where, "%s", place);
    }
    if (e->code == EXIT_DATA && s->c->data.on_bad == BAD_FAIL) {
        const size_t n = strlen(e->hint);
        snprintf(e->hint + n, sizeof e->hint - n, "%sdata.on_bad = \"skip\" passes over bad records", n ? "; " : "");
    }
    return 0;
}

static const char *task_of(const Asked *a) { return a->task ? a->task : ASKED_TASK; }

/* A held-out record with an answer is a question. */
static void put_question(Ctx *x, const Asked *a, PackSample *out)
{
    free(x->answer);
    x->answer = a->n ? judge_key(a->right, a->n, a->letter, a->choice, a->choices) : NULL;
    out->answer = x->answer;
    out->task = x->answer ? owntasks_number(&x->tasks, task_of(a)) : -1;
}

static int make(Source *s, int split, int64_t i, PackSample *out, Err *e)
{
    Ctx *x = s->ctx;
    LlavaRecord r;
    const int size = config_picture(s->c);
    if (read_record(s, split, i, &r, e) != 1)
        return llava_scan(file_of(x, split)->json)->broken.code ? -1 : 0;
    snprintf(out->record, sizeof out->record, "record %lld%s%.80s", (long long)r.record, r.id[0] ? ", id " : "", r.id);
    pack_sample_room(out, r.images, size);
    out->images = r.images;
    for (int k = 0; k < r.images; k++)
        if (!pictures_square(x->pictures, out->pixels + (size_t)k * (size_t)size * (size_t)size * 3, &r.image[k], size, config_fit(s->c), e))
            return placed(s, split, &r, e);
    if (split == SPLIT_VAL && s->answers)
        put_question(x, r.asked, out);
    const int n = s->c->data.template == TEMPLATE_PLAIN ? 1 : r.n;
    const Talk talk = { r.turns, n, r.images, r.system ? r.system : source_system(s) };
    return prompt_build(&out->prompt, s->text, s->c->data.template, &talk, e) ? 1 : placed(s, split, &r, e);
}

/* Writes s without its line breaks. */
static void put_line(FILE *f, const char *s)
{
    for (; s && *s; s++)
        fputc(*s == '\n' || *s == '\r' ? ' ' : *s, f);
    fputc('\n', f);
}

static bool corpus(Source *s, FILE *f, Err *e)
{
    const Template *t = &templates[s->c->data.template];
    const int64_t every = ceil_div(llava_scan(file_of(s->ctx, SPLIT_TRAIN)->json)->size, CORPUS_BYTES);
    char *system = NULL;                       /* the one written last */
    (void)e;
    for (int64_t i = 0; i < s->samples[SPLIT_TRAIN]; i += every) {
        Err bad = { 0 };
        LlavaRecord r;
        if (read_record(s, SPLIT_TRAIN, i, &r, &bad) != 1)
            continue;
        const char *own = r.system ? r.system : source_system(s) ? source_system(s) : t->system;
        if (!system || strcmp(own, system) != 0) {
            free(system);
            system = strdup(own);
            CHECK(system, "no memory for a system prompt");
            put_line(f, system);
        }
        for (int k = 0; k < r.n; k++) {
            fprintf(f, "%s ", t->human);
            put_line(f, r.turns[k].human);
            fprintf(f, "%s ", t->answer);
            put_line(f, r.turns[k].answer);
        }
    }
    free(system);
    return true;
}

/* A bad record has no pictures to look at: when it gets good, `good` changes. */
static uint64_t stamp(Source *s, int split, int64_t first, int64_t n)
{
    XXH64_state_t *h = XXH64_createState();
    CHECK(h, "no memory for a hash");
    XXH64_reset(h, 0);
    for (int64_t i = first; i < first + n; i++) {
        Err bad = { 0 };
        LlavaRecord r;
        const int64_t good = read_record(s, split, i, &r, &bad) == 1;
        XXH64_update(h, (int64_t[]){ r.bytes, good }, 2 * sizeof(int64_t));
        XXH64_update(h, r.text, (size_t)r.bytes);
        for (int k = 0; good && k < r.images; k++) {
            struct stat st = { .st_size = -1 };
            stat(r.image[k].path, &st);
            XXH64_update(h, (int64_t[]){ st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec }, 3 * sizeof(int64_t));
        }
    }
    const uint64_t hash = XXH64_digest(h);
    XXH64_freeState(h);
    return hash;
}

static void close_llava(Source *s)
{
    Ctx *x = s->ctx;
    for (int k = 0; k < SPLITS; k++) {
        llava_close(x->file[k].json);
        listed_close(&x->file[k].listed);
        records_free(&x->file[k].records);
    }
    pictures_close(x->pictures);
    owntasks_free(&x->tasks);
    free(x->answer);
    free(x);
}

/* How many of each kind the splits have, and how many records began with an answer. */
static void count_kinds(Source *s, const Ctx *x)
{
    for (int split = 0; split < SPLITS; split++)
        for (int64_t i = 0; i < s->samples[split]; i++) {
            const int kind = file_of(x, split)->records.kind[record_of(x, split, i)];
            if ((kind & KIND_MASK) == KIND_BAD)
                continue;
            s->kinds[split][kind & KIND_MASK]++;
            s->answer_first += (kind & KIND_ANSWER_FIRST) != 0;
        }
}

/* This rank's share of a split's records that say what is right, or name a task. */
static void ask_split(Source *s, int split, int rank, int ranks)
{
    Ctx *x = s->ctx;
    const int64_t n = s->samples[split];
    for (int64_t i = n * rank / ranks; i < n * (rank + 1) / ranks; i++) {
        Err bad = { 0 };
        LlavaRecord r;
        if (!(file_of(x, split)->records.kind[record_of(x, split, i)] & KIND_ASKED) || read_record(s, split, i, &r, &bad) != 1)
            continue;
        const char *learned = r.asked->n ? r.asked->right[0] : r.turns[r.n - 1].answer;
        if (split == SPLIT_VAL && r.asked->n)
            owntasks_ask(&x->tasks, task_of(r.asked));
        else if (split == SPLIT_TRAIN && learned)
            owntasks_learn(&x->tasks, task_of(r.asked), learned);
    }
}

/* Do the held-out records ask questions, and which?  The template `plain` drops them. */
static bool find_questions(Source *s, MPI_Comm comm, Err *e)
{
    const int rank = comm_rank(comm), ranks = comm_size(comm);
    if (s->c->data.template == TEMPLATE_PLAIN)
        return true;
    ask_split(s, SPLIT_VAL, rank, ranks);
    if (comm_agree(comm, ((Ctx *)s->ctx)->tasks.lines > 0) == 0)
        return true;
    ask_split(s, SPLIT_TRAIN, rank, ranks);
    s->answers = true;
    return owntasks_all(&((Ctx *)s->ctx)->tasks, comm, s->tasks, s->baseline, e);
}

/* The records of data.json or data.val_json, and their hash. */
static bool open_file(Source *s, File *f, const char *json, uint64_t *hash, MPI_Comm comm, Err *e)
{
    const Config *c = s->c;
    if (!listed_open(&f->listed, c, json, comm, e))
        return false;
    f->json = llava_open(f->listed.path, f->listed.root, c->data.follow_links, e);
    if (f->json && f->listed.shown[0])
        snprintf(llava_scan(f->json)->name, sizeof llava_scan(f->json)->name, "%s", f->listed.shown);
    return comm_agree(comm, e->code) == 0 && records_find(&f->records, f->json, c->data.on_bad == BAD_FAIL, comm, e) &&
           records_hash(hash, f->json, comm, e);
}

bool source_llava(Source *s, const Config *c, MPI_Comm comm, Err *e)
{
    Ctx *x = calloc(1, sizeof *x);
    CHECK(x, "no memory for the source");
    *s = (Source){ .make = make, .corpus = corpus, .stamp = stamp, .close = close_llava, .c = c, .ctx = x };
    x->file[0].listed.fd = x->file[1].listed.fd = -1;
    x->apart = c->data.val_json[0] != 0;
    x->pictures = pictures_open(c->data.max_pixels, e);
    if (comm_agree(comm, e->code) != 0 || !open_file(s, &x->file[0], c->data.json, &s->identity, comm, e))
        return false;
    if (c->data.max_pixels != IMAGE_PIXELS)             /* which pictures are bad depends on it */
        s->identity = rng_bits(s->identity, rng_stream("pack.pixels"), (uint64_t)c->data.max_pixels);
    uint64_t held = 0;
    if (x->apart && !open_file(s, &x->file[1], c->data.val_json, &held, comm, e))
        return false;
    Records *r = &x->file[0].records;
    if (x->apart)
        s->identity = rng_bits(s->identity, rng_stream("pack.val"), held);
    else
        records_draw(r, c->data.val_samples, (uint64_t)c->run.seed);
    const int64_t train = r->n - r->n_held;
    s->held = r->held;
    s->n_held = r->n_held;
    s->samples[SPLIT_VAL] = x->apart ? x->file[1].records.n : r->n_held;
    s->samples[SPLIT_TRAIN] = c->data.samples ? min64(c->data.samples, train) : train;
    count_kinds(s, x);
    return find_questions(s, comm, e);
}
