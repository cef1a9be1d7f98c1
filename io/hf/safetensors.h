/*
 * safetensors.h -- weights as Hugging Face keeps them: model.safetensors, or shards with an index
 *
 *     8 bytes     n, little-endian: length of the header
 *     n bytes     {"__metadata__": {"format": "pt"},
 *                  "lm_head.weight": {"dtype": "BF16", "shape": [32000, 4096], "data_offsets": [0, 262144000]}, ...}
 *     the rest    the tensors' elements, little-endian, row-major; offsets count from here; no overlap, no hole
 *
 *     model.safetensors.index.json    {"metadata": {...}, "weight_map": {NAME: FILE, ...}}
 *
 * Nothing is believed: the header's length is compared with the file's before a byte is allocated, sizes are
 * multiplied with overflow checks, the tensors must tile the data, the index and the files must name each other's
 * tensors exactly, a file's name must be plain (a symbolic link is followed: the hub's cache consists of them).
 *
 * A tensor is seen as 2-D, (first dim, all others).  F32, F16 and BF16 become fp32 (half.h); other types are carried
 * as bytes.  A header alone (NAME.header, the file's first 8 + n bytes) is a layout that a file can be written by.
 *
 *     St s;
 *     if (st_open(&s, "llava-1.5-7b-hf", "", e) && st_read(&s, st_find(&s, "lm_head.weight"), 0, 10, 0, 4096, x, 4096, e))
 *
 * Local: every rank reads or writes the rectangles that it wants.
 * Errors  malformed: EXIT_DATA, naming file, byte and tensor; disk: EXIT_IO
 * Source  huggingface/safetensors, README "Format"
 * Tests   tests/io/hf/test_safetensors.c
 */
#pragma once
#include "io/base/files.h"

enum { ST_DIMS = 8, ST_NAME = 256, ST_FILES = 1000 };

#define ST_SINGLE "model.safetensors"
#define ST_INDEX  "model.safetensors.index.json"
#define ST_HEADER ".header"

typedef enum { ST_F32, ST_F16, ST_BF16, ST_OTHER } StType;

typedef struct {
    char    name[ST_NAME], dtype[8];
    StType  type;
    int     elem;                   /* bytes of an element */
    int     file, dims;
    int64_t shape[ST_DIMS];
    int64_t rows, cols;             /* as 2-D; a scalar is (1,1), a vector (n,1) */
    int64_t offset, bytes;          /* in its file */
} StTensor;

typedef struct {
    char    name[ST_NAME];
    char   *head;                   /* the first head_bytes bytes: length and header */
    int64_t head_bytes, bytes;      /* bytes: of the whole file */
    int     fd;                     /* -1: a layout only */
} StFile;

typedef struct {
    char      dir[PATH_ROOM];
    StFile   *file;
    StTensor *tensor;               /* by name */
    char     *index;                /* the text of the index; NULL: a single file */
    size_t    index_bytes;
    int       files, tensors, cap;
} St;

/* Opens a folder's weights and checks all headers.  suffix "": the files; ST_HEADER: their headers alone.
   st_close in either case. */
bool st_open(St *s, const char *dir, const char *suffix, Err *e);
void st_close(St *s);
/* Opens one file of a folder as if it were the only one. */
bool st_open_file(St *s, const char *dir, const char *name, Err *e);

/* NULL if there is none of this name. */
const StTensor *st_find(const St *s, const char *name);
/* x[i * ld + j] = element (row + i, col + j), i < rows, j < cols.  The tensor must be F32, F16 or BF16. */
bool st_read(const St *s, const StTensor *t, int64_t row, int64_t rows, int64_t col, int64_t cols, float *x, int64_t ld,
             Err *e);
/* n bytes of the tensor from its byte `at` on, as they are. */
bool st_read_bytes(const St *s, const StTensor *t, int64_t at, int64_t n, void *out, Err *e);

/* ---- writing ---- */

/* A layout of our own: the tensors' names, dtypes and shapes given, sorted by name into files of at most shard_bytes
   (a larger tensor has one of its own; 0: one file), with an index if there are several.  st_close in the end. */
bool st_plan(St *s, const StTensor *t, int n, int64_t shard_bytes, Err *e);
/* A tensor of a plan. */
StTensor st_tensor(const char *name, StType type, int dims, const int64_t *shape);
/* Creates dir/NAME of file i of a layout: header, and room for the data.  One rank. */
bool st_create(const St *s, int file, const char *dir, Err *e);
/* Opens it for writing: a descriptor, or -1. */
int  st_open_write(const St *s, int file, const char *dir, Err *e);
/* The inverse of st_read, rounding to the tensor's type; a finite number that it cannot hold is EXIT_DATA. */
bool st_write(const St *s, const StTensor *t, int fd, int64_t row, int64_t rows, int64_t col, int64_t cols, const float *x,
              int64_t ld, Err *e);
bool st_write_bytes(const St *s, const StTensor *t, int fd, int64_t at, int64_t n, const void *in, Err *e);

/* ---- between the two halves of this module ---- */

/* Reads the header text in f->head into s->tensor: everything about one file that can be wrong.  `path` for messages. */
bool st_parse(St *s, int file, const char *path, Err *e);
/* Sorts by name; a name of two files is an error. */
bool st_sort(St *s, Err *e);
void st_add(St *s, const StTensor *t);
