/*
 * parquet.h -- data sets of Hugging Face in parquet files; the interface of the module asvr-parquet.so
 *
 * Arrow's C++ library brings a hundred megabytes with it and is on few machines, so what touches it (parquetmodule.cc) is a module
 * that only pack loads, and only for data.source = "parquet".  `make` builds it where pkg-config finds arrow and parquet, or with
 * ARROW=DIR, a folder with include/ and the libraries (pyarrow's, for one).
 *
 *     image, picture, img, jpg, png ...   struct {bytes, path}, or binary      one picture
 *     images                              list of those                        several
 *     conversations, messages, texts      list of structs                      the record's turns, as JSON
 *     text, caption, captions ...         string, or list of strings           a caption (of a list the first)
 *
 * Other columns are not read.  A picture's path is ignored where there are bytes; a row of a path alone names a file below the root.
 *
 * Memory: one batch of BATCH rows of the columns that are read, and what Arrow needs for one row group of them.
 * Local.  Tests: tests/peers/parquet.py (pyarrow writes, pack reads), tests/launch/sources.sh (no module)
 */
#pragma once
#include <stdint.h>

#include "io/base/err.h"

enum { PARQUET_VERSION = 1 };

typedef struct ParquetFile ParquetFile;

/* One row, as far as it can be read. */
typedef struct {
    int64_t     row;
    const char *images;            /* JSON values of its pictures with commas; "" for none */
    int         pictures;
    const char *key, *turns;       /* "conversations" or "messages" and its JSON, or NULL */
    const char *caption;           /* NULL: none */
    int64_t     caption_bytes;
    const char *id;                /* "" where there is none */
} ParquetRow;

typedef struct {
    int    version;                /* PARQUET_VERSION, and sizeof(ParquetOps), where the module was built; these two stay in front */
    size_t size;
    /* name: what the records call it.  NULL with EXIT_DATA. */
    ParquetFile *(*open)(const char *path, const char *name, Err *e);
    void (*close)(ParquetFile *f);
    /* Each row in turn; `row` returns false to end it.  False: EXIT_DATA (where: row group and row), or row returned false. */
    bool (*rows)(ParquetFile *f, bool (*row)(void *ctx, const ParquetRow *r), void *ctx, Err *e);
    /* The columns that rows reads, and those it does not: "image, caption; not url, width" */
    const char *(*columns)(const ParquetFile *f);
    /* Bytes of a picture, valid until the next call.  False: EXIT_DATA. */
    bool (*picture)(ParquetFile *f, int64_t row, const char *column, int64_t index, const uint8_t **bytes, size_t *n, Err *e);
} ParquetOps;

/* NULL with EXIT_CONFIG and a hint where there is no module. */
const ParquetOps *parquet_ops(Err *e);
