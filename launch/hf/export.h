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
#include "launch/run.h"
#include "launch/hf/hffiles.h"

enum { FROM_RUN, FROM_BASE, FROM_FILE /* unused.safetensors */, FROM_ONES, FROM_ZEROS };

/* Rows of their own behind the embedding where the text model has as many pieces as it has rows, for <image>: they hold the mean of
   the others, so that no answer prefers them. */
enum { EXPORT_ROWS = 64, EXPORT_NOTES = 2 };

typedef struct {
    int               from;
    const CkptTensor *tensor;       /* FROM_RUN, FROM_BASE */
    const StTensor   *file;         /* FROM_FILE */
    const StTensor   *to;
    HfPiece           piece;
    int64_t          *sum;          /* (cols) of its rows, fixed point, where the file's tensor has EXPORT_ROWS more; else NULL */
} ExportItem;

typedef struct {
    Run         r;
    HfLayout    layout;
    Ckpt       *ckpt[2];                  /* export.from's and the base's, or NULL */
    char        hf[PATH_ROOM];            /* the base's folder of small files; "": no base */
    St          plan, unused;
    ExportItem *item;
    int         items, cap;
    bool        files_embed, files_head, two;     /* with a base: what its files hold; the run's are two different tensors */
    int         image_token, vocab;       /* without a base: the id of <image>, or -1; rows of the embedding in the files */
    char        note[EXPORT_NOTES][256];  /* what a reader of the files may miss, or "" */
} Export;

/* A checkpoint's tensor by its name, "weights/" left out; NULL if it is not there. */
const CkptTensor *export_find(const Export *x, int from, const char *ours);
/* The number of blocks (or codebooks) of a name with one "%d". */
int  export_count(const Export *x, const char *form);
bool plan_from_base(Export *x, Err *e);
/* Where the base ties lm_head to the embedding, the run's must be equal, too. */
bool plan_tied(Export *x, Err *e);
bool plan_own(Export *x, Err *e);
/* What lies beside the weights without a base (exportsmall.c): config.json and others, the tokenizer's.  Local, rank 0. */
bool export_small(Export *x, const char *dir, Err *e);
/* The base's, config.json made to say of lm_head what the files hold.  Local, rank 0. */
bool export_base_small(Export *x, const char *dir, Err *e);
void plan_forget(Export *x);                  /* items.  Local */
