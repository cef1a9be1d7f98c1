/*
 * export.h -- one export under way: which tensor of the files comes from where (exportplan.c), and the verb (export.c)
 *
 * An item is one tensor of a checkpoint and its block of one tensor of the files.  Rows of items are divided among
 * the ranks and go through a buffer of bounded size, whatever the model's.
 *
 * plan_*: collective over all ranks, the same answer on each.
 * Errors  a checkpoint that does not fit the base or the configuration: EXIT_DATA
 * Tests   tests/launch/hf.sh
 */
#pragma once
#include "io/hf/hfmap.h"
#include "launch/bases.h"
#include "launch/hf/hffiles.h"

/* The run's, export.base's, those that the run's stands on, and what is in no checkpoint. */
enum { FROM_RUN, FROM_BASE, FROM_UNDER, FROM_FILE = FROM_UNDER + BASES /* unused.safetensors */, FROM_ONES, FROM_ZEROS };

/* Rows of their own behind the embedding where the text model has as many pieces as it has rows, for <image>: they hold the mean of
   the others, so that no answer prefers them. */
enum { EXPORT_ROWS = 64, EXPORT_NOTES = 2 };

typedef struct {
    int               from;
    const CkptTensor *tensor;       /* of a checkpoint */
    const CkptTensor *a, *up;       /* its low-rank pair, the run's, which is added; or NULL */
    const StTensor   *file;         /* FROM_FILE */
    const StTensor   *to;
    HfPiece           piece;
    int64_t          *sum;          /* (cols) of its rows, fixed point, where the file's tensor has EXPORT_ROWS more; else NULL */
} ExportItem;

typedef struct {
    Run         r;
    HfLayout    layout;
    Ckpt       *ckpt[FROM_FILE];          /* export.from's, the base's and what export.from's stands on, or NULL */
    Bases       under;
    char        hf[PATH_ROOM];            /* the base's folder of small files; "": no base */
    St          plan, unused;
    ExportItem *item;
    int         items, cap, merged;       /* merged: items with a pair */
    bool        files_embed, files_head, two;     /* with a base: what its files hold; the run's are two different tensors */
    int         image_token, vocab;       /* without a base: the id of <image>, or -1; rows of the embedding in the files */
    char        note[EXPORT_NOTES][256];  /* what a reader of the files may miss, or "" */
} Export;

/* A checkpoint's tensor by its name, "weights/" left out; NULL if it is not there.  FROM_RUN: of the run's, or of those that it stands on. */
const CkptTensor *export_find(const Export *x, int from, const char *ours);
/* The number of blocks (or codebooks) of a name with one "%d". */
int  export_count(const Export *x, const char *form);
bool plan_from_base(Export *x, Err *e);
/* Where the base ties lm_head to the embedding, the run's must be equal, too. */
bool plan_tied(Export *x, Err *e);
bool plan_own(Export *x, Err *e);
/* Pairs alone, and the projector if it has learned (exportadapter.c). */
bool plan_adapter(Export *x, Err *e);
bool export_adapter_small(const Export *x, const char *dir, Err *e);      /* Local, rank 0 */
void export_add(Export *x, ExportItem item);                              /* Local */
/* What lies beside the weights without a base (exportsmall.c): config.json and others, the tokenizer's.  Local, rank 0. */
bool export_small(Export *x, const char *dir, Err *e);
/* The base's, config.json made to say of lm_head what the files hold.  Local, rank 0. */
bool export_base_small(Export *x, const char *dir, Err *e);
void plan_forget(Export *x);                  /* items.  Local */
