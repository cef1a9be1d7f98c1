/*
 * table.h -- a benchmark's table: which column is what, which rows are asked, whose picture each shows
 *
 * Rank 0 reads the file once and tells the others where its fields lie; from then on each rank reads what it asks for.
 *
 *     image         base64; or a list of them; or, of 64 characters at most, the index of the row whose picture it is
 *     image_path    where there is no column image: files below the table's folder, or the folder `images` there
 *
 * A row without a picture is not asked, as VLMEvalKit does (skip_noimg).  Fields that are empty or "nan" are not there.
 *
 * Collective over all ranks: table_open.  EXIT_DATA, EXIT_IO.  Source  VLMEvalKit, vlmeval/dataset/image_base.py.  Tests  tests/launch/kits.sh
 */
#pragma once
#include "io/bench/tsv.h"
#include "io/image/image.h"
#include "launch/kits/kinds.h"
#include "launch/kits/pytext.h"
#include "launch/run.h"

enum { OPTIONS = 26, TABLE_IMAGES = 64 };

typedef struct {
    Tsv      tsv;
    Kind     kind;
    char     name[128];                 /* of the file, without ".tsv" */
    int      index, image, image_path, question, hint, answer, category, l2, split, option[OPTIONS];     /* columns, or -1 */
    int64_t  asked, *row;               /* (asked) rows that are */
    int64_t *shows;                     /* (rows) whose picture */
    int      images;                    /* of a question, at most */
    bool     later;                     /* another table of its kind stands in front of it */
} Table;

/* kind: KINDS: by the name and the columns. */
bool table_open(Table *t, const Run *r, const char *path, Kind kind, Err *e);
void table_close(Table *t);
/* Rank 0, behind tsv_index: says that a file may have been cut short. */
void table_warn(const Tsv *t);
/* The text of a field in the pad; "" where there is no such column, or it is empty, or "nan" where that is no answer.  NULL: e says why. */
char *table_text(const Table *t, int64_t row, int col, Pad *pad, Err *e);
/* A column by its name, letters of either case; -1. */
int   table_column(const Table *t, const char *name);
/* Number of the row's pictures, each (size, size, 3), in *px, which grows; -1: e says why. */
int   table_pictures(const Table *t, int64_t row, int size, int fit, uint8_t **px, int *room, Err *e);
/* The question of a row as it is put to the model, behind its pictures' marks. */
char *table_prompt(const Table *t, int64_t row, int images, Pad *pad, Err *e);
