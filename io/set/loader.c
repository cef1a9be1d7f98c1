#include "io/set/loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "io/set/order.h"

/*
 * DESIGN: one thread reads ahead
 *
 * Why.  Reading and unpacking a step takes milliseconds that would otherwise be added to each step; the thread
 * spends them while the model computes.  One is enough: a core unpacks hundreds of images a second.
 *
 * Who owns what.  The thread alone uses the reader and fills slots; loader_next hands out slots.  `made` counts the
 * steps filled, `freed` those that the caller is done with; slot s % ring belongs to the thread while
 * made - freed < ring, and to the caller while he works on the step handed out last.  Only these counters, `stop`
 * and `broken` are shared, under the lock; slots change hands with them.
 *
 * Order.  Steps come in order, and an error comes after all the steps before it.  The thread allocates nothing,
 * calls neither HDF5 nor MPI, and takes no signals (handlers run in the main thread).
 */

enum { BOS = 1 };

typedef struct {
    StepData  data;
    Batch    *batch;                            /* (A); the arrays below are R = A * micro_batch sequences long */
    int32_t  *tokens, *labels;                  /* (R, most_tokens) */
    int32_t  *token_start, *image_start;        /* (A, micro_batch + 1) */
    uint8_t  *pixels;                           /* (R * most_images, image, image, 3) */
    uint16_t *codes;                            /* (R * most_images, P, Q) */
    int64_t  *sample, *bad;                     /* (R) */
    Err       bad_first;
} Step;

struct Loader {
    LoaderConf    c;
    const Shards *shards;
    ShardReader  *reader;
    int           A;
    LoaderRoom    each;
    Step         *step;                         /* (ring) */

    pthread_t       thread;
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    int64_t         made, given, freed;
    bool            stop, broken;
    Err             why;                        /* when broken */
};

/* ---- filling a step: the thread ---- */

/* Tokens that stay when a sample is cut to max_len merged rows, and the images among them. */
static int cut(const Loader *l, const Sample *s, int *images)
{
    int64_t rows = 0;
    int n = 0;
    *images = 0;
    for (; n < s->n_tokens && rows < l->c.max_len; n++) {
        bool image = s->tokens[n] == IMAGE_TOKEN;
        rows += image ? l->c.P : 1;
        *images += image;
    }
    return n;
}

/* A malformed sample becomes one token that teaches nothing, and is remembered. */
static bool read_sample(Loader *l, Step *st, int64_t id, Sample *s, Err *e)
{
    static const int32_t bos = BOS, ignore = IGNORE;
    Err why = { 0 };
    if (reader_sample(l->reader, id, s, &why))
        return true;
    if (why.code != EXIT_DATA || !l->c.skip_bad) {
        *e = why;
        return false;
    }
    if (st->data.bad == 0)
        st->bad_first = why;
    st->bad[st->data.bad++] = id;
    *s = (Sample){ .n_tokens = 1, .tokens = &bos, .labels = &ignore };
    return true;
}

static bool fill_batch(Loader *l, Step *st, int a, int64_t position, Err *e)
{
    const LoaderConf *c = &l->c;
    const int64_t first = (int64_t)a * c->micro_batch, image = first * l->each.images;
    int32_t *tokens = st->tokens + first * l->each.tokens, *labels = st->labels + first * l->each.tokens;
    int32_t *token_start = st->token_start + a * (c->micro_batch + 1);
    int32_t *image_start = st->image_start + a * (c->micro_batch + 1);
    uint8_t *pixels = st->pixels + image * l->each.image_bytes;
    uint16_t *codes = l->each.image_codes ? st->codes + image * l->each.image_codes : NULL;
    int32_t M = 0, I = 0;
    for (int b = 0; b < c->micro_batch; b++) {
        int64_t id = order_sample(shards_meta(l->shards)->samples, c->seed, position + b);
        Sample s;
        int images;
        if (!read_sample(l, st, id, &s, e))
            return false;
        int n = cut(l, &s, &images);
        memcpy(tokens + M, s.tokens, (size_t)n * sizeof *tokens);
        memcpy(labels + M, s.labels, (size_t)n * sizeof *labels);
        if (images)
            memcpy(pixels + I * l->each.image_bytes, s.pixels, (size_t)(images * l->each.image_bytes));
        if (images && codes)
            memcpy(codes + I * l->each.image_codes, s.codes, (size_t)(images * l->each.image_codes) * sizeof *codes);
        st->sample[first + b] = id;
        token_start[b] = M;
        image_start[b] = I;
        M += n;
        I += images;
    }
    token_start[c->micro_batch] = M;
    image_start[c->micro_batch] = I;
    st->batch[a] = (Batch){
        .B = c->micro_batch, .I = I, .M = M, .tokens = tokens, .labels = labels, .token_start = token_start,
        .image_start = image_start, .pixels = pixels, .codes = codes, .sample = st->sample + first,
        .step = position / c->global_batch, .first = position % c->global_batch, .global_batch = c->global_batch,
    };
    return true;
}

static bool fill_step(Loader *l, Step *st, int64_t step, Err *e)
{
    const LoaderConf *c = &l->c;
    st->data = (StepData){ .n = l->A, .batch = st->batch, .bad_ids = st->bad, .bad_first = &st->bad_first };
    for (int a = 0; a < l->A; a++) {
        int64_t m = (int64_t)c->dp_rank * l->A + a;
        if (!fill_batch(l, st, a, step * c->global_batch + m * c->micro_batch, e))
            return false;
    }
    return true;
}

static void *read_ahead(void *loader)
{
    Loader *l = loader;
    pthread_mutex_lock(&l->lock);
    while (!l->broken) {
        while (!l->stop && l->made - l->freed >= l->c.ring)
            pthread_cond_wait(&l->changed, &l->lock);
        if (l->stop)
            break;
        int64_t step = l->made;
        pthread_mutex_unlock(&l->lock);
        Err why = { 0 };
        bool ok = fill_step(l, &l->step[step % l->c.ring], l->c.first_step + step, &why);
        pthread_mutex_lock(&l->lock);
        if (ok)
            l->made++;
        else
            l->why = why, l->broken = true;
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- the caller's side ---- */

const StepData *loader_next(Loader *l, Err *e)
{
    const double start = now();
    pthread_mutex_lock(&l->lock);
    l->freed = l->given;                        /* the step handed out last is the thread's again */
    pthread_cond_broadcast(&l->changed);
    while (l->made == l->given && !l->broken)
        pthread_cond_wait(&l->changed, &l->lock);
    StepData *d = NULL;
    if (l->made > l->given) {
        d = &l->step[l->given++ % l->c.ring].data;
        d->waited = now() - start;
    } else {
        *e = l->why;
    }
    pthread_mutex_unlock(&l->lock);
    return d;
}

/* n * size bytes; pages that are never used are never touched. */
static void *room(int64_t n, int64_t size)
{
    void *p = calloc((size_t)max64(n, 1), (size_t)size);
    CHECK(p, "no memory for %lld elements of %lld bytes of the loader", (long long)n, (long long)size);
    return p;
}

/* Run with `bytes` it only counts. */
static void *step_room(int64_t n, int64_t size, int64_t *bytes)
{
    if (!bytes)
        return room(n, size);
    *bytes += n * size;
    return NULL;
}

static void make_step(const Loader *l, Step *s, int64_t *bytes)
{
    const int64_t B = l->c.micro_batch, R = B * l->A, images = R * l->each.images;
    s->batch = step_room(l->A, sizeof *s->batch, bytes);
    s->tokens = step_room(R * l->each.tokens, sizeof *s->tokens, bytes);
    s->labels = step_room(R * l->each.tokens, sizeof *s->labels, bytes);
    s->token_start = step_room(l->A * (B + 1), sizeof *s->token_start, bytes);
    s->image_start = step_room(l->A * (B + 1), sizeof *s->image_start, bytes);
    s->pixels = step_room(images * l->each.image_bytes, 1, bytes);
    s->codes = l->each.image_codes ? step_room(images * l->each.image_codes, sizeof *s->codes, bytes) : NULL;
    s->sample = step_room(R, sizeof *s->sample, bytes);
    s->bad = step_room(R, sizeof *s->bad, bytes);
}

int64_t loader_memory(const LoaderConf *c, const LoaderRoom *each)
{
    const Loader l = { .c = *c, .each = *each, .A = c->global_batch / (c->micro_batch * c->dp_size) };
    Step s;
    int64_t bytes = 0;
    make_step(&l, &s, &bytes);
    return bytes * c->ring;
}

static bool sizes(Loader *l, Err *e)
{
    const LoaderConf *c = &l->c;
    const ShardMeta *m = shards_meta(l->shards);
    const int64_t share = (int64_t)c->micro_batch * c->dp_size;
    ASSERT(c->dp_size > 0 && c->dp_rank >= 0 && c->dp_rank < c->dp_size && c->max_len > 0 && c->P > 0 && c->ring > 1);
    if (c->micro_batch < 1 || c->global_batch < 1 || c->global_batch % share)
        return err_set(e, EXIT_CONFIG, "train.global_batch", "make global_batch a multiple of micro_batch times replicas",
                       "a global batch of %d is not divisible by micro-batches of %d on %d replicas", c->global_batch,
                       c->micro_batch, c->dp_size);
    l->A = (int)(c->global_batch / share);
    l->each.tokens = max64(1, min64(shards_max_tokens(l->shards), c->max_len));
    l->each.images = min64(shards_max_images(l->shards), ceil_div(c->max_len, c->P));
    l->each.image_bytes = (int64_t)m->image * m->image * 3;
    l->each.image_codes = shard_patches(m) * m->depth;
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
    if (!sizes(l, e) || !(l->reader = reader_open(s, e))) {
        free(l);
        return NULL;
    }
    reader_limits(l->reader, c->vocab, c->codebook);
    l->step = room(c->ring, sizeof *l->step);
    for (int i = 0; i < c->ring; i++)
        make_step(l, &l->step[i], NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    pthread_sigmask(SIG_SETMASK, &all, &before);            /* the thread inherits the mask */
    int rc = pthread_create(&l->thread, NULL, read_ahead, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    CHECK(rc == 0, "no thread for the loader: error %d", rc);
    return l;
}

void loader_close(Loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
    for (int i = 0; i < l->c.ring; i++) {
        Step *s = &l->step[i];
        void *const owned[] = { s->batch, s->tokens, s->labels, s->token_start, s->image_start,
                                s->pixels, s->codes, s->sample, s->bad };
        for (size_t k = 0; k < sizeof owned / sizeof *owned; k++)
            free(owned[k]);
    }
    free(l->step);
    reader_close(l->reader);
    free(l);
}
