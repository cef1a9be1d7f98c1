/*
 * loader.h -- the stream of micro-batches, read ahead by threads
 *
 *     position p = step * global_batch + j,    sample = shards_pick(shards, seed, p)
 *     micro-batch m of a step holds j in [m * micro_batch, (m+1) * micro_batch)
 *     rank r holds micro-batches [r * A, (r+1) * A),   A = global_batch / (micro_batch * dp_size)
 *
 * So the content of micro-batch m does not depend on dp_size or on threads, and a resume starts anywhere.
 *
 * A sample is cut on the right to at most max_len merged rows (an image placeholder counts P rows).  Whole
 * tokens are dropped; an image that itself crosses max_len keeps its placeholder, everything behind it is
 * dropped, and the model leaves out the rows beyond max_len: they have no target.
 *
 * Local: of a tp group one rank has a loader, the others get what it read (launch/feed.h).  Tests: tests/io/set/test_loader.c
 */
#pragma once
#include "io/set/gather.h"

typedef struct {
    uint64_t seed;
    int      dp_rank, dp_size, micro_batch, global_batch;
    int      max_len, P;           /* P = rows per image */
    int64_t  first_step;
    int      ring;                 /* steps held, at least 2 */
    int      threads;              /* that read and unpack; 0 = 1 */
    bool     skip_bad;             /* a malformed sample becomes one BOS token that teaches nothing */
    int      vocab, codebook;      /* limits of ids; 0 = not checked */
} LoaderConf;

typedef struct Loader Loader;

/* The most of one sequence, after cutting; bytes of an image's pixels, number of its codes. */
typedef struct { int64_t tokens, images, image_bytes, image_codes; } LoaderRoom;

/* Bytes of the ring for such sequences; asvr plan asks, too.  What a reader unpacks into, a few chunks, comes on top. */
int64_t loader_memory(const LoaderConf *c, const LoaderRoom *each);
/* Room of one micro-batch of these shards. */
GatherRoom loader_room(const Shards *s, const LoaderConf *c);

/* NULL when global_batch does not divide (EXIT_CONFIG).  All memory is allocated here. */
Loader *loader_open(const Shards *s, const LoaderConf *c, Err *e);
void    loader_close(Loader *l);

/* A malformed sample that was replaced. */
typedef struct { int64_t id; Err why; } BadSample;

typedef struct {
    int              n;            /* A micro-batches */
    Batch           *batch;        /* (n) */
    int64_t          bad;          /* samples of this rank's step that were malformed and replaced */
    const BadSample *bad_sample;   /* (bad) */
    double           waited;       /* seconds that loader_next waited */
} StepData;

/* Steps first_step, first_step + 1, ...; valid until the next call.  NULL when a sample is malformed and
   skip_bad is off, or the disk fails; so does every later call. */
const StepData *loader_next(Loader *l, Err *e);
