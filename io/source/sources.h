/*
 * sources.h -- the table of sources: how each lists one of its files as JSON lines (listing.h)
 *
 *     llava        JSON or JSON Lines, plain, .gz or .zst       a record stays as it is
 *     webdataset   tar files                                    a record a sample: members of one name up to its first dot
 *     coco         captions JSON, plain, .gz or .zst            a record an annotation
 *     parquet      data sets of Hugging Face                    a record a row
 *     folder       pictures, a .txt beside each                 a record a picture
 *
 * Files lie anywhere below one folder, their root; `name` is a file's path below it, and what a record says of pictures inside
 * a file (picture.h) says that name.  The same files give the same lines, wherever the root lies and whoever lists them.
 *
 * Errors: EXIT_DATA at file and byte, or file and row.  Local.  Tests: tests/io/source/test_sources.c, tests/launch/sources.sh
 */
#pragma once
#include "io/source/listing.h"

typedef struct {
    const char *name;              /* data.source */
    const char *suffix;            /* of its files, where a folder of them is named; NULL: a folder is none */
    bool        beside;            /* pictures lie below data.images; else inside the files, or below their root */
    bool      (*list)(Listing *l, const char *path, const char *name, Err *e);
} SourceKind;

enum { SOURCE_KINDS = 5 };
extern const SourceKind source_kinds[SOURCE_KINDS];

/* Pictures by the end of their names. */
bool source_is_picture(const char *name);

bool list_llava(Listing *l, const char *path, const char *name, Err *e);
bool list_webdataset(Listing *l, const char *path, const char *name, Err *e);
bool list_coco(Listing *l, const char *path, const char *name, Err *e);
bool list_parquet(Listing *l, const char *path, const char *name, Err *e);
bool list_folder(Listing *l, const char *path, const char *name, Err *e);
