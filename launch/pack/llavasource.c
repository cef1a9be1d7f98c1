/* llavasource.c -- LLaVA-style JSON with its pictures as a source of pack (source.h) */
#include <stdlib.h>

#include "dist/comm.h"
#include "io/image/image.h"
#include "io/source/llava.h"
#include "launch/pack/source.h"

typedef struct {
    Llava          *json;
    const ImageOps *image;
    int64_t         at;            /* the record that llava_next gives next */
} Ctx;

/* The last data.val_samples records are held out; data.samples (0: all others) of those before are for training. */
static int64_t record_of(const Source *s, int split, int64_t i)
{
    return split == SPLIT_TRAIN ? i : s->samples[SPLIT_TRAIN] + i;
}

static bool seek(Ctx *x, const Config *c, int64_t record, Err *e)
{
    if (record < x->at) {
        llava_close(x->json);
        x->json = llava_open(c->data.json, c->data.images, e);
        x->at = 0;
    }
    if (!x->json || !llava_skip(x->json, record - x->at, e))
        return false;
    x->at = record;
    return true;
}

static int make(Source *s, int split, int64_t i, PackSample *out, Err *e)
{
    Ctx *x = s->ctx;
    LlavaRecord r;
    const int size = config_picture(s->c);
    if (!seek(x, s->c, record_of(s, split, i), e))
        return -1;
    x->at++;
    const int got = llava_next(x->json, &r, e);
    if (got <= 0)
        return got < 0 && r.record == x->at - 1 ? 0 : -1;
    snprintf(out->record, sizeof out->record, "record %lld%s%.80s", (long long)r.record, r.id[0] ? ", id " : "", r.id);
    pack_sample_room(out, r.images, size);
    out->images = r.images;
    for (int k = 0; k < r.images; k++)
        if (!x->image->load_square(out->pixels + (size_t)k * (size_t)size * (size_t)size * 3, r.image[k], size, s->c->data.fit, e))
            return 0;
    const int n = s->c->data.template == TEMPLATE_PLAIN ? 1 : r.n;
    const Talk talk = { r.turns, n, r.images, r.system ? r.system : source_system(s) };
    if (prompt_build(&out->prompt, s->text, s->c->data.template, &talk, e))
        return 1;
    if (!e->where[0])
        snprintf(e->where, sizeof e->where, "%.400s: record %lld, byte %lld", s->c->data.json, (long long)r.record,
                 (long long)r.offset);
    return 0;
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
    Ctx *x = s->ctx;
    const Template *t = &templates[s->c->data.template];
    LlavaRecord r;
    if (!seek(x, s->c, 0, e))
        return false;
    for (; x->at < s->samples[SPLIT_TRAIN]; x->at++) {
        Err bad = { 0 };
        if (llava_next(x->json, &r, &bad) <= 0)
            continue;
        put_line(f, r.system ? r.system : source_system(s) ? source_system(s) : t->system);
        for (int i = 0; i < r.n; i++) {
            fprintf(f, "%s ", t->human);
            put_line(f, r.turns[i].human);
            fprintf(f, "%s ", t->answer);
            put_line(f, r.turns[i].answer);
        }
    }
    return true;
}

static void close_llava(Source *s)
{
    Ctx *x = s->ctx;
    llava_close(x->json);
    free(x);
}

/* Rank 0 scans the file once: the others learn how many records there are, or what is wrong with it. */
static int64_t count_records(Ctx *x, const Config *c, Err *e)
{
    LlavaRecord r = { .record = -1 };
    int64_t n = 0;
    for (int got; ; n++) {
        Err bad = { 0 };
        const int64_t before = r.record;
        if ((got = llava_next(x->json, &r, &bad)) == 0)
            return n;
        if (got < 0 && (c->data.on_bad == BAD_FAIL || r.record == before)) {
            *e = bad;
            return 0;
        }
    }
}

bool source_llava(Source *s, const Config *c, MPI_Comm comm, Err *e)
{
    Ctx *x = calloc(1, sizeof *x);
    int64_t n = 0;
    CHECK(x, "no memory for the source");
    *s = (Source){ .make = make, .corpus = corpus, .close = close_llava, .c = c, .ctx = x };
    x->image = image_ops(e);
    x->json = x->image ? llava_open(c->data.json, c->data.images, e) : NULL;
    if (x->json && comm_rank(comm) == 0) {
        n = count_records(x, c, e);
        x->at = INT64_MAX;                                /* the first seek opens anew */
    }
    comm_bcast(comm, &n, sizeof n, 0);
    const int64_t val = min64(c->data.val_samples, n / 2), train = n - val;
    s->samples[SPLIT_VAL] = val;
    s->samples[SPLIT_TRAIN] = c->data.samples ? min64(c->data.samples, train) : train;
    return !e->code;
}
