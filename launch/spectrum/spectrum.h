/*
 * spectrum.h -- what `asvr spectrum` knows: matrices with their singular values, codebooks, features of pictures
 *
 *     spectrum.c        the matrices of a checkpoint, dealt over the ranks
 *     inventory.c       which there are
 *     features.c        what pictures look like on their way through the model
 *     spectrumtable.c   the table, the verdict, RUN/spectrum.json
 *
 * Matrices of at most spectrum.whole elements go whole to one rank each, the most expensive first, each to the rank that
 * has least to do; larger ones lie in slabs on all ranks (dist/svd.h), one after the other.  A codebook's pairs of vectors
 * are compared by one rank, which holds it whole.
 *
 * Of low-rank pairs nobody wants the halves: part decoder has each weight with its pair, w + s up a, w from the checkpoint or its base; part lora
 * has s up a alone, of which as many values as the rank can be other than zero.
 *
 * Source  docs/FORMATS.md, spectrum.json
 * Tests   tests/launch/spectrum.sh, tests/dist/test_svd.c
 */
#pragma once
#include "dist/svd.h"
#include "io/base/files.h"
#include "launch/spectrum/measures.h"
#include "launch/run.h"

enum { FEATURE_ROWS = 32768 /* patches of pictures, about so many at most */, FEATURE_KINDS = 5 };

/* What looks collapsed: an effective rank below this share of min(rows, columns); a codebook with so large a share of
   vectors that are copies, or whose use is worth so small a share of its vectors. */
#define COLLAPSED_RANK   0.10
#define COLLAPSED_COPIES 0.50
#define COLLAPSED_USE    0.10
/* Two code vectors are copies if they are no further apart than this share of their length.  (Distances come from float
   squares and are good to about 5e-4 of it.) */
#define COPY 0.01
/* A code is in use if it is chosen more often than this share of the mean. */
#define USED 0.01

typedef struct {
    char     part[PARAM_NAME];     /* "decoder", of features "features" */
    char     name[CKPT_NAME];      /* what follows: "1.attn.wq" */
    int64_t  rows, cols;
    int      n;                    /* min(rows, cols) singular values; of an update the rank */
    const CkptTensor *a, *up;      /* NULL, or the low-rank pair that is added */
    bool     update;               /* the pair alone */
    int64_t  at;                   /* the first in Spectrum.values */
    Measures m;
} Matrix;

/* How often the codes of a codebook are chosen. */
typedef struct { double total, used, perplexity; } BookUse;        /* total 0: not known */

typedef struct {
    char    name[CKPT_NAME];       /* "codes.0" */
    int64_t vectors, width;
    double  copies;                /* vectors that have a copy */
    BookUse counted, seen;         /* by the running means of the checkpoint; by the pictures that were looked at */
} Book;

typedef struct {
    Run      r;
    Svd      svd;
    Ckpt    *ckpt;
    char     path[PATH_ROOM];              /* of the checkpoint */
    CkptMeta meta;
    const CkptTensor *tensor;              /* (tensors) of the checkpoint */
    int      tensors;
    Matrix  *matrix;                       /* (n), those of weights first */
    int      n, weights, merged;           /* merged: with a pair */
    double  *values;                       /* (used) singular values of all of them */
    int64_t  used;
    Book    *book;                         /* (books) */
    int      books;
    bool     features;                     /* wanted, and found: the following */
    char     no_features[512];             /* "" or why not */
    const char *data;                      /* "evaluation" or "training" */
    int64_t  samples, rows;                /* looked at; rows of each matrix of features */
    int      every;                        /* every so many'th patch of a picture is a row */
} Spectrum;

/* Fills in the features' matrices, s->values and what the codebooks' vectors are used for, or s->no_features.  must: what
   hinders is an error.  Collective over all ranks; false with the error on each. */
bool features_look(Spectrum *s, bool must, Err *e);
#define SPECTRUM_WEIGHTS "weights/"
#define SPECTRUM_TABLE   ".table"
/* Is the part of n bytes one of a list like "decoder,head"?  An empty list has all.  Local. */
bool spectrum_wanted(const char *list, const char *name, size_t n);
/* Does the checkpoint have every part of the list?  Local. */
bool spectrum_parts(const Spectrum *s, const char *list, Err *e);
/* Its matrices and codebooks of those parts.  Local. */
void spectrum_list(Spectrum *s, const char *list);
/* Room for the values of one more matrix, whose number is returned. */
int  spectrum_add(Spectrum *s, const char *part, const char *name, int64_t rows, int64_t cols);
/* Of how often (S) each code was chosen. */
BookUse spectrum_use(const float *count, int S);

/* Prints everything and writes RUN/spectrum.json.  Rank 0. */
bool spectrum_report(Spectrum *s, double seconds, Err *e);
