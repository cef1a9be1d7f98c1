#include <stdlib.h>
#include <string.h>

#include "io/text/bpebuild.h"

const char *text_at(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

bool true_at(const json_t *o, const char *key, bool missing)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : missing;
}

/* The alphabet: printable bytes of Latin-1 stand for themselves, the 68 others in their order for U+0100 and on. */
static bool printable(int c) { return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c != 0xAD); }

static int byte_of(uint32_t c)
{
    if (c < 256)
        return printable((int)c) ? (int)c : -1;
    const uint32_t i = c - 256;
    return i <= 0x20 ? (int)i : i <= 0x20 + 34 ? (int)(0x7F + i - 0x21) : i == 67 ? 0xAD : -1;
}

bool build_bytes(const char *s, size_t n, uint8_t *out, size_t *out_n)
{
    const uint8_t *t = (const uint8_t *)s;
    size_t m = 0;
    for (size_t i = 0; i < n; m++) {
        const uint32_t c = t[i] < 0x80 ? t[i] : t[i] < 0xE0 && i + 1 < n ? (uint32_t)(t[i] & 31) << 6 | (t[i + 1] & 63) : UINT32_MAX;
        const int byte = byte_of(c);
        if (byte < 0)
            return false;
        out[m] = (uint8_t)byte;
        i += t[i] < 0x80 ? 1 : 2;
    }
    *out_n = m;
    return true;
}

static bool id_fits(json_int_t id, const char *piece, const char *path, Err *e)
{
    err_expected(e, "0 to %d", BPE_IDS - 1);
    err_got(e, "%lld", (long long)id);
    if (id < 0 || id >= BPE_IDS)
        return err_set(e, EXIT_DATA, path, "", "an impossible id of the piece \"%.60s\"", piece);
    e->expected[0] = e->got[0] = 0;
    return true;
}

/* A byte-level piece goes by its bytes; one that has other characters is no word: no merge makes it. */
static bool put_piece(BpeText *t, int id, const char *s, size_t n, bool special, const char *path, Err *e)
{
    uint8_t few[256], *bytes = n <= sizeof few ? few : malloc(n);
    size_t m = n;
    CHECK(bytes, "no memory for a piece of %zu bytes", n);
    bool word = !special;
    if (t->bytes)
        word = word && build_bytes(s, n, bytes, &m);
    const bool new = bpe_kind(t->bpe, id) == PIECE_NONE;
    if (new)
        bpe_piece(t->bpe, id, word && t->bytes ? (const char *)bytes : s, word ? m : n, special ? PIECE_SPECIAL : word ? PIECE_WORD : PIECE_LITERAL);
    if (bytes != few)
        free(bytes);
    return new || err_set(e, EXIT_DATA, path, "", "the id %d is given to two pieces, one of them \"%.60s\"", id, s);
}

bool build_pieces(BpeText *t, const json_t *vocab, const json_t *added, const char *path, Err *e)
{
    const char *key;
    json_t *value, *copy = json_object(), *token;
    size_t i;
    bool ok = true;
    json_array_foreach(added, i, token)
        if (true_at(token, "special", false) && text_at(token, "content"))
            json_object_set(copy, text_at(token, "content"), json_object_get(token, "id"));
    json_object_foreach((json_t *)vocab, key, value) {
        const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        ok = id_fits(id, key, path, e) && put_piece(t, (int)id, key, strlen(key), json_object_get(copy, key), path, e);
        if (!ok)
            break;
    }
    json_decref(copy);
    return ok && (json_object_size(vocab) > 0 || err_set(e, EXIT_DATA, path, "", "the vocabulary is empty"));
}

static int piece_of(const BpeText *t, Span s)
{
    uint8_t few[256];
    size_t n = s.n;
    if (!t->bytes)
        return bpe_find(t->bpe, s.s, s.n);
    if (s.n <= sizeof few)
        return build_bytes(s.s, s.n, few, &n) ? bpe_find(t->bpe, few, n) : BPE_NONE;
    uint8_t *bytes = malloc(s.n);
    CHECK(bytes, "no memory for a piece of %zu bytes", s.n);
    const int id = build_bytes(s.s, s.n, bytes, &n) ? bpe_find(t->bpe, bytes, n) : BPE_NONE;
    free(bytes);
    return id;
}

bool build_merge(BpeText *t, Span left, Span right, int64_t rank, const char *path, Err *e)
{
    char few[512], *both = left.n + right.n <= sizeof few ? few : malloc(left.n + right.n);
    CHECK(both, "no memory for a merge");
    memcpy(both, left.s, left.n);
    memcpy(both + left.n, right.s, right.n);
    const int a = piece_of(t, left), b = piece_of(t, right), id = piece_of(t, (Span){ both, left.n + right.n });
    if (both != few)
        free(both);
    if (left.n == 0 || right.n == 0 || a < 0 || b < 0 || id < 0)
        return err_set(e, EXIT_DATA, path, "", "the merge %lld, \"%.*s\" and \"%.*s\", is not of the vocabulary's pieces", (long long)rank,
                       (int)min64((int64_t)left.n, 60), left.s, (int)min64((int64_t)right.n, 60), right.s);
    bpe_pair(t->bpe, a, b, (uint32_t)rank, id);
    return true;
}

bool build_added(BpeText *t, const AddedToken *a, const char *path, Err *e)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)min64((int64_t)a->content.n, 60), a->content.s);
    if (!id_fits(a->id, name, path, e))
        return false;
    size_t n = 0, m = 0;
    uint8_t *as = malloc(a->content.n + 1);
    CHECK(as, "no memory for a token");
    const int kind = bpe_kind(t->bpe, a->id);
    const uint8_t *there = kind == PIECE_NONE ? NULL : bpe_bytes(t->bpe, a->id, &n);
    const bool same = there && ((n == a->content.n && memcmp(there, a->content.s, n) == 0) ||
                                (kind == PIECE_WORD && t->bytes && build_bytes(a->content.s, a->content.n, as, &m) && m == n && memcmp(there, as, n) == 0));
    free(as);
    if (there && !same)
        return err_set(e, EXIT_DATA, path, "", "the id %d is given to the added token \"%s\" and to another piece", a->id, name);
    if (!there || (kind == PIECE_WORD && a->special))
        bpe_piece(t->bpe, a->id, a->content.s, a->content.n, a->special ? PIECE_SPECIAL : PIECE_LITERAL);
    if (added_put(t->added, a, t->words, e))
        return true;
    snprintf(e->where, sizeof e->where, "%s", path);
    return false;
}

bool build_added_json(BpeText *t, const json_t *a, json_int_t id, const char *path, Err *e)
{
    const json_t *content = json_object_get(a, "content");
    if (!json_is_string(content) || id < 0 || id >= BPE_IDS)
        return err_set(e, EXIT_DATA, path, "", "an added token without content or id");
    const bool special = true_at(a, "special", false);
    return build_added(t, &(AddedToken){ .content = { json_string_value(content), json_string_length(content) }, .id = (int)id, .special = special,
                                         .single_word = true_at(a, "single_word", false), .lstrip = true_at(a, "lstrip", false),
                                         .rstrip = true_at(a, "rstrip", false), .normalized = true_at(a, "normalized", !special) }, path, e);
}

int64_t build_base64(const char *s, size_t n, uint8_t *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int64_t m = 0;
    while (n > 0 && s[n - 1] == '=' && n % 4 != 1)
        n--;
    uint32_t x = 0;
    for (size_t i = 0; i < n; i++) {
        const char *d = s[i] ? strchr(digits, s[i]) : NULL;
        if (!d)
            return -1;
        x = x << 6 | (uint32_t)(d - digits);
        if (i % 4 != 0)
            out[m++] = (uint8_t)(x >> (6 - 2 * (i % 4)));
    }
    return n % 4 == 1 ? -1 : m;
}

bool build_cut(BpeText *t, enum Grammar grammar, const char *pattern, Err *e)
{
    return words_cut(t->words, grammar, (Span){ pattern, strlen(pattern) }, CUT_ISOLATED, false, e);
}
