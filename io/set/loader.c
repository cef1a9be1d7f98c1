#include "io/set/loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/*
 * DESIGN: threads read ahead
 *
 * Why.  Reading and unpacking a step takes milliseconds that would otherwise be added to each step; threads spend them while
 * the model computes.
 *
 * Who owns what.  A unit is one micro-batch of one step: unit u = step * A + a lies in slot u % (ring * A).  Threads take units
 * in order, each fills its unit with a reader of its own and marks it done; loader_next hands out a step when all of its units
 * are done.  Slots of a step belong to the threads while step - freed < ring, and to the caller while he works on the step
 * handed out last.  Only `taken`, `given`, `freed`, `stop` and each unit's `done` are shared, under the lock; what is in a
 * unit changes hands with them.
 *
 * Order.  What a unit holds depends on its number alone, so on no number of threads.  Steps come in order; an error comes after
 * all the steps before it, and of a step's errors that of its first micro-batch.  The threads allocate nothing, call neither
 * HDF5 nor MPI, and take no signals (handlers run in the main thread).
 */

enum { BOS = 1 };

typedef struct {
    Gather     gather;
    BadSample *bad;                             /* (micro_batch) */
    int        n_bad;
    bool       done;
    Err        why;                             /* when it failed */
} Unit;

struct Loader {
    LoaderConf     c;
    const Shards  *shards;
    int            A, threads;
    LoaderRoom     each;
    Unit          *unit;                        /* (ring * A) */
    StepData       data;                        /* what was handed out last; its arrays */
    Batch         *batch;                       /* (A) */
    BadSample     *bad;                         /* (A * micro_batch) */

    struct Reading { Loader *l; ShardReader *reader; pthread_t thread; } *reading;     /* (threads) */
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    int64_t         taken, given, freed;        /* units taken; steps handed out, steps given back */
    bool            stop;
    Err             why;                        /* once a step failed */
};

/* ---- filling a unit: a thread ---- */

/* Tokens that stay when a sample is cut to max_len merged rows, and the images among them. */
static void cut(const Loader *l, Sample *s)
{
    int64_t rows = 0;
    int n = 0, images = 0;
    for (; n < s->n_tokens && rows < l->c.max_len; n++) {
        bool image = s->tokens[n] == IMAGE_TOKEN;
        rows += image ? l->c.P : 1;
        images += image;
    }
    s->n_tokens = n;
    s->n_images = (int)min64(s->n_images, images);
}

/* A malformed sample becomes one token that teaches nothing, and is remembered. */
static bool read_sample(const Loader *l, ShardReader *r, Unit *u, int64_t id, Sample *s)
{
    static const int32_t bos = BOS, ignore = IGNORE;
    Err why = { 0 };
    if (reader_sample(r, id, s, &why)) {
        cut(l, s);
        return true;
    }
    if (why.code != EXIT_DATA || !l->c.skip_bad) {
        u->why = why;
        return false;
    }
    u->bad[u->n_bad++] = (BadSample){ id, why };
    *s = (Sample){ .n_tokens = 1, .tokens = &bos, .labels = &ignore };
    return true;
}

static void fill(const Loader *l, ShardReader *r, Unit *u, int64_t number)
{
    const LoaderConf *c = &l->c;
    const int64_t step = c->first_step + number / l->A, m = (int64_t)c->dp_rank * l->A + number % l->A;
    const int64_t position = step * c->global_batch + m * c->micro_batch;
    u->n_bad = 0;
    u->why = (Err){ 0 };
    gather_clear(&u->gather);
    for (int b = 0; b < c->micro_batch; b++) {
        const int64_t id = shards_pick(l->shards, c->seed, position + b);
        Sample s;
        if (!read_sample(l, r, u, id, &s))
            return;
        CHECK(gather_add(&u->gather, &s, id), "sample %lld is larger than its data set says", (long long)id);
    }
    Batch *b = &u->gather.batch;
    b->step = step;
    b->first = position % c->global_batch;
    b->global_batch = c->global_batch;
}

static void *read_ahead(void *reading)
{
    struct Reading *me = reading;
    Loader *l = me->l;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->stop && l->taken / l->A - l->freed >= l->c.ring)
            pthread_cond_wait(&l->changed, &l->lock);
        if (l->stop)
            break;
        const int64_t number = l->taken++;
        Unit *u = &l->unit[number % ((int64_t)l->c.ring * l->A)];
        u->done = false;
        pthread_mutex_unlock(&l->lock);
        fill(l, me->reader, u, number);
        pthread_mutex_lock(&l->lock);
        u->done = true;
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- the caller's side ---- */

/* Under the lock. */
static bool step_done(const Loader *l, const Unit *unit)
{
    for (int a = 0; a < l->A; a++)
        if (l->taken <= l->given * l->A + a || !unit[a].done)
            return false;
    return true;
}

const StepData *loader_next(Loader *l, Err *e)
{
    const double start = now();
    pthread_mutex_lock(&l->lock);
    l->freed = l->given;                        /* the step handed out last is the threads' again */
    pthread_cond_broadcast(&l->changed);
    Unit *unit = &l->unit[l->given % l->c.ring * l->A];
    while (!l->why.code && !step_done(l, unit))
        pthread_cond_wait(&l->changed, &l->lock);
    for (int a = 0; a < l->A && !l->why.code; a++)
        l->why = unit[a].why;
    if (l->why.code)
        *e = l->why, l->stop = true;
    else
        l->given++;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (e->code)
        return NULL;
    l->data = (StepData){ .n = l->A, .batch = l->batch, .bad_sample = l->bad, .waited = now() - start };
    for (int a = 0; a < l->A; a++) {
        l->batch[a] = *gather_batch(&unit[a].gather);
        memcpy(l->bad + l->data.bad, unit[a].bad, (size_t)unit[a].n_bad * sizeof *l->bad);
        l->data.bad += unit[a].n_bad;
    }
    return &l->data;
}

static void *room(int64_t n, size_t size)
{
    void *p = calloc((size_t)max64(n, 1), size);
    CHECK(p, "no memory for %lld elements of %zu bytes of the loader", (long long)n, size);
    return p;
}

static GatherRoom unit_room(const LoaderConf *c, const LoaderRoom *each)
{
    return (GatherRoom){ .samples = c->micro_batch, .images = (int)(c->micro_batch * each->images),
                         .tokens = c->micro_batch * each->tokens, .image_bytes = each->image_bytes, .image_codes = each->image_codes };
}

int64_t loader_memory(const LoaderConf *c, const LoaderRoom *each)
{
    const GatherRoom r = unit_room(c, each);
    return gather_bytes(&r) * (c->global_batch / (c->micro_batch * c->dp_size)) * c->ring;
}

static LoaderRoom each_of(const Shards *s, const LoaderConf *c)
{
    const ShardMeta *m = shards_meta(s);
    return (LoaderRoom){ .tokens = max64(1, min64(shards_max_tokens(s), c->max_len)),
                         .images = min64(shards_max_images(s), ceil_div(c->max_len, c->P)),
                         .image_bytes = (int64_t)m->image * m->image * 3, .image_codes = shard_patches(m) * m->depth };
}

GatherRoom loader_room(const Shards *s, const LoaderConf *c)
{
    const LoaderRoom each = each_of(s, c);
    return unit_room(c, &each);
}

static bool sizes(Loader *l, Err *e)
{
    const LoaderConf *c = &l->c;
    const int64_t share = (int64_t)c->micro_batch * c->dp_size;
    ASSERT(c->dp_size > 0 && c->dp_rank >= 0 && c->dp_rank < c->dp_size && c->max_len > 0 && c->P > 0 && c->ring > 1);
    if (c->micro_batch < 1 || c->global_batch < 1 || c->global_batch % share)
        return err_set(e, EXIT_CONFIG, "train.global_batch", "make global_batch a multiple of micro_batch times replicas",
                       "a global batch of %d is not divisible by micro-batches of %d on %d replicas", c->global_batch,
                       c->micro_batch, c->dp_size);
    l->A = (int)(c->global_batch / share);
    l->threads = (int)max64(1, c->threads);
    l->each = each_of(l->shards, c);
    int64_t bytes, R = (int64_t)c->micro_batch * l->A;
    if (c->micro_batch * l->each.tokens > INT32_MAX || c->micro_batch * l->each.images > INT32_MAX ||
        __builtin_mul_overflow(R * max64(l->each.images, 1), l->each.image_bytes, &bytes))
        return err_set(e, EXIT_CONFIG, "train.micro_batch", "lower micro_batch or global_batch",
                       "micro-batches of %d samples of up to %lld tokens and %lld images are too large", c->micro_batch,
                       (long long)l->each.tokens, (long long)l->each.images);
    return true;
}

Loader *loader_open(const Shards *s, const LoaderConf *c, Err *e)
{
    Loader *l = room(1, sizeof *l);
    l->c = *c;
    l->shards = s;
    if (!sizes(l, e)) {
        free(l);
        return NULL;
    }
    const GatherRoom each = unit_room(c, &l->each);
    l->unit = room((int64_t)c->ring * l->A, sizeof *l->unit);
    l->batch = room(l->A, sizeof *l->batch);
    l->bad = room((int64_t)l->A * c->micro_batch, sizeof *l->bad);
    l->reading = room(l->threads, sizeof *l->reading);
    for (int i = 0; i < c->ring * l->A; i++) {
        gather_open(&l->unit[i].gather, &each);
        l->unit[i].bad = room(c->micro_batch, sizeof *l->unit[i].bad);
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    pthread_sigmask(SIG_SETMASK, &all, &before);            /* the threads inherit the mask */
    for (int i = 0; i < l->threads; i++) {
        l->reading[i].l = l;
        l->reading[i].reader = reader_open(s);
        reader_limits(l->reading[i].reader, c->vocab, c->codebook);
        int rc = pthread_create(&l->reading[i].thread, NULL, read_ahead, &l->reading[i]);
        CHECK(rc == 0, "no thread for the loader: error %d", rc);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return l;
}

void loader_close(Loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->threads; i++) {
        pthread_join(l->reading[i].thread, NULL);
        reader_close(l->reading[i].reader);
    }
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
    for (int i = 0; i < l->c.ring * l->A; i++) {
        gather_close(&l->unit[i].gather);
        free(l->unit[i].bad);
    }
    free(l->unit);
    free(l->batch);
    free(l->bad);
    free(l->reading);
    free(l);
}
