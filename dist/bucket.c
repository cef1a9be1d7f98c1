#include "dist/bucket.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "dist/comm.h"

struct Buckets {
    const Params *table;
    float   *grads;
    MPI_Comm dp;
    int64_t  span;                  /* elements per bucket; the last to start may be shorter */
    int      n;                     /* buckets, counted from the end of the buffer; 0 with one rank */
    int      started, done;         /* done <= started <= n */
    int      tail;                  /* the params [tail, table->n) are final or frozen, */
    int64_t  ready;                 /* so the gradients [ready, end of the buffer) are final */
    bool    *final;                 /* (table->n) */
    MPI_Request *request;           /* (n) */
    double   waited;
    Arena    arena;
};

static void layout(Buckets *b)
{
    b->final = TAKE(&b->arena, bool, b->table->n);
    b->request = TAKE(&b->arena, MPI_Request, b->n);
}

static int64_t bucket_end(const Buckets *b, int k) { return b->table->grads - k * b->span; }
static int64_t bucket_start(const Buckets *b, int k) { return max64(0, bucket_end(b, k) - b->span); }

static void poll(Buckets *b)
{
    while (b->done < b->started && comm_test(&b->request[b->done]))
        b->done++;
}

/* Starts, in the one allowed order, the buckets that lie wholly in [ready, end of the buffer). */
static void start(Buckets *b)
{
    for (; b->started < b->n && bucket_start(b, b->started) >= b->ready; b->started++) {
        int64_t from = bucket_start(b, b->started);
        comm_sum_start(b->dp, b->grads + from, (int)(bucket_end(b, b->started) - from), &b->request[b->started]);
    }
}

/* A door call of the model: marks, starts what that makes ready, lets the rest progress. */
static void mark(void *ctx, int first, int last)
{
    Buckets *b = ctx;
    const Param *p = b->table->p;
    for (int i = first; i < last; i++) {
        ASSERT(!b->final[i]);
        b->final[i] = true;
    }
    for (; b->tail > 0 && (b->final[b->tail - 1] || p[b->tail - 1].grad < 0); b->tail--)
        if (p[b->tail - 1].grad >= 0)
            b->ready = p[b->tail - 1].grad;
    start(b);
    poll(b);
}

Buckets *buckets_open(const Params *t, float *grads, MPI_Comm dp, int64_t bucket_bytes)
{
    int64_t span = bucket_bytes / (int64_t)sizeof *grads;
    CHECK(span > 0 && span <= INT_MAX, "a bucket of %lld bytes", (long long)bucket_bytes);
    Buckets *b = calloc(1, sizeof *b);
    CHECK(b, "no memory for the buckets");
    b->table = t;
    b->grads = grads;
    b->dp = dp;
    b->span = span;
    b->n = comm_size(dp) > 1 ? (int)ceil_div(t->grads, span) : 0;
    b->arena.name = "buckets";
    layout(b);
    arena_alloc(&b->arena);
    layout(b);
    b->started = b->done = b->n;
    memset(b->final, true, (size_t)t->n);           /* a mark before the first begin is a bug */
    return b;
}

void buckets_close(Buckets *b)
{
    ASSERT(b->done == b->n);
    arena_free(&b->arena);
    free(b);
}

OnGrad buckets_door(Buckets *b) { return (OnGrad){ mark, b }; }

void buckets_begin(Buckets *b)
{
    ASSERT(b->done == b->n);
    memset(b->final, false, (size_t)b->table->n);
    b->tail = b->table->n;
    b->ready = b->table->grads;
    b->started = b->done = 0;
}

void buckets_wait(Buckets *b)
{
    double since = now();
    b->ready = 0;
    start(b);
    for (; b->done < b->n; b->done++)
        comm_wait(&b->request[b->done]);
    memset(b->final, true, (size_t)b->table->n);
    b->waited = now() - since;
}

double  buckets_waited(const Buckets *b) { return b->waited; }
int64_t buckets_bytes(const Buckets *b) { return b->n ? b->table->grads * (int64_t)sizeof *b->grads : 0; }
