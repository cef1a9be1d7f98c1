/*
 * tsv.h -- a table of questions as VLMEvalKit keeps it: tab separated, a line of names, pictures in base64
 *
 *     index <tab> image <tab> question <tab> A <tab> B <tab> answer
 *     0 <tab> iVBORw0KGgo... <tab> "a ""quoted"" word,<newline>a second line" <tab> ...
 *
 * The dialect is that of pandas' read_csv(sep="\t"): a field that begins with " ends with the next ", "" inside it is one ", tabs
 * and line ends in it belong to it; lines end with \n, \r\n or \r; empty lines are none; a byte-order mark in front is passed over.
 * Unlike there a row has exactly as many fields as the first line, so that a file cut short is noticed.
 *
 * Files are gigabytes of pictures: one pass finds where the fields lie (16 bytes a field) and the file's hash, contents are read when they are asked for.
 *
 * Local.  EXIT_DATA at "FILE: row 12, column "image", byte 4711": rows count from 1 behind the line of names, bytes from 0.  EXIT_IO.
 * Source  open-compass/VLMEvalKit, vlmeval/dataset/image_base.py, vlmeval/smp/file.py
 * Tests   tests/io/bench/test_tsv.c, tests/fuzz/fuzz_tsv.c
 */
#pragma once
#include "io/base/files.h"

typedef struct { int64_t at, bytes; } TsvCell;       /* as it is written, with its quotes */

typedef struct {
    char     path[PATH_ROOM];
    int      fd, cols;
    int64_t  size, rows, cap;
    char   **name;                      /* (cols) */
    TsvCell *cell;                      /* (rows, cols) */
    uint64_t hash;                      /* XXH64 of the file */
    bool     open;                      /* its last line has no end: the file may have been cut short within its last field */
} Tsv;

/* A text that grows; bytes (n) and a NUL. */
typedef struct { char *bytes; size_t n, cap; } TsvText;

/* The names of the columns.  tsv_close is to be called in any case. */
bool tsv_open(Tsv *t, const char *path, Err *e);
void tsv_close(Tsv *t);
/* Where all fields lie, and the hash. */
bool tsv_index(Tsv *t, Err *e);
/* The same from whoever has it: room for so many rows, which the caller fills. */
TsvCell *tsv_room(Tsv *t, int64_t rows);

int  tsv_column(const Tsv *t, const char *name);     /* -1: there is none */
/* A field as it is meant, without quotes; a text is UTF-8, or refused (bytes: any). */
bool tsv_text(const Tsv *t, int64_t row, int col, TsvText *out, Err *e);
bool tsv_bytes(const Tsv *t, int64_t row, int col, TsvText *out, Err *e);
void tsv_text_free(TsvText *x);
/* What is wrong with a field: EXIT_DATA there. */
bool tsv_wrong(const Tsv *t, int64_t row, int col, Err *e, const char *hint, const char *what, ...) __attribute__((format(printf, 6, 7)));

/* text (n) as a field: in quotes where it needs them, as pandas' to_csv writes it. */
void tsv_put(TsvText *out, const char *text, size_t n);
void tsv_add(TsvText *out, const char *bytes, size_t n);
