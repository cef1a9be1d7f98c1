#include "io/hf/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "io/base/files.h"
#include "core/half.h"

enum { HEADER_MAX = 100 << 20, INDEX_MAX = 100 << 20, CHUNK = 1 << 18 /* elements */ };

static const char HINT[] = "the folder is incomplete or damaged: download it again";

/* ---- opening ---- */

/* The length in front and the header; everything else is judged by st_parse. */
static bool read_head(StFile *f, const char *path, bool alone, int64_t size, Err *e)
{
    unsigned char raw[8] = { 0 };
    uint64_t n = 0;
    const int64_t got = file_pread(f->fd, raw, 8, 0);
    if (got < 0)
        return file_error(e, path, "read");
    for (int i = 7; i >= 0; i--)
        n = n << 8 | raw[i];
    if (got < 8 || n < 2 || n > HEADER_MAX || n > (uint64_t)size - 8) {
        err_expected(e, "2 to %" PRId64 " bytes", min64(HEADER_MAX, max64(size - 8, 0)));
        err_got(e, "%" PRIu64 " bytes", n);
        char where[sizeof e->where];
        snprintf(where, sizeof where, "%.480s, byte 0", path);
        return err_set(e, EXIT_DATA, where, HINT, "this is no safetensors file: the length of its header is impossible");
    }
    f->head_bytes = 8 + (int64_t)n;
    f->bytes = size;
    f->head = malloc(n + 9);
    CHECK(f->head, "no memory for a header of %" PRIu64 " bytes", n);
    f->head[f->head_bytes] = 0;
    if (file_pread(f->fd, f->head, f->head_bytes, 0) != f->head_bytes)
        return file_error(e, path, "read the header");
    return !alone || f->head_bytes == size
        || err_set(e, EXIT_DATA, path, HINT, "%" PRId64 " bytes follow the header", size - f->head_bytes);
}

/* Of a header alone: the size of the file it describes, so that its tensors tile it. */
static void add_data(StFile *f)
{
    json_t *root = json_loadb(f->head + 8, (size_t)f->head_bytes - 8, JSON_REJECT_DUPLICATES, NULL), *j;
    const char *name;
    json_object_foreach(root, name, j) {
        const int64_t end = json_integer_value(json_array_get(json_object_get(j, "data_offsets"), 1));
        if (end < INT64_MAX / 2)
            f->bytes = max64(f->bytes, f->head_bytes + end);
    }
    json_decref(root);
}

static bool add_file(St *s, const char *name, const char *suffix, Err *e)
{
    char path[PATH_ROOM];
    struct stat st;
    StFile *f = &s->file[s->files];
    const bool alone = suffix[0];
    *f = (StFile){ .fd = -1 };
    if (strlen(name) >= ST_NAME)
        return err_set(e, EXIT_DATA, s->dir, "", "the name of a file of weights is too long");
    if (!path_set(path, e, "%s/%s%s", s->dir, name, suffix))
        return false;
    strcpy(f->name, name);
    s->files++;
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 && errno == ENOENT)
        return err_set(e, EXIT_DATA, path, HINT, "a file of weights is missing");
    if (f->fd < 0 || fstat(f->fd, &st) != 0)
        return file_error(e, path, "open");
    if (!S_ISREG(st.st_mode))
        return err_set(e, EXIT_DATA, path, "", "not a regular file");
    if (!read_head(f, path, alone, st.st_size, e))
        return false;
    if (alone)
        add_data(f);
    if (!st_parse(s, s->files - 1, path, e))
        return false;
    if (alone) {
        close(f->fd);
        f->fd = -1;
    }
    return true;
}

/* The index's list of (tensor, file): opens the files, then compares the list with what they hold. */
static bool follow(St *s, const json_t *map, const char *where, const char *suffix, Err *e)
{
    const char *tensor;
    json_t *j;
    json_object_foreach((json_t *)map, tensor, j) {
        const char *file = json_string_value(j);
        int i = 0;
        if (!file || !*file || strchr(file, '/') || file[0] == '.')
            return err_set(e, EXIT_DATA, where, HINT, "tensor \"%.200s\" is said to be in \"%.200s\", which is no plain file name",
                           tensor, file ? file : "?");
        while (i < s->files && strcmp(s->file[i].name, file))
            i++;
        if (i == ST_FILES)
            return err_set(e, EXIT_DATA, where, "", "more than %d files", ST_FILES);
        if (i == s->files && !add_file(s, file, suffix, e))
            return false;
    }
    if (!st_sort(s, e))
        return false;
    json_object_foreach((json_t *)map, tensor, j) {
        const StTensor *t = st_find(s, tensor);
        if (!t || strcmp(s->file[t->file].name, json_string_value(j)))
            return err_set(e, EXIT_DATA, where, HINT, "the index says that tensor \"%.200s\" is in %.200s; it is not", tensor,
                           json_string_value(j));
    }
    for (int i = 0; i < s->tensors; i++)
        if (!json_object_get(map, s->tensor[i].name))
            return err_set(e, EXIT_DATA, where, HINT, "tensor \"%s\" in %s is not in the index", s->tensor[i].name,
                           s->file[s->tensor[i].file].name);
    return true;
}

static bool open_index(St *s, const char *path, const char *suffix, Err *e)
{
    json_error_t err;
    if (!file_read(path, INDEX_MAX, &s->index, &s->index_bytes, e))
        return false;
    json_t *root = json_loadb(s->index, s->index_bytes, JSON_REJECT_DUPLICATES, &err);
    const json_t *map = json_object_get(root, "weight_map");
    char where[sizeof e->where];
    snprintf(where, sizeof where, "%.400s, byte %d", path, root ? 0 : err.position);
    const bool ok = json_object_size(map) > 0 ? follow(s, map, path, suffix, e)
                  : err_set(e, EXIT_DATA, where, HINT, "the index is not JSON with a weight_map: %s", root ? "none there" : err.text);
    json_decref(root);
    return ok;
}

static bool begin(St *s, const char *dir, Err *e)
{
    *s = (St){ 0 };
    s->file = calloc(ST_FILES, sizeof *s->file);
    CHECK(s->file, "no memory for a list of files");
    return path_set(s->dir, e, "%s", dir);
}

bool st_open_file(St *s, const char *dir, const char *name, Err *e)
{
    return begin(s, dir, e) && add_file(s, name, "", e) && st_sort(s, e);
}

bool st_open(St *s, const char *dir, const char *suffix, Err *e)
{
    char single[PATH_ROOM], index[PATH_ROOM];
    if (!begin(s, dir, e) || !path_set(single, e, "%s/%s%s", dir, ST_SINGLE, suffix) || !path_set(index, e, "%s/" ST_INDEX, dir))
        return false;
    if (access(single, F_OK) == 0)
        return add_file(s, ST_SINGLE, suffix, e) && st_sort(s, e);
    if (access(index, F_OK) == 0)
        return open_index(s, index, suffix, e);
    if (access(dir, F_OK) != 0)
        return err_set(e, EXIT_DATA, dir, "", "there is no such folder");
    return err_set(e, EXIT_DATA, dir, "weights in PyTorch's own format (.bin, .pth) must be saved as safetensors first",
                   "there is neither " ST_SINGLE "%s nor " ST_INDEX, suffix);
}

void st_close(St *s)
{
    for (int i = 0; i < s->files; i++) {
        if (s->file[i].fd >= 0)
            close(s->file[i].fd);
        free(s->file[i].head);
    }
    free(s->file);
    free(s->tensor);
    free(s->index);
    *s = (St){ 0 };
}

/* ---- reading ---- */

static bool read_at(const St *s, const StTensor *t, int64_t at, int64_t n, void *out, Err *e)
{
    char path[PATH_ROOM], where[sizeof e->where];
    const StFile *f = &s->file[t->file];
    const int64_t got = file_pread(f->fd, out, n, t->offset + at);
    if (got == n)
        return true;
    if (!path_set(path, e, "%s/%s", s->dir, f->name))
        return false;
    if (got < 0)
        return file_error(e, path, "read");
    snprintf(where, sizeof where, "%.400s, byte %" PRId64, path, t->offset + at + got);
    return err_set(e, EXIT_IO, where, "it was cut while it was read", "the file ends within tensor \"%s\"", t->name);
}

bool st_read_bytes(const St *s, const StTensor *t, int64_t at, int64_t n, void *out, Err *e)
{
    ASSERT(at >= 0 && n >= 0 && at + n <= t->bytes);
    return read_at(s, t, at, n, out, e);
}

static void widen(float *x, const void *raw, int64_t n, StType type)
{
    const uint16_t *h = raw;
    uint32_t bits;
    if (type == ST_F32) {
        memcpy(x, raw, (size_t)n * sizeof *x);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        bits = type == ST_F16 ? f16_widen(h[i]) : bf16_widen(h[i]);
        memcpy(x + i, &bits, sizeof bits);
    }
}

bool st_read(const St *s, const StTensor *t, int64_t row, int64_t rows, int64_t col, int64_t cols, float *x, int64_t ld,
             Err *e)
{
    static _Thread_local uint32_t raw[CHUNK];
    ASSERT(row >= 0 && col >= 0 && row + rows <= t->rows && col + cols <= t->cols);
    if (t->type == ST_OTHER)
        return err_set(e, EXIT_DATA, s->file[t->file].name, "weights are F32, F16 or BF16",
                       "tensor \"%s\" has dtype %s", t->name, t->dtype);
    if (cols == t->cols && ld == cols)                         /* whole rows: one stretch of the file */
        cols *= rows, rows = rows > 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j += CHUNK) {
            const int64_t n = min64(CHUNK, cols - j);
            if (!read_at(s, t, ((row + i) * t->cols + col + j) * t->elem, n * t->elem, raw, e))
                return false;
            widen(x + i * ld + j, raw, n, t->type);
        }
    return true;
}
