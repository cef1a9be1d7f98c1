#include "launch/feed.h"

#include <stdlib.h>

#include "dist/comm.h"

struct Feed {
    const Grid *g;
    Loader     *loader;            /* of the first rank of the group */
    int         A;
    GatherRoom  room;
    Gather     *unit;              /* (A) of the others, with their batches */
    Batch      *batch;
    StepData    data;
};

Feed *feed_open(const Grid *g, const Shards *s, const LoaderConf *c, Err *e)
{
    Feed *f = calloc(1, sizeof *f);
    CHECK(f, "no memory for the samples' feed");
    f->g = g;
    f->room = loader_room(s, c);
    if (g->tp_rank == 0) {
        f->loader = loader_open(s, c, e);
        if (f->loader)
            return f;
        free(f);
        return NULL;
    }
    f->A = (int)max64(1, c->global_batch / ((int64_t)c->micro_batch * c->dp_size));
    f->unit = calloc((size_t)f->A, sizeof *f->unit);
    f->batch = calloc((size_t)f->A, sizeof *f->batch);
    CHECK(f->unit && f->batch, "no memory for the samples' feed");
    for (int a = 0; a < f->A; a++)
        gather_open(&f->unit[a], &f->room);
    return f;
}

void feed_close(Feed *f)
{
    if (f->loader)
        loader_close(f->loader);
    for (int a = 0; f->unit && a < f->A; a++)
        gather_close(&f->unit[a]);
    free(f->unit);
    free(f->batch);
    free(f);
}

/* n elements that all of the group have a place for. */
static void give(const Feed *f, const void *x, int64_t n, size_t elem)
{
    if (n)
        comm_bcast(f->g->tp, (void *)(uintptr_t)x, (size_t)n * elem, 0);
}

/* One micro-batch, from the rank that has it to those that have the room. */
static void share(const Feed *f, Batch *b, Gather *to)
{
    int64_t head[6] = { b->B, b->I, b->M, b->step, b->first, b->global_batch };
    give(f, head, 6, sizeof *head);
    if (to) {
        to->batch = (Batch){ .B = (int)head[0], .I = (int)head[1], .M = head[2], .step = head[3], .first = head[4], .global_batch = head[5] };
        *b = *gather_batch(to);
    }
    give(f, b->tokens, b->M, sizeof *b->tokens);
    give(f, b->labels, b->M, sizeof *b->labels);
    give(f, b->token_start, b->B + 1, sizeof *b->token_start);
    give(f, b->image_start, b->B + 1, sizeof *b->image_start);
    give(f, b->sample, b->B, sizeof *b->sample);
    give(f, b->pixels, b->I * f->room.image_bytes, 1);
    give(f, b->codes, b->I * f->room.image_codes, sizeof *b->codes);
}

const StepData *feed_next(Feed *f, Err *e)
{
    const double start = now();
    const StepData *d = f->loader ? loader_next(f->loader, e) : NULL;
    if (f->g->tp_size == 1)
        return d;
    int failed = f->loader && !d;
    comm_bcast(f->g->tp, &failed, sizeof failed, 0);
    if (failed) {
        comm_bcast(f->g->tp, e, sizeof *e, 0);
        return NULL;
    }
    if (d) {
        for (int a = 0; a < d->n; a++)
            share(f, &d->batch[a], NULL);
        return d;
    }
    for (int a = 0; a < f->A; a++)
        share(f, &f->batch[a], &f->unit[a]);
    f->data = (StepData){ .n = f->A, .batch = f->batch, .waited = now() - start };
    return &f->data;
}
