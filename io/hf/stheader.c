/* stheader.c -- the header of a safetensors file, read with distrust (safetensors.h) */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "io/hf/safetensors.h"

static const struct { const char *name; int bytes; StType type; } DTYPE[] = {
    { "F32", 4, ST_F32 },   { "F16", 2, ST_F16 },  { "BF16", 2, ST_BF16 },    { "F64", 8, ST_OTHER },
    { "BOOL", 1, ST_OTHER }, { "U8", 1, ST_OTHER }, { "I8", 1, ST_OTHER },    { "F8_E4M3", 1, ST_OTHER },
    { "F8_E5M2", 1, ST_OTHER }, { "I16", 2, ST_OTHER }, { "U16", 2, ST_OTHER }, { "I32", 4, ST_OTHER },
    { "U32", 4, ST_OTHER }, { "I64", 8, ST_OTHER }, { "U64", 8, ST_OTHER },
};

/* The number of bytes of an element, 0 for an unknown dtype. */
static int dtype_bytes(const char *name, StType *type)
{
    for (size_t i = 0; i < sizeof DTYPE / sizeof *DTYPE; i++)
        if (!strcmp(DTYPE[i].name, name)) {
            *type = DTYPE[i].type;
            return DTYPE[i].bytes;
        }
    return 0;
}

void st_add(St *s, const StTensor *t)
{
    if (s->tensors == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 256;
        s->tensor = realloc(s->tensor, (size_t)s->cap * sizeof *s->tensor);
        CHECK(s->tensor, "no memory for a table of %d tensors", s->cap);
    }
    s->tensor[s->tensors++] = *t;
}

typedef struct {
    const char *path;
    int64_t     head, data;         /* bytes before the data, and of the data */
    Err        *e;
} Parse;

static const char HINT[] = "the file is damaged or was written by another program: download or convert it again";

static bool bad(const Parse *p, int64_t byte, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool bad(const Parse *p, int64_t byte, const char *fmt, ...)
{
    char what[sizeof p->e->what], where[sizeof p->e->where];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    snprintf(where, sizeof where, "%.480s, byte %" PRId64, p->path, byte);
    return err_set(p->e, EXIT_DATA, where, HINT, "%s", what);
}

/* A list of n numbers that are integers and not negative. */
static bool numbers(const json_t *list, int64_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(list, i);
        out[i] = json_integer_value(x);
        if (!json_is_integer(x) || out[i] < 0)
            return false;
    }
    return true;
}

/* shape -> dims, rows, cols, bytes; false: the product leaves 63 bits. */
static bool size_up(StTensor *t)
{
    int64_t all = t->elem;
    bool over = false, none = false;
    t->rows = t->dims ? t->shape[0] : 1;
    t->cols = 1;
    for (int i = 0; i < t->dims; i++) {
        none |= t->shape[i] == 0;
        if (i && !over)
            over = __builtin_mul_overflow(t->cols, t->shape[i], &t->cols);
    }
    over = over || __builtin_mul_overflow(all, t->rows, &all) || __builtin_mul_overflow(all, t->cols, &all);
    t->bytes = none ? 0 : all;
    return !over;
}

static bool read_tensor(const Parse *p, StTensor *t, const char *name, const json_t *j)
{
    const int64_t head = p->head;
    if (strlen(name) >= ST_NAME || !*name)
        return bad(p, 8, "a tensor's name has %zu bytes, not 1 to %d: %.64s...", strlen(name), ST_NAME - 1, name);
    strcpy(t->name, name);
    const json_t *dtype = json_object_get(j, "dtype"), *shape = json_object_get(j, "shape");
    const json_t *offsets = json_object_get(j, "data_offsets");
    int64_t at[2];
    if (!json_is_object(j) || json_object_size(j) != 3 || !json_is_string(dtype) || !json_is_array(shape) || !json_is_array(offsets))
        return bad(p, 8, "tensor \"%s\" has not just dtype, shape and data_offsets", name);
    t->elem = dtype_bytes(json_string_value(dtype), &t->type);
    if (!t->elem)
        return bad(p, 8, "tensor \"%s\" has the unknown dtype \"%.32s\"", name, json_string_value(dtype));
    strcpy(t->dtype, json_string_value(dtype));
    if (json_array_size(shape) > ST_DIMS)
        return bad(p, 8, "tensor \"%s\" has %zu dims, more than %d", name, json_array_size(shape), ST_DIMS);
    t->dims = (int)json_array_size(shape);
    if (!numbers(shape, t->shape, (size_t)t->dims))
        return bad(p, 8, "the shape of tensor \"%s\" is not of integers >= 0", name);
    if (json_array_size(offsets) != 2 || !numbers(offsets, at, 2))
        return bad(p, 8, "the data_offsets of tensor \"%s\" are not two integers >= 0", name);
    if (at[0] > at[1] || at[1] > p->data) {
        err_expected(p->e, "0 <= begin <= end <= %" PRId64 ", the bytes of data", p->data);
        err_got(p->e, "[%" PRId64 ", %" PRId64 "]", at[0], at[1]);
        return bad(p, at[0] > p->data ? head : head + at[0], "the data_offsets of tensor \"%s\" leave the file", name);
    }
    if (!size_up(t))
        return bad(p, head + at[0], "the size of tensor \"%s\" overflows 63 bits", name);
    if (t->bytes != at[1] - at[0]) {
        err_expected(p->e, "%" PRId64 " bytes by its shape and dtype", t->bytes);
        err_got(p->e, "%" PRId64 " bytes by its data_offsets", at[1] - at[0]);
        return bad(p, head + at[0], "tensor \"%s\" has not the size that its shape says", name);
    }
    t->offset = head + at[0];
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const StTensor *x = a, *y = b;
    return x->offset != y->offset ? (x->offset < y->offset ? -1 : 1) : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* The tensors of this file, sorted, must tile the data. */
static bool tiles(const Parse *p, StTensor *t, int n)
{
    int64_t end = p->head;
    if (n)
        qsort(t, (size_t)n, sizeof *t, by_offset);
    for (int i = 0; i < n; end = t[i].offset + t[i].bytes, i++)
        if (t[i].offset < end)
            return bad(p, t[i].offset, "tensors \"%s\" and \"%s\" overlap", t[i - 1].name, t[i].name);
        else if (t[i].offset > end)
            return bad(p, end, "%" PRId64 " bytes before tensor \"%s\" belong to none", t[i].offset - end, t[i].name);
    return end == p->head + p->data || bad(p, end, "%" PRId64 " bytes at the end belong to no tensor", p->head + p->data - end);
}

static bool read_all(const Parse *p, St *s, int file, const json_t *root)
{
    const int first = s->tensors;
    const char *name;
    json_t *j;
    json_object_foreach((json_t *)root, name, j) {
        StTensor t = { .file = file };
        if (!strcmp(name, "__metadata__")) {
            const char *key;
            json_t *value;
            if (!json_is_object(j))
                return bad(p, 8, "__metadata__ is not an object");
            json_object_foreach(j, key, value)
                if (!json_is_string(value))
                    return bad(p, 8, "__metadata__ holds \"%.64s\", which is not a string", key);
            continue;
        }
        if (!read_tensor(p, &t, name, j))
            return false;
        st_add(s, &t);
    }
    const int n = s->tensors - first;
    return tiles(p, n ? s->tensor + first : NULL, n);
}

bool st_parse(St *s, int file, const char *path, Err *e)
{
    const StFile *f = &s->file[file];
    const Parse p = { path, f->head_bytes, f->bytes - f->head_bytes, e };
    const char *text = f->head + 8;
    json_error_t err;
    if (text[0] != '{')
        return bad(&p, 8, "this is no safetensors file: its header does not begin with {");
    json_t *root = json_loadb(text, (size_t)f->head_bytes - 8, JSON_REJECT_DUPLICATES, &err);
    if (!root)
        return bad(&p, 8 + (int64_t)err.position, "the header is not JSON: %s", err.text);
    const bool ok = read_all(&p, s, file, root);
    json_decref(root);
    return ok;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const StTensor *)a)->name, ((const StTensor *)b)->name);
}

bool st_sort(St *s, Err *e)
{
    if (s->tensors)
        qsort(s->tensor, (size_t)s->tensors, sizeof *s->tensor, by_name);
    for (int i = 1; i < s->tensors; i++)
        if (!strcmp(s->tensor[i].name, s->tensor[i - 1].name))
            return err_set(e, EXIT_DATA, s->dir, HINT, "tensor \"%s\" is in %s and again in %s", s->tensor[i].name,
                           s->file[s->tensor[i - 1].file].name, s->file[s->tensor[i].file].name);
    return true;
}

const StTensor *st_find(const St *s, const char *name)
{
    StTensor key;
    if (!s->tensors || strlen(name) >= ST_NAME)
        return NULL;
    strcpy(key.name, name);
    return bsearch(&key, s->tensor, (size_t)s->tensors, sizeof key, by_name);
}

StTensor st_tensor(const char *name, StType type, int dims, const int64_t *shape)
{
    StTensor t = { .type = type, .dims = dims };
    snprintf(t.name, sizeof t.name, "%s", name);
    for (size_t i = 0; i < sizeof DTYPE / sizeof *DTYPE; i++)
        if (DTYPE[i].type == type && type != ST_OTHER) {
            strcpy(t.dtype, DTYPE[i].name);
            t.elem = DTYPE[i].bytes;
        }
    memcpy(t.shape, shape, (size_t)dims * sizeof *shape);
    const bool fits = size_up(&t);
    CHECK(fits && t.elem, "tensor %s cannot be laid out", name);
    return t;
}
