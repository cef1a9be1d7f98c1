#include "launch/feed.h"

#include <stdlib.h>
#include <string.h>

#include "dist/comm.h"

/* DESIGN: a step crosses in two broadcasts, its numbers and its bytes.  All arrays of all micro-batches lie in one parcel, in an
   order that follows from the numbers, so both sides compute the same places; the receivers compute on the parcel itself. */

enum { NUMBERS = 6, ALIGN = 64 };

struct Feed {
    const Grid *g;
    Loader     *loader;            /* of the first rank of the group */
    int         A;
    GatherRoom  room;
    int64_t    *head;              /* failed; then of each micro-batch B, I, M, step, first, global_batch */
    char       *parcel;
    Batch      *batch;             /* (A), of those that receive */
    StepData    data;
};

static char *room(int64_t bytes)
{
    char *p = calloc((size_t)bytes + 1, 1);
    CHECK(p, "no memory for %lld bytes of the samples' feed", (long long)bytes);
    return p;
}

Feed *feed_open(const Grid *g, const Shards *s, const LoaderConf *c, Err *e)
{
    Feed *f = (Feed *)(void *)room(sizeof *f);
    f->g = g;
    f->room = loader_room(s, c);
    f->A = (int)max64(1, c->global_batch / ((int64_t)c->micro_batch * c->dp_size));
    if (g->tp_rank == 0 && !(f->loader = loader_open(s, c, e))) {
        free(f);
        return NULL;
    }
    if (g->tp_size > 1) {
        enum { ARRAYS = 7 };
        f->head = (int64_t *)(void *)room((1 + NUMBERS * f->A) * (int64_t)sizeof *f->head);
        f->batch = (Batch *)(void *)room(f->A * (int64_t)sizeof *f->batch);
        f->parcel = room(f->A * (gather_bytes(&f->room) + ARRAYS * ALIGN));
    }
    return f;
}

void feed_close(Feed *f)
{
    if (f->loader)
        loader_close(f->loader);
    free(f->head);
    free(f->parcel);
    free(f->batch);
    free(f);
}

/* The next n bytes of the parcel; `from` is copied there unless it is NULL. */
static const void *place(char *parcel, int64_t *at, const void *from, int64_t n)
{
    char *here = parcel + *at;
    if (from && n)
        memcpy(here, from, (size_t)n);
    *at = ceil_div(*at + n, ALIGN) * ALIGN;
    return here;
}

/* The arrays of a micro-batch of these numbers: copied into the parcel, or found there. */
static void lay(const Feed *f, Batch *out, const Batch *from, const int64_t number[NUMBERS], int64_t *at)
{
    const int64_t B = number[0], I = number[1], M = number[2];
    const Batch none = { 0 }, *b = from ? from : &none;
    *out = (Batch){ .B = (int)B, .I = (int)I, .M = M, .step = number[3], .first = number[4], .global_batch = number[5] };
    out->tokens = place(f->parcel, at, b->tokens, M * (int64_t)sizeof *b->tokens);
    out->labels = place(f->parcel, at, b->labels, M * (int64_t)sizeof *b->labels);
    out->token_start = place(f->parcel, at, b->token_start, (B + 1) * (int64_t)sizeof *b->token_start);
    out->image_start = place(f->parcel, at, b->image_start, (B + 1) * (int64_t)sizeof *b->image_start);
    out->sample = place(f->parcel, at, b->sample, B * (int64_t)sizeof *b->sample);
    out->pixels = place(f->parcel, at, b->pixels, I * f->room.image_bytes);
    if (f->room.image_codes)
        out->codes = place(f->parcel, at, b->codes, I * f->room.image_codes * (int64_t)sizeof *b->codes);
}

const StepData *feed_next(Feed *f, Err *e)
{
    const double start = now();
    const StepData *d = f->loader ? loader_next(f->loader, e) : NULL;
    if (f->g->tp_size == 1)
        return d;
    f->head[0] = f->loader && !d;
    for (int a = 0; d && a < f->A; a++) {
        const Batch *b = &d->batch[a];
        memcpy(f->head + 1 + NUMBERS * a, (int64_t[NUMBERS]){ b->B, b->I, b->M, b->step, b->first, b->global_batch },
               NUMBERS * sizeof *f->head);
    }
    comm_bcast(f->g->tp, f->head, (size_t)(1 + NUMBERS * f->A) * sizeof *f->head, 0);
    if (f->head[0]) {
        comm_bcast(f->g->tp, e, sizeof *e, 0);
        return NULL;
    }
    int64_t bytes = 0;
    for (int a = 0; a < f->A; a++)
        lay(f, &f->batch[a], d ? &d->batch[a] : NULL, f->head + 1 + NUMBERS * a, &bytes);
    comm_bcast(f->g->tp, f->parcel, (size_t)bytes, 0);
    f->data = (StepData){ .n = f->A, .batch = f->batch, .waited = now() - start };
    return d ? d : &f->data;
}
