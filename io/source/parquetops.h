/*
 * parquetops.h -- data sets of Hugging Face in parquet files; the interface of the module asvr-parquet.so
 *
 * Arrow's C++ library brings a hundred megabytes with it and is on few machines, so what touches it (parquetmodule.cc) is a module
 * that only pack loads, and only for data.source = "parquet".  `make` builds it where pkg-config finds arrow and parquet, or with
 * ARROW=DIR, a folder with include/ and the libraries (pyarrow's, for one).  This header is C and C++.
 *
 *     struct {bytes, path}; a list of those        pictures, whatever the column's name; where it says audio or video: refused
 *     image, img, picture, jpg, png ... binary     one picture; images ... list of binary: several
 *     conversations, messages                      list of structs: the record's turns, as JSON
 *     texts                                        list of structs {user, assistant}: likewise
 *     question and answer                          strings: one turn; of answer also a list of them
 *     choices, task                                list of strings; string (asked.h)
 *     caption, text, txt, sentences, ...           string, or list of strings: a record each
 *     id, key, uid, image_id                       string or integer
 *
 * Other columns are not read, but for pictures that are only named, videos and sounds: refused by the column's name.  Pictures are found without reading them where a path stands beside their bytes.
 *
 * Memory: a batch of rows of the columns that are read, and Arrow's buffers of one row group of them.  What is wrong is said in
 * why (cap).  Local.  Tests: tests/peers/parquet.py (pyarrow writes, pack reads), tests/launch/sources.sh (no module)
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PARQUET_VERSION = 2 };

typedef struct ParquetFile ParquetFile;

/* One row, as far as it can be read. */
typedef struct {
    int64_t     row;
    const char *images;            /* JSON values of its pictures with commas between; "" for none */
    int         pictures;
    const char *turns;             /* JSON, or NULL; key: "conversations", "messages" or "question" */
    const char *key;
    const char *asked;             /* members of the record: ",\"answer\":...", or "" */
    const char *caption;           /* NULL: none; beside turns it is not read */
    int64_t     caption_bytes;
    const char *id;                /* "" where there is none */
} ParquetRow;

typedef struct {
    int    version;                /* PARQUET_VERSION, and sizeof(ParquetOps), where the module was built; these two stay in front */
    size_t size;
    /* name: what the records call it.  NULL: cannot be read. */
    ParquetFile *(*open)(const char *path, const char *name, char *why, size_t cap);
    void (*close)(ParquetFile *f);
    /* The columns that are not read, with commas; valid until close. */
    const char *(*unread)(const ParquetFile *f);
    /* Each row in turn; `row` returns false to end it.  False: damaged, or ended. */
    bool (*rows)(ParquetFile *f, bool (*row)(void *ctx, const ParquetRow *r), void *ctx, char *why, size_t cap);
    /* Bytes of a picture, valid until the next call. */
    bool (*picture)(ParquetFile *f, int64_t row, const char *column, int64_t index, const uint8_t **bytes, size_t *n, char *why, size_t cap);
} ParquetOps;
