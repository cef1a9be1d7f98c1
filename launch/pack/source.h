/*
 * source.h -- where pack takes its samples from: composed scenes, or LLaVA-style JSON
 *
 * A source says how many samples it has, for training and for evaluation, and makes any of them, in any order.  Local, but
 * for the opening of a LLaVA source, which all ranks read together (records.h).
 * Tests  tests/launch/{train,llava,draw}.sh
 */
#pragma once
#include "io/set/index.h"
#include "io/source/llavaindex.h"
#include "io/text/prompt.h"
#include "launch/config/config.h"

#include <mpi.h>
#include <stdio.h>

/* One sample; the buffers belong to the caller and are reused. */
typedef struct {
    Prompt   prompt;
    int      images, cap;          /* pictures, and room for them */
    uint8_t *pixels;               /* (images, size, size, 3) */
    const char *answer;            /* evaluation questions alone, as is task: as /answers has it; the source's until its next make */
    int      task;                 /* -1: nothing is asked */
    char     record[128];          /* where it comes from, for messages */
} PackSample;

typedef struct Source Source;
struct Source {
    int64_t samples[SPLITS];
    bool    answers;               /* the evaluation split asks questions with known answers */
    char    tasks[SHARD_TASKS], baseline[SHARD_BASELINE];      /* as in ShardMeta */
    /* LLaVA: which of the JSON's records are held out, ascending; the others are for training, in the file's order.  NULL of
       scenes, whose evaluation scenes are others by construction. */
    const int64_t *held;
    int64_t n_held;
    int64_t kinds[SPLITS][KINDS];  /* records of each KIND_: no picture, one, several; 0 of scenes */
    int64_t answer_first;          /* records that began with an answer, which is left out; 0 of scenes */
    uint64_t identity;             /* of all that is read or composed, pictures named in a JSON excepted; equal on all ranks */
    /* Of what samples [first, first + n) of a split are made of: XXH64 of each record's bytes and of the size and time of
       change of each picture that it names.  Reads no picture.  NULL of scenes. */
    uint64_t (*stamp)(Source *s, int split, int64_t first, int64_t n);
    /* 1: made; 0: bad, e says why (the source goes on); -1: the source is broken */
    int   (*make)(Source *s, int split, int64_t i, PackSample *out, Err *e);
    /* Text to train a vocabulary on, one line each: a sample of the training split, never of the other. */
    bool  (*corpus)(Source *s, FILE *f, Err *e);
    void  (*close)(Source *s);
    const Config *c;
    const Text   *text;            /* set before the first make */
    void         *ctx;
};

/* False with e set on this rank; the caller agrees. */
bool source_scenes(Source *s, const Config *c, Err *e);
bool source_llava(Source *s, const Config *c, MPI_Comm comm, Err *e);
/* data.system, or NULL: the template's own. */
const char *source_system(const Source *s);
/* Room for n pictures. */
void pack_sample_room(PackSample *p, int n, int size);
