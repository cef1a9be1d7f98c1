/* features.c -- patches of pictures on their way through the model, as matrices: one row a patch (spectrum.h) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops.h"
#include "dist/comm.h"
#include "io/set/gather.h"
#include "launch/spectrum/spectrum.h"

typedef struct { const char *name; int C; float *x; } Kind;        /* x (cap,C) */

typedef struct {
    Spectrum    *s;
    ShardReader *reader;
    Gather       batch;
    Kind         kind[FEATURE_KINDS];
    int          kinds;
    int64_t      cap, rows;        /* of this rank: room, and rows so far */
    int32_t     *src, *row;        /* of a batch: which rows of the features (I P), and of the sequences, are kept */
    int32_t     *code;
    int64_t     *sample;           /* (I) whose picture it is */
    float       *vectors;          /* (I P,Cv) work */
    float       *seen;             /* (BRANCHES,MAX_DEPTH,S) how often each code was chosen */
} Look;

static bool lm(const Model *m) { return m->c.stage >= STAGE_PRETRAIN; }

/* ---- what is there to look at ---- */

/* Does the data set have samples for evaluation?  Rank 0 looks: the ranks must read one split. */
static bool holds(const Run *r)
{
    Err none = { 0 };
    Shards *s = r->grid.rank == 0 ? shards_open(r->c->data.set, SPLIT_VAL, &none) : NULL;
    int has = s != NULL;
    if (s)
        shards_close(s);
    comm_bcast(r->grid.world, &has, sizeof has, 0);
    return has;
}

static bool open_model(Spectrum *s, Err *e)
{
    Run *r = &s->r;
    const Config *c = r->c;
    const bool held = c->data.set[0] ? holds(r) : c->data.val[0];
    s->data = held ? "evaluation" : "training";
    if (!run_shards(r, held ? SPLIT_VAL : SPLIT_TRAIN, e))
        return false;
    const RunShape shape = run_shape(r, false);
    Origin o;
    if (!run_model(r, &shape, e) || !run_load_parts(r, s->path, &o, e))
        return false;
    if (!origin_whole(&o)) {
        char fresh[ORIGIN_TEXT];
        origin_list(&o, ORIGIN_FRESH, fresh);
        return err_set(e, EXIT_DATA, s->path, "name the stage that it is of in train.stage", "the checkpoint lacks what stage %s has: %.200s",
                       STAGE_NAME[r->model.c.stage], fresh[0] ? fresh : "tokenizer");
    }
    return run_codes_match(r, e);
}

static void add_kind(Look *f, const char *name, int C)
{
    Kind *k = &f->kind[f->kinds++];
    *k = (Kind){ name, C, malloc((size_t)(f->cap * C) * sizeof *k->x + 1) };
    CHECK(k->x, "no memory for %lld x %d features", (long long)f->cap, C);
}

static void open_look(Look *f)
{
    Spectrum *s = f->s;
    Run *r = &s->r;
    const Model *m = &r->model;
    const RunShape shape = run_shape(r, false);
    const ShardMeta *meta = shards_meta(r->shards);
    const int64_t P = m->w.vision.P, images = max64(1, shards_max_images(r->shards)), IP = shape.max_images * P;
    s->samples = min64(r->c->spectrum.samples, meta->samples);
    s->every = (int)max64(1, ceil_div(s->samples * images * P, FEATURE_ROWS));
    f->cap = ceil_div(s->samples, r->grid.dp_size) * images * ceil_div(P, s->every);
    if (!lm(m) || !m->c.discrete)
        add_kind(f, "tower", m->c.vision.C * (lm(m) ? m->c.scales : 1));
    if (model_has(m, PART_CODES))
        add_kind(f, "codes", m->c.vision.C);
    if (model_has(m, PART_APP_CODES))
        add_kind(f, "app_codes", m->c.vision.C);
    if (lm(m)) {
        add_kind(f, "projector", m->c.decoder.C);
        add_kind(f, "decoder", m->c.decoder.C);
    }
    f->src = calloc((size_t)IP, sizeof *f->src);
    f->row = calloc((size_t)IP, sizeof *f->row);
    f->code = calloc((size_t)IP, sizeof *f->code);
    f->sample = calloc((size_t)shape.max_images, sizeof *f->sample);
    f->vectors = calloc((size_t)(IP * m->c.vision.C), sizeof *f->vectors);
    f->seen = calloc((size_t)(BRANCHES * MAX_DEPTH * m->c.codes_size), sizeof *f->seen);
    CHECK(f->src && f->row && f->code && f->sample && f->vectors && f->seen, "no memory for a batch of features");
    const GatherRoom room = gather_room(r->shards, shape.micro_batch, shape.max_images);
    gather_open(&f->batch, &room);
    f->reader = reader_open(r->shards);
    if (f->reader)
        reader_limits(f->reader, m->c.decoder.V, m->c.codes_size);
}

static void close_look(Look *f)
{
    for (int k = 0; k < f->kinds; k++)
        free(f->kind[k].x);
    free(f->src);
    free(f->row);
    free(f->code);
    free(f->sample);
    free(f->vectors);
    free(f->seen);
    gather_close(&f->batch);
    if (f->reader)
        reader_close(f->reader);
}

/* ---- a batch ---- */

/* Which patches of the batch are kept: those that the model saw, every so many'th, by the sample's number. */
static int64_t choose(Look *f, const Batch *b)
{
    const Model *m = &f->s->r.model;
    const Splice *p = &f->s->r.tape.splice;
    const int P = m->w.vision.P;
    const int64_t all = lm(m) ? p->images : (int64_t)b->I * P;
    int64_t n = 0;
    for (int q = 0; q < b->B; q++)
        for (int i = b->image_start[q]; i < b->image_start[q + 1]; i++)
            f->sample[i] = b->sample[q];
    for (int64_t k = 0; k < all; k++) {
        const int32_t src = lm(m) ? p->image_src[k] : (int32_t)k;
        if ((src % P + f->sample[src / P]) % f->s->every)
            continue;
        f->src[n] = src;
        f->row[n++] = lm(m) ? p->image_row[k] : 0;
    }
    return n;
}

static void put(Look *f, const char *name, const float *x, const int32_t *row, int64_t n)
{
    for (Kind *k = f->kind; k < f->kind + f->kinds; k++)
        if (!strcmp(k->name, name))
            op.gather(k->x + f->rows * k->C, x, row, n, k->C);
}

/* The vectors of each patch's codes, added up.  Collective over tp. */
static void put_codes(Look *f, const Batch *b, int branch, int64_t n)
{
    const Model *m = &f->s->r.model;
    const Tape *t = &f->s->r.tape;
    const Codes *w = &m->w.codes[branch];
    const int given = lm(m) ? m->c.codes_given : 0;
    const int64_t IP = (int64_t)b->I * m->w.vision.P;
    float *to = NULL;
    if (!model_has(m, branch ? PART_APP_CODES : PART_CODES))
        return;
    for (Kind *k = f->kind; k < f->kind + f->kinds; k++)
        if (!strcmp(k->name, w->part))
            to = k->x + f->rows * k->C;
    m->tp->need(m->tp, w->first, w->last);
    for (int q = 0; q < w->Q; q++) {
        const int book = w->shared ? 0 : q;
        float *seen = f->seen + (int64_t)(branch * MAX_DEPTH + book) * w->S;
        for (int64_t i = 0; i < n; i++) {
            f->code[i] = given ? b->codes[(int64_t)f->src[i] * given + branch * w->Q + q] : t->codes[branch].code[q * IP + f->src[i]];
            seen[f->code[i]]++;
        }
        codes_embed(q ? f->vectors : to, w, q, f->code, t->codes[branch].local, n, m->tp);
        if (q)
            op.add_fwd(to, to, f->vectors, n * w->Cv);
    }
    m->tp->sum(m->tp, to, n * w->Cv);
}

/* Runs the model on what was gathered and keeps the rows of its patches; of a tp group the first rank has them. */
static void flush(Look *f)
{
    const Run *r = &f->s->r;
    Model *m = &f->s->r.model;
    Tape *t = &f->s->r.tape;
    const Batch *b = gather_batch(&f->batch);
    Losses one = { .n_text = 1, .n_visual = 1, .pairs = 1 }, sum = { 0 };
    const float *tower = t->feat;
    int64_t n = 0;
    if (b->I && lm(m)) {
        model_forward(m, t, b, &one, &sum);
    } else if (b->I) {
        const int layers = m->c.stage == STAGE_TOKENIZER ? m->code_layers[SEMANTIC] : m->w.vision.enc.d.L;
        vision_embed_down(&t->vision, &m->w.vision, b->pixels, b->I, m->c.scales, m->tp);
        tower = vision_forward(&t->vision, &m->w.vision, 0, layers, b->I, m->tp);
    }
    if (b->I) {
        n = choose(f, b);
        CHECK(f->rows + n <= f->cap, "more features than there is room for");
        put(f, "tower", tower, f->src, n);
        if (m->c.stage == STAGE_TOKENIZER)
            model_codes(m, t, b->pixels, b->I);
        for (int k = 0; k < BRANCHES; k++)
            put_codes(f, b, k, n);
        if (lm(m)) {
            put(f, "projector", t->projector.pre[m->w.projector.layers - 1], f->src, n);
            put(f, "decoder", t->decoder.h, f->row, n);
        }
    }
    f->rows += n;
    gather_clear(&f->batch);
    if (r->grid.tp_rank != 0)
        f->rows = 0;
}

/* Samples evenly over the whole data set, dealt over the replicas. */
static bool read_samples(Look *f, Err *e)
{
    const Run *r = &f->s->r;
    const int64_t all = shards_meta(r->shards)->samples;
    int failed = 0;
    for (int64_t i = r->grid.dp_rank; i < f->s->samples; i += r->grid.dp_size) {
        Sample x;
        const int64_t number = i * all / f->s->samples;
        failed = comm_agree(r->grid.tp, reader_sample(f->reader, number, &x, e) ? 0 : 1);
        if (failed)
            break;                                      /* the ranks of a replica go on together or not at all */
        if (!gather_add(&f->batch, &x, number)) {
            flush(f);
            gather_add(&f->batch, &x, number);
        }
    }
    if (!failed)
        flush(f);
    return run_agree(r, e);
}

/* ---- what they say ---- */

static bool features_values(Look *f)
{
    Spectrum *s = f->s;
    for (int k = 0; k < f->kinds; k++) {
        const Kind *kind = &f->kind[k];
        s->rows = svd_centre(&s->svd, kind->x, f->rows, kind->C);
        if (s->rows == 0)
            return false;
        double *w = calloc((size_t)kind->C, sizeof *w);
        CHECK(w, "no memory for %d singular values", kind->C);
        if (!svd_values(&s->svd, w, kind->x, f->rows, kind->C, 0))
            w[0] = NAN;
        const int i = spectrum_add(s, "features", kind->name, s->rows, kind->C);
        memcpy(s->values + s->matrix[i].at, w, (size_t)s->matrix[i].n * sizeof *w);
        free(w);
    }
    return true;
}

static void books_seen(Look *f)
{
    Spectrum *s = f->s;
    const Model *m = &s->r.model;
    const int S = m->c.codes_size;
    if (s->r.grid.tp_rank != 0)
        memset(f->seen, 0, (size_t)(BRANCHES * MAX_DEPTH * S) * sizeof *f->seen);
    comm_sum_f32(s->r.grid.world, f->seen, (int64_t)BRANCHES * MAX_DEPTH * S);
    for (int k = 0; k < BRANCHES; k++)
        for (int q = 0; q < MAX_DEPTH; q++) {
            char name[CKPT_NAME];
            snprintf(name, sizeof name, "%s.%d", m->w.codes[k].part, q);
            for (Book *b = s->book; b < s->book + s->books; b++)
                if (!strcmp(b->name, name) && b->vectors == S)
                    b->seen = spectrum_use(f->seen + (int64_t)(k * MAX_DEPTH + q) * S, S);
        }
}

bool features_look(Spectrum *s, bool must, Err *e)
{
    Look f = { .s = s };
    Err why = { 0 };
    s->features = open_model(s, &why);
    if (!s->features && must) {
        *e = why;
        return false;
    }
    if (!s->features) {
        snprintf(s->no_features, sizeof s->no_features, "%.300s (%.200s)", why.what, why.where);
        return true;
    }
    open_look(&f);
    const bool ok = run_agree(&s->r, e) && read_samples(&f, e);
    if (ok && !features_values(&f)) {
        s->features = false;
        snprintf(s->no_features, sizeof s->no_features, "the samples for %s have no picture", s->data);
    } else if (ok) {
        books_seen(&f);
    }
    close_look(&f);
    return ok;
}
