/*
 * picture.h -- where a picture of a record lies: a file, a piece of a file, or a cell of a table; and how JSON says so
 *
 *     "a.jpg"   {"path": "a.jpg"}   {"url": "a.jpg"}                   a whole file
 *     {"file": "0.tar", "at": 512, "bytes": 1234}                      1234 bytes of a file, the first is byte 512
 *     {"file": "a.parquet", "row": 12, "column": "image", "index": 1}  of a table's row 12, counted over the whole file, column
 *                                                                      "image", there picture 1 (0 where there is one alone)
 *
 * The file's key in an object: path, file, file_name, filename, file_path, image, image_path, img, url, image_url or src; all that
 * are there name the same.  Numbers may be JSON's or their text (jsonplain.h).  Paths as in root.h.
 *
 * Local.  Tests: tests/io/source/test_turns.c, tests/fuzz/fuzz_record.c
 */
#pragma once
#include "io/source/root.h"

typedef struct {
    const char *path;                   /* of the file: resolved, it is there, a regular one */
    int64_t     at, bytes;              /* a piece, which lies inside the file; bytes 0: the whole file */
    int64_t     row;                    /* -1: no table */
    const char *column;                 /* NULL: no table */
    int64_t     index;
} PictureRef;

struct json_t;

/* Does it say that there is no picture: NULL, null, false, "", []? */
bool picture_none(const struct json_t *j);
/* One picture.  `kept`, a JSON list, owns the strings of *out.  EXIT_DATA, e->where is the caller's: no path, no such file (root.h),
   a piece that the file does not have, bytes instead of a path. */
bool picture_read(PictureRef *out, const Root *root, const struct json_t *j, struct json_t *kept, Err *e);
bool picture_same(const PictureRef *a, const PictureRef *b);
/* Is it a file of its own, which a decoder can open? */
static inline bool picture_whole(const PictureRef *p) { return p->row < 0 && p->bytes == 0; }
