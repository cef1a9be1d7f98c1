/* stwrite.c -- writing safetensors: a layout first, then rectangles at their places (safetensors.h) */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "io/base/files.h"
#include "core/half.h"
#include "io/hf/safetensors.h"

enum { CHUNK = 1 << 18, ALIGN = 8 };

/* ---- a layout ---- */

/* Which tensor is in which file, and how many files there are. */
static int assign(St *s, int64_t shard_bytes)
{
    int64_t used = 0;
    int file = 0;
    for (int i = 0; i < s->tensors; i++) {
        StTensor *t = &s->tensor[i];
        if (shard_bytes && used && used + t->bytes > shard_bytes)
            file++, used = 0;
        t->file = file;
        t->offset = used;                           /* from the data's start, for now */
        used += t->bytes;
    }
    return file + 1;
}

/* The header of file i, and with it the final offsets. */
static void write_head(St *s, int i)
{
    StFile *f = &s->file[i];
    json_t *root = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    int64_t data = 0;
    for (int k = 0; k < s->tensors; k++) {
        const StTensor *t = &s->tensor[k];
        if (t->file != i)
            continue;
        json_t *shape = json_array();
        for (int d = 0; d < t->dims; d++)
            json_array_append_new(shape, json_integer(t->shape[d]));
        json_object_set_new(root, t->name, json_pack("{s:s, s:o, s:[I,I]}", "dtype", t->dtype, "shape", shape, "data_offsets",
                                                     (json_int_t)t->offset, (json_int_t)(t->offset + t->bytes)));
        data += t->bytes;
    }
    char *text = json_dumps(root, JSON_COMPACT);
    CHECK(text, "no memory for a header of %d tensors", s->tensors);
    const int64_t n = (int64_t)strlen(text), padded = ceil_div(n, ALIGN) * ALIGN;
    f->fd = -1;
    f->head_bytes = 8 + padded;
    f->bytes = f->head_bytes + data;
    f->head = malloc((size_t)f->head_bytes + 1);
    CHECK(f->head, "no memory for a header of %" PRId64 " bytes", padded);
    for (int b = 0; b < 8; b++)
        f->head[b] = (char)(padded >> 8 * b & 255);
    memcpy(f->head + 8, text, (size_t)n);
    memset(f->head + 8 + n, ' ', (size_t)(padded - n));
    f->head[f->head_bytes] = 0;
    for (int k = 0; k < s->tensors; k++)
        if (s->tensor[k].file == i)
            s->tensor[k].offset += f->head_bytes;
    free(text);
    json_decref(root);
}

static void write_index(St *s)
{
    json_t *map = json_object();
    int64_t bytes = 0;
    for (int i = 0; i < s->tensors; i++) {
        json_object_set_new(map, s->tensor[i].name, json_string(s->file[s->tensor[i].file].name));
        bytes += s->tensor[i].bytes;
    }
    json_t *root = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)bytes, "weight_map", map);
    s->index = json_dumps(root, JSON_INDENT(2));
    CHECK(s->index, "no memory for an index of %d tensors", s->tensors);
    s->index_bytes = strlen(s->index);
    json_decref(root);
}

bool st_plan(St *s, const StTensor *t, int n, int64_t shard_bytes, Err *e)
{
    *s = (St){ 0 };
    s->file = calloc(ST_FILES, sizeof *s->file);
    CHECK(s->file, "no memory for a list of files");
    for (int i = 0; i < n; i++)
        st_add(s, &t[i]);
    if (!st_sort(s, e))
        return false;
    const int files = assign(s, shard_bytes);
    if (files > ST_FILES)
        return err_set(e, EXIT_CONFIG, "export.shard_mb", "larger shards", "%d files, more than %d", files, ST_FILES);
    for (s->files = 0; s->files < files; s->files++) {
        char *name = s->file[s->files].name;
        snprintf(name, ST_NAME, files == 1 ? ST_SINGLE : "model-%05d-of-%05d.safetensors", s->files + 1, files);
        write_head(s, s->files);
    }
    if (files > 1)
        write_index(s);
    return true;
}

/* ---- the files ---- */

bool st_create(const St *s, int file, const char *dir, Err *e)
{
    const StFile *f = &s->file[file];
    char path[PATH_ROOM];
    if (!path_set(path, e, "%s/%s", dir, s->file[file].name))
        return false;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return file_error(e, path, "create");
    bool ok = file_write(fd, f->head, (size_t)f->head_bytes) || file_error(e, path, "write");
    ok = ok && file_reserve(fd, path, f->bytes, e);                   /* a full disk shows now */
    if (close(fd) && ok)
        ok = file_error(e, path, "close");
    return ok;
}

int st_open_write(const St *s, int file, const char *dir, Err *e)
{
    char path[PATH_ROOM];
    if (!path_set(path, e, "%s/%s", dir, s->file[file].name))
        return -1;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        file_error(e, path, "open");
    return fd;
}

/* The index of the first finite number that would become infinite, or -1. */
static int64_t narrow(void *raw, const float *x, int64_t n, StType type)
{
    uint16_t *h = raw;
    uint32_t bits;
    int64_t lost = -1;
    if (type == ST_F32) {
        memcpy(raw, x, (size_t)n * sizeof *x);
        return -1;
    }
    for (int64_t i = 0; i < n; i++) {
        memcpy(&bits, x + i, sizeof bits);
        h[i] = type == ST_F16 ? f16_narrow(bits) : bf16_narrow(bits);
        const uint32_t top = type == ST_F16 ? 0x7c00 : 0x7f80;
        if ((h[i] & 0x7fff) == top && (bits & 0x7fffffff) != 0x7f800000 && lost < 0)
            lost = i;
    }
    return lost;
}

bool st_write_bytes(const St *s, const StTensor *t, int fd, int64_t at, int64_t n, const void *in, Err *e)
{
    ASSERT(at >= 0 && n >= 0 && at + n <= t->bytes);
    return file_pwrite(fd, in, n, t->offset + at) || file_error(e, s->file[t->file].name, "write");
}

bool st_write(const St *s, const StTensor *t, int fd, int64_t row, int64_t rows, int64_t col, int64_t cols, const float *x,
              int64_t ld, Err *e)
{
    static _Thread_local uint32_t raw[CHUNK];
    ASSERT(row >= 0 && col >= 0 && row + rows <= t->rows && col + cols <= t->cols && t->type != ST_OTHER);
    if (cols == t->cols && ld == cols)
        cols *= rows, rows = rows > 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j += CHUNK) {
            const int64_t n = min64(CHUNK, cols - j);
            const int64_t lost = narrow(raw, x + i * ld + j, n, t->type);
            if (lost >= 0)
                return err_set(e, EXIT_DATA, s->file[t->file].name, "bfloat16 and float32 reach further",
                               "%g of tensor \"%s\" is too large for %s", (double)x[i * ld + j + lost], t->name, t->dtype);
            if (!st_write_bytes(s, t, fd, ((row + i) * t->cols + col + j) * t->elem, n * t->elem, raw, e))
                return false;
        }
    return true;
}
