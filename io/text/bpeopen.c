#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "io/base/files.h"
#include "io/text/bpebuild.h"

enum { BESIDE_BYTES = 64 << 20 };

static size_t blanks(const char *s, size_t n)
{
    size_t i = n >= 3 && memcmp(s, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (i < n && s[i] && strchr(" \t\r\n", s[i]))
        i++;
    return i;
}

static bool is_ranks(const char *s, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    size_t i = 0;
    while (i < n && s[i] && strchr(digits, s[i]))
        i++;
    return i > 0 && i + 1 < n && s[i] == ' ' && s[i + 1] >= '0' && s[i + 1] <= '9';
}

bool bpetext_is(const char *bytes, size_t n)
{
    const size_t i = blanks(bytes, n);
    return (i < n && bytes[i] == '{') || is_ranks(bytes, n);
}

/* A file of the folder, where it is there. */
static bool beside(const char *folder, const char *name, char **bytes, size_t *n, Err *e)
{
    char path[PATH_ROOM];
    *bytes = NULL;
    return path_set(path, e, "%s/%s", folder, name) && (access(path, F_OK) != 0 || file_read(path, BESIDE_BYTES, bytes, n, e));
}

static bool beside_json(const char *folder, const char *name, json_t **root, Err *e)
{
    char *bytes, where[PATH_ROOM];
    size_t n;
    json_error_t why;
    *root = NULL;
    if (!beside(folder, name, &bytes, &n, e) || !bytes)
        return !e->code;
    /* model_max_length is 1e30, written out: every number is read as a real. */
    *root = json_loadb(bytes, n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
    free(bytes);
    return *root || (path_set(where, e, "%s/%s", folder, name) && err_set(e, EXIT_DATA, where, "", "this is no JSON: %.120s (line %d)", why.text, why.line));
}

static int first_id(const json_t *v)
{
    v = json_is_array(v) ? json_array_get(v, 0) : v;
    const double id = json_is_number(v) ? json_number_value(v) : -1;
    return id >= 0 && id < BPE_IDS ? (int)id : -1;
}

static bool open_beside(Beside *b, const char *path, bool merges, Err *e)
{
    char folder[PATH_ROOM];
    json_t *generation = NULL;
    const bool ok = path_folder(folder, path, e) && beside_json(folder, "tokenizer_config.json", &b->config, e) &&
                    beside_json(folder, "special_tokens_map.json", &b->map, e) && beside_json(folder, "generation_config.json", &generation, e) &&
                    (!merges || (beside_json(folder, "added_tokens.json", &b->added, e) && beside(folder, "merges.txt", &b->merges, &b->merges_n, e)));
    b->bos_id = first_id(json_object_get(generation, "bos_token_id"));
    b->eos_id = first_id(json_object_get(generation, "eos_token_id"));
    json_decref(generation);
    return ok;
}

static void close_beside(Beside *b)
{
    json_decref(b->config);
    json_decref(b->added);
    json_decref(b->map);
    free(b->merges);
}

/* A token by its name, as the first file that names the key has it: null is none.  Else by its id; else as a text gets it. */
static int token_of(const BpeText *t, const Beside *b, const char *key, int id, const char *around)
{
    const json_t *files[] = { b->config, b->map };
    for (int i = 0; i < 2; i++) {
        const json_t *v = json_object_get(files[i], key);
        const char *name = json_is_string(v) ? json_string_value(v) : text_at(v, "content");
        if (v)
            return name ? bpetext_symbol(t, name) : -1;
    }
    return bpe_kind(t->bpe, id) != PIECE_NONE ? id : around ? bpetext_symbol(t, around) : -1;
}

static uint64_t hash_json(const json_t *root, uint64_t seed)
{
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const uint64_t h = text ? XXH64(text, strlen(text), seed) : seed;
    free(text);
    return h;
}

static bool build(BpeText *t, const char *path, const char *bytes, size_t n, Err *e)
{
    const size_t skip = blanks(bytes, n);
    json_error_t why;
    Beside b = { .bos_id = -1, .eos_id = -1 };
    t->hash = XXH64(bytes, n, 0);
    if (bytes[skip] != '{')
        return build_ranks(t, bytes, n, path, e);
    json_t *root = json_loadb(bytes + skip, n - skip, JSON_ALLOW_NUL, &why);
    if (!root)
        return err_set(e, EXIT_DATA, path, "", "this text model is no JSON: %.120s (line %d)", why.text, why.line);
    const bool whole = json_is_object(json_object_get(root, "model")), tekken = json_is_array(json_object_get(root, "vocab"));
    bool ok = open_beside(&b, path, !whole && !tekken, e) &&
              (whole ? build_json(t, root, path, e) : tekken ? build_tekken(t, root, path, e) : build_vocab(t, root, &b, path, e));
    if (ok && !tekken) {
        t->bos = token_of(t, &b, "bos_token", b.bos_id, build_end(root, true));
        t->eos = token_of(t, &b, "eos_token", b.eos_id, build_end(root, false));
    }
    if (ok && b.merges)
        t->hash = hash_json(json_object_get(b.config, "added_tokens_decoder"), hash_json(b.added, XXH64(b.merges, b.merges_n, t->hash)));
    json_decref(root);
    close_beside(&b);
    return ok;
}

BpeText *bpetext_open(const char *path, const char *bytes, size_t n, Err *e)
{
    BpeText *t = calloc(1, sizeof *t);
    CHECK(t, "no memory for a tokenizer");
    *t = (BpeText){ .bpe = bpe_new(), .words = words_new(), .added = added_new(), .unknown = -1, .bos = -1, .eos = -1 };
    memset(t->byte, -1, sizeof t->byte);
    if (build(t, path, bytes, n, e)) {
        const int32_t ends[2] = { t->bos, t->eos };
        t->hash = XXH64(ends, sizeof ends, t->hash);
        return t;
    }
    if (!e->where[0])
        snprintf(e->where, sizeof e->where, "%s", path);
    bpetext_close(t);
    return NULL;
}
