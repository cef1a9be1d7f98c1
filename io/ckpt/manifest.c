#include "io/ckpt/manifest.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define FORMAT "asvr-checkpoint"

enum { TENSORS_MAX = 1 << 20, FILES_MAX = 1 << 16 };

/* ---- writing ---- */

static json_t *hex(uint64_t x)
{
    return json_sprintf("0x%016" PRIx64, x);
}

static json_t *tensors_json(const Manifest *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->tensors; i++) {
        json_t *shape = json_array();
        for (int d = 0; d < m->tensor[i].dims; d++)
            json_array_append_new(shape, json_integer(m->tensor[i].size[d]));
        json_array_append_new(list, json_pack("{s:s, s:o, s:I}", "name", m->tensor[i].name, "shape", shape,
                                                    "offset", (json_int_t)m->tensor[i].offset));
    }
    return list;
}

static json_t *files_json(const Manifest *m)
{
    json_t *list = json_array();
    for (int64_t b = 0; b < m->blocks; b++)
        json_array_append_new(list, hex(m->block[b]));
    return json_pack("[{s:s, s:I, s:i, s:o}]", "name", TENSORS_NAME, "bytes", (json_int_t)m->bytes, "block", HASH_BLOCK,
                     "xxh64", list);
}

static json_t *beside_json(const Manifest *m)
{
    json_t *list = json_array();
    for (int i = 0; i < m->files; i++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:o}", "name", m->file[i].name, "bytes", (json_int_t)m->file[i].bytes,
                                              "xxh64", hex(m->file[i].xxh64)));
    return list;
}

static json_t *norms_json(const CkptNorms *n)
{
    json_t *list = json_array();
    for (int i = 0; i < n->n; i++)
        json_array_append_new(list, json_real(n->norm[i]));     /* written with 17 digits: all bits */
    return list;
}

static json_t *manifest_json(const Manifest *m)
{
    const CkptMeta *c = &m->meta;
    json_t *root = json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:{s:o}, s:o, s:o, s:{s:i, s:i}, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}",
        "format", FORMAT, "version", CKPT_VERSION,
        "step", (json_int_t)c->step, "cursor", (json_int_t)(c->step * c->global_batch),
        "global_batch", (json_int_t)c->global_batch, "samples", (json_int_t)c->samples,
        "rng", "seed", hex(c->seed), "config_hash", hex(c->config_hash), "fingerprint", hex(c->fingerprint),
        "grid", "dp", c->dp, "tp", c->tp, "stage", c->stage, "data", c->data, "init", c->init, "moments", hex(c->moments),
        "norms", norms_json(&c->norms), "beside", beside_json(m),
        "tensors", tensors_json(m), "files", files_json(m));
    if (c->base[0])
        json_object_set_new(root, "base", json_string(c->base));
    if (c->lora_rank)
        json_object_set_new(root, "lora", json_pack("{s:i, s:f}", "rank", c->lora_rank, "alpha", c->lora_alpha));
    return root;
}

/* What ends a manifest whose first n bytes are text. */
static int seal(char out[64], const char *text, size_t n)
{
    return snprintf(out, 64, ",\n \"hash\": \"0x%016" PRIx64 "\"\n}\n", (uint64_t)XXH64(text, n, 0));
}

char *manifest_text(const Manifest *m)
{
    json_t *root = manifest_json(m);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    size_t n = text ? strlen(text) : 0;
    char *out = n > 2 ? malloc(n + 64) : NULL;
    if (out) {
        n -= 2;                                 /* the hash goes before the last "\n}" */
        memcpy(out, text, n);
        seal(out + n, out, n);
    }
    free(text);
    return out;
}

/* ---- reading ---- */

typedef struct { const char *where; Err *e; } Reader;

static bool damaged(const Reader *r, const char *what)
{
    return err_set(r->e, EXIT_DATA, r->where, "", "the manifest is damaged: %s", what);
}

static bool get_int(const Reader *r, const json_t *o, const char *key, int64_t lo, int64_t hi, int64_t *out)
{
    const json_t *v = json_object_get(o, key);
    *out = json_integer_value(v);
    if (json_is_integer(v) && *out >= lo && *out <= hi)
        return true;
    err_expected(r->e, "\"%s\" between %" PRId64 " and %" PRId64, key, lo, hi);
    return damaged(r, "a number is missing or out of range");
}

static bool get_hex(const Reader *r, const json_t *v, uint64_t *out)
{
    const char *s = json_string_value(v);
    if (!s || strlen(s) != 18 || strncmp(s, "0x", 2) || strspn(s + 2, "0123456789abcdef") != 16)
        return damaged(r, "a hexadecimal number is malformed");
    *out = strtoull(s, NULL, 16);
    return true;
}

static bool get_text(const Reader *r, const json_t *o, const char *key, char *out, size_t cap)
{
    const char *s = json_string_value(json_object_get(o, key));
    if (!s || strlen(s) >= cap) {
        err_expected(r->e, "\"%s\" of less than %zu bytes", key, cap);
        return damaged(r, "a text is missing or too long");
    }
    memcpy(out, s, strlen(s) + 1);
    return true;
}

static bool read_norms(const Reader *r, const json_t *list, CkptNorms *n)
{
    if (list && (!json_is_array(list) || json_array_size(list) > CKPT_NORMS))
        return damaged(r, "the list of norms is too long, or none");
    for (n->n = 0; n->n < (int)json_array_size(list); n->n++) {
        n->norm[n->n] = json_number_value(json_array_get(list, (size_t)n->n));
        if (!(n->norm[n->n] > 0))
            return damaged(r, "a norm is not above 0");
    }
    return true;
}

static bool read_lora(const Reader *r, const json_t *o, CkptMeta *c)
{
    const json_t *lora = json_object_get(o, "lora");
    int64_t rank = 0;
    if (json_object_get(o, "base") && !get_text(r, o, "base", c->base, sizeof c->base))
        return false;
    if (lora && !get_int(r, lora, "rank", 1, INT32_MAX, &rank))
        return false;
    c->lora_rank = (int)rank;
    c->lora_alpha = json_number_value(json_object_get(lora, "alpha"));
    return !lora || c->lora_alpha > 0 || damaged(r, "the alpha of its low-rank pairs is not above 0");
}

static bool read_meta(const Reader *r, const json_t *o, CkptMeta *c)
{
    const json_t *rng = json_object_get(o, "rng"), *grid = json_object_get(o, "grid");
    int64_t cursor = 0, dp = 0, tp = 0, product;
    bool ok = get_int(r, o, "step", 0, INT64_MAX, &c->step) && get_int(r, o, "global_batch", 0, INT64_MAX, &c->global_batch)
           && get_int(r, o, "samples", 0, INT64_MAX, &c->samples) && get_int(r, o, "cursor", 0, INT64_MAX, &cursor)
           && get_hex(r, json_object_get(rng, "seed"), &c->seed)
           && get_hex(r, json_object_get(o, "config_hash"), &c->config_hash)
           && get_hex(r, json_object_get(o, "fingerprint"), &c->fingerprint)
           && get_int(r, grid, "dp", 1, 1 << 30, &dp) && get_int(r, grid, "tp", 1, 1 << 30, &tp)
           && get_text(r, o, "stage", c->stage, sizeof c->stage) && get_text(r, o, "data", c->data, sizeof c->data)
           && (c->version == 1 || get_text(r, o, "init", c->init, sizeof c->init))
           && (c->version < 3 || (get_hex(r, json_object_get(o, "moments"), &c->moments) && read_norms(r, json_object_get(o, "norms"), &c->norms)))
           && read_lora(r, o, c);
    if (ok && (__builtin_mul_overflow(c->step, c->global_batch, &product) || product != cursor))
        ok = damaged(r, "the cursor is not step * global_batch");
    c->dp = (int)dp, c->tp = (int)tp;
    return ok;
}

static bool read_files(const Reader *r, const json_t *list, Manifest *m)
{
    const json_t *o = json_array_get(list, 0), *blocks = json_object_get(o, "xxh64");
    char name[32];
    int64_t block;
    if (json_array_size(list) != 1 || !get_text(r, o, "name", name, sizeof name) || strcmp(name, TENSORS_NAME))
        return damaged(r, "it must list one file, " TENSORS_NAME);
    if (!get_int(r, o, "block", HASH_BLOCK, HASH_BLOCK, &block) || !get_int(r, o, "bytes", 0, INT64_MAX - HASH_BLOCK, &m->bytes))
        return false;
    m->blocks = ceil_div(m->bytes, HASH_BLOCK);
    if ((uint64_t)m->blocks != json_array_size(blocks))
        return damaged(r, "the number of hashes does not match the size of the file");
    m->block = calloc((size_t)m->blocks + 1, sizeof *m->block);
    CHECK(m->block, "no memory for %" PRId64 " hashes", m->blocks);
    for (int64_t b = 0; b < m->blocks; b++)
        if (!get_hex(r, json_array_get(blocks, (size_t)b), &m->block[b]))
            return false;
    return true;
}

/* Since version 3.  All in one folder of RUN, each once, in order. */
static bool read_beside(const Reader *r, const json_t *list, Manifest *m)
{
    const size_t n = json_array_size(list);
    if (m->meta.version < 3)
        return true;
    if (!json_is_array(list) || n > FILES_MAX)
        return damaged(r, "no list of files beside the checkpoint, or one too long");
    m->file = calloc(n + 1, sizeof *m->file);
    CHECK(m->file, "no memory for a list of %zu files", n);
    for (m->files = 0; m->files < (int)n; m->files++) {
        const json_t *o = json_array_get(list, (size_t)m->files);
        CkptFile *f = &m->file[m->files];
        if (!get_text(r, o, "name", f->name, sizeof f->name) || !get_int(r, o, "bytes", 0, INT64_MAX, &f->bytes) ||
            !get_hex(r, json_object_get(o, "xxh64"), &f->xxh64))
            return false;
        const size_t folder = strcspn(f->name, "/");
        if (!beside_named(f->name) || folder >= sizeof m->meta.beside || strncmp(f->name, m->file[0].name, folder + 1) ||
            (m->files && strcmp(f[-1].name, f->name) >= 0))
            return damaged(r, "the list of files beside the checkpoint is malformed");
        snprintf(m->meta.beside, sizeof m->meta.beside, "%.*s", (int)folder, f->name);
    }
    return true;
}

static bool read_tensor(const Reader *r, const json_t *o, int64_t bytes, CkptTensor *t)
{
    const json_t *shape = json_object_get(o, "shape");
    int64_t end = 4;
    bool big = false;
    if (!get_text(r, o, "name", t->name, sizeof t->name) || !get_int(r, o, "offset", 0, bytes, &t->offset))
        return false;
    if (json_array_size(shape) < 1 || json_array_size(shape) > SLICE_DIMS)
        return damaged(r, "a tensor has no shape, or too many dims");
    if (t->offset % 4)
        return damaged(r, "a tensor does not begin at a word of the file");
    t->dims = (int)json_array_size(shape);
    for (int d = 0; d < t->dims; d++) {
        const json_t *v = json_array_get(shape, (size_t)d);
        t->size[d] = json_integer_value(v);
        if (!json_is_integer(v) || t->size[d] < 0)
            return damaged(r, "a tensor's shape is malformed");
        big |= __builtin_mul_overflow(end, t->size[d], &end);
    }
    if (big || end > bytes - t->offset)
        return damaged(r, "a tensor does not fit into the file");
    return true;
}

/* After read_files: a tensor lies inside the file. */
static bool read_tensors(const Reader *r, const json_t *list, Manifest *m)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > TENSORS_MAX)
        return damaged(r, "no table of tensors, or one too long");
    m->tensor = calloc(n + 1, sizeof *m->tensor);
    CHECK(m->tensor, "no memory for a table of %zu tensors", n);
    for (m->tensors = 0; m->tensors < (int)n; m->tensors++)
        if (!read_tensor(r, json_array_get(list, (size_t)m->tensors), m->bytes, &m->tensor[m->tensors]))
            return false;
    return true;
}

static bool read_root(const Reader *r, const json_t *o, Manifest *m)
{
    const char *format = json_string_value(json_object_get(o, "format"));
    int64_t version;
    if (!format || strcmp(format, FORMAT))
        return damaged(r, "\"format\" is not \"" FORMAT "\"");
    if (!get_int(r, o, "version", 1, INT32_MAX, &version))
        return false;
    if (version > CKPT_VERSION) {
        m->newer = true;
        err_expected(r->e, "version %d at most", CKPT_VERSION);
        err_got(r->e, "version %" PRId64, version);
        return err_set(r->e, EXIT_DATA, r->where, "read it with the program that wrote it, or a newer one",
                       "the checkpoint is of a newer format");
    }
    m->meta.version = (int)version;
    return read_meta(r, o, &m->meta) && read_beside(r, json_object_get(o, "beside"), m) && read_files(r, json_object_get(o, "files"), m)
        && read_tensors(r, json_object_get(o, "tensors"), m);
}

bool manifest_parse(Manifest *m, const char *text, size_t n, const char *where, Err *e)
{
    *m = (Manifest){0};
    Reader r = { where, e };
    char end[64];
    size_t tail = (size_t)seal(end, text, 0);           /* its length never varies */
    if (n < tail)
        return damaged(&r, "it is cut short");
    seal(end, text, n - tail);
    if (memcmp(end, text + n - tail, tail))
        return damaged(&r, "its own hash does not match");
    m->hash = XXH64(text, n - tail, 0);
    json_error_t why;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    bool ok = root ? read_root(&r, root, m) : damaged(&r, why.text);
    json_decref(root);
    return ok;
}

void manifest_free(Manifest *m)
{
    free(m->tensor);
    free(m->block);
    free(m->file);
    m->tensor = NULL, m->block = NULL, m->file = NULL;
}
