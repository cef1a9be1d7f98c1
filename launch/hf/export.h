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

typedef struct {
    int               from;
    const CkptTensor *tensor;       /* FROM_RUN, FROM_BASE */
    const StTensor   *file;         /* FROM_FILE */
    const StTensor   *to;
    HfPiece           piece;
} ExportItem;

typedef struct {
    Run         r;
    HfLayout    layout;
    Ckpt       *ckpt[2];                  /* export.from's and the base's, or NULL */
    char        hf[PATH_ROOM];            /* the base's folder of small files; "": no base */
    St          plan, unused;
    ExportItem *item;
    int         items, cap;
} Export;

/* A checkpoint's tensor by its name, "weights/" left out; NULL if it is not there. */
const CkptTensor *export_find(const Export *x, int from, const char *ours);
/* The number of blocks (or codebooks) of a name with one "%d". */
int  export_count(const Export *x, const char *form);
bool plan_from_base(Export *x, Err *e);
/* Where the base ties lm_head to the embedding, the run's must be equal, too. */
bool plan_tied(const Export *x, Err *e);
bool plan_own(Export *x, Err *e);
