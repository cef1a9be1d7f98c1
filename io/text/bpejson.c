#include <string.h>

#include "io/text/bpebuild.h"

const char GPT2_PATTERN[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* What a tokenizer.json asks for, as far as it is read. */
typedef struct {
    BpeText    *t;
    const char *path;
    Err        *e;
    bool        last;             /* ByteLevel was there: nothing may follow it */
} Reader;

static bool refuse(Reader *r, const char *part, const char *name)
{
    return err_set(r->e, EXIT_DATA, r->path, "use a text model that does without", "the tokenizer asks for the %s \"%.60s\", which asvr does not have",
                   part, name ? name : "(no name)");
}

/* An error of a part, said at the file. */
static bool at_file(Reader *r, bool ok)
{
    if (!ok && !r->e->where[0])
        snprintf(r->e->where, sizeof r->e->where, "%s", r->path);
    return ok;
}

static bool pattern_at(Reader *r, const json_t *o, Span *s, enum Grammar *grammar)
{
    const json_t *p = json_object_get(o, "pattern"), *regex = json_object_get(p, "Regex"), *string = json_object_get(p, "String");
    const json_t *v = regex ? regex : string;
    *s = (Span){ json_string_value(v), json_string_length(v) };
    *grammar = regex ? GRAMMAR_ONIGURUMA : GRAMMAR_LITERAL;
    return s->s || err_set(r->e, EXIT_DATA, r->path, "", "a part of the tokenizer has no pattern");
}

/* ---- normalizers ---- */

enum { DEEP = 8 /* sequences in sequences */ };

static bool normalizer(Reader *r, const json_t *o, int depth)
{
    static const struct { const char *name; enum Normal what; } plain[] = {
        { "NFC", NORMAL_NFC }, { "NFD", NORMAL_NFD }, { "NFKC", NORMAL_NFKC }, { "NFKD", NORMAL_NFKD }, { "Lowercase", NORMAL_LOWER },
    };
    const char *type = text_at(o, "type");
    Words *w = r->t->words;
    size_t i;
    json_t *k;
    if (!o || json_is_null(o))
        return true;
    for (int j = 0; type && j < (int)(sizeof plain / sizeof *plain); j++)
        if (strcmp(type, plain[j].name) == 0)
            return at_file(r, words_normal(w, plain[j].what, GRAMMAR_LITERAL, (Span){ 0 }, (Span){ 0 }, r->e));
    if (type && strcmp(type, "Sequence") == 0 && depth < DEEP) {
        json_array_foreach(json_object_get(o, "normalizers"), i, k)
            if (!normalizer(r, k, depth + 1))
                return false;
        return true;
    }
    if (type && strcmp(type, "Replace") == 0) {
        const json_t *content = json_object_get(o, "content");
        Span s;
        enum Grammar grammar;
        return pattern_at(r, o, &s, &grammar) &&
               at_file(r, words_normal(w, NORMAL_REPLACE, grammar, s, (Span){ json_string_value(content), json_string_length(content) }, r->e));
    }
    if (type && strcmp(type, "Prepend") == 0) {
        const json_t *text = json_object_get(o, "prepend");
        r->t->lead = true;
        return at_file(r, words_normal(w, NORMAL_PREPEND, GRAMMAR_LITERAL, (Span){ 0 }, (Span){ json_string_value(text), json_string_length(text) }, r->e));
    }
    return refuse(r, "normalizer", type);
}

/* ---- pre-tokenizers ---- */

static bool cut_at(Reader *r, enum Grammar grammar, const char *pattern, enum Cut cut)
{
    return at_file(r, words_cut(r->t->words, grammar, (Span){ pattern, strlen(pattern) }, cut, false, r->e));
}

static bool behaviour(Reader *r, const char *name, enum Cut *cut)
{
    static const char *const names[] = {
        [CUT_ISOLATED] = "Isolated", [CUT_REMOVED] = "Removed", [CUT_CONTIGUOUS] = "Contiguous",
        [CUT_WITH_PREVIOUS] = "MergedWithPrevious", [CUT_WITH_NEXT] = "MergedWithNext",
    };
    for (int i = 0; name && i < 5; i++)
        if (strcmp(name, names[i]) == 0) {
            *cut = (enum Cut)i;
            return true;
        }
    return refuse(r, "behavior of a cut", name);
}

static bool split(Reader *r, const json_t *o)
{
    Span s;
    enum Grammar grammar;
    enum Cut cut = CUT_ISOLATED;
    return pattern_at(r, o, &s, &grammar) && behaviour(r, text_at(o, "behavior"), &cut) &&
           at_file(r, words_cut(r->t->words, grammar, s, cut, true_at(o, "invert", false), r->e));
}

static bool byte_level(Reader *r, const json_t *o)
{
    r->last = true;
    if (true_at(o, "add_prefix_space", true)) {
        r->t->lead = true;
        if (!at_file(r, words_space(r->t->words, (Span){ " ", 1 }, true, r->e)))
            return false;
    }
    return !true_at(o, "use_regex", true) || cut_at(r, GRAMMAR_ONIGURUMA, GPT2_PATTERN, CUT_ISOLATED);
}

static bool metaspace(Reader *r, const json_t *o)
{
    const json_t *with = json_object_get(o, "replacement");
    const Span line = { json_is_string(with) ? json_string_value(with) : "\xE2\x96\x81", json_is_string(with) ? json_string_length(with) : 3 };
    const char *scheme = text_at(o, "prepend_scheme");
    const bool front = scheme ? strcmp(scheme, "never") != 0 : true_at(o, "add_prefix_space", true);
    if (scheme && front && strcmp(scheme, "first") != 0 && strcmp(scheme, "always") != 0)
        return refuse(r, "prepend_scheme", scheme);
    r->t->first = front && scheme && strcmp(scheme, "first") == 0;
    r->t->lead |= front;
    Words *w = r->t->words;
    return at_file(r, words_space(w, line, front, r->e) &&
                      (!true_at(o, "split", true) || words_cut(w, GRAMMAR_LITERAL, line, CUT_WITH_NEXT, false, r->e)));
}

static bool pretokenizer(Reader *r, const json_t *o, int depth)
{
    const char *type = text_at(o, "type");
    enum Cut cut = CUT_ISOLATED;
    size_t i;
    json_t *k;
    if (!o || json_is_null(o))
        return true;
    if (type && strcmp(type, "Sequence") == 0 && depth < DEEP) {
        json_array_foreach(json_object_get(o, "pretokenizers"), i, k)
            if (!pretokenizer(r, k, depth + 1))
                return false;
        return true;
    }
    if (r->last)
        return refuse(r, "pre-tokenizer behind ByteLevel", type);
    if (type && strcmp(type, "ByteLevel") == 0)
        return byte_level(r, o);
    if (type && strcmp(type, "Split") == 0)
        return split(r, o);
    if (type && strcmp(type, "Digits") == 0)
        return cut_at(r, GRAMMAR_ONIGURUMA, "\\p{N}", true_at(o, "individual_digits", false) ? CUT_ISOLATED : CUT_CONTIGUOUS);
    if (type && strcmp(type, "Punctuation") == 0)
        return behaviour(r, text_at(o, "behavior") ? text_at(o, "behavior") : "Isolated", &cut) &&
               cut_at(r, GRAMMAR_ONIGURUMA, "[!-/:-@\\[-`{-~\\p{P}]", cut);
    if (type && strcmp(type, "Metaspace") == 0 && !r->t->bytes)
        return metaspace(r, o);
    return refuse(r, "pre-tokenizer", type);
}

static bool has_byte_level(const json_t *o, int depth)
{
    const char *type = text_at(o, "type");
    size_t i;
    json_t *k;
    json_array_foreach(json_object_get(o, "pretokenizers"), i, k)
        if (depth < DEEP && has_byte_level(k, depth + 1))
            return true;
    return type && strcmp(type, "ByteLevel") == 0;
}

/* ---- the model ---- */

static bool empty(const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) || (json_is_string(v) && json_string_length(v) == 0) || (json_is_number(v) && json_number_value(v) == 0);
}

static bool model_fits(Reader *r, const json_t *m)
{
    static const char *const without[] = { "dropout", "continuing_subword_prefix", "end_of_word_suffix" };
    const char *type = text_at(m, "type");
    if (!json_is_object(m))
        return err_set(r->e, EXIT_DATA, r->path, "", "this tokenizer.json has no model");
    if (type ? strcmp(type, "BPE") != 0 : !json_object_get(m, "merges"))
        return refuse(r, "model", type);
    for (int i = 0; i < 3; i++)
        if (!empty(json_object_get(m, without[i])))
            return refuse(r, "model's option", without[i]);
    if (!json_is_object(json_object_get(m, "vocab")) || !json_is_array(json_object_get(m, "merges")))
        return err_set(r->e, EXIT_DATA, r->path, "", "the tokenizer's model has no vocabulary or no merges");
    return true;
}

/* "a b", or ["a", "b"]. */
static bool merge(Reader *r, const json_t *k, size_t rank)
{
    const json_t *one = json_array_get(k, 0), *two = json_array_get(k, 1);
    const char *s = json_string_value(k), *gap = s ? memchr(s, ' ', json_string_length(k)) : NULL;
    Span a, b;
    if (gap) {
        a = (Span){ s, (size_t)(gap - s) };
        b = (Span){ gap + 1, json_string_length(k) - a.n - 1 };
    } else {
        a = (Span){ json_string_value(one), json_string_length(one) };
        b = (Span){ json_string_value(two), json_string_length(two) };
    }
    if (!a.s || !b.s || (!gap && json_array_size(k) != 2))
        return err_set(r->e, EXIT_DATA, r->path, "", "the merge %zu is no pair of pieces", rank);
    return build_merge(r->t, a, b, (int64_t)rank, r->path, r->e);
}

static bool model(Reader *r, const json_t *m, const json_t *added)
{
    BpeText *t = r->t;
    size_t i;
    json_t *k;
    if (!build_pieces(t, json_object_get(m, "vocab"), added, r->path, r->e))
        return false;
    json_array_foreach(json_object_get(m, "merges"), i, k)
        if (!merge(r, k, i))
            return false;
    t->fallback = true_at(m, "byte_fallback", false) && !t->bytes;
    t->fuse = true_at(m, "fuse_unk", false);
    for (int c = 0; c < 256 && t->fallback; c++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", c);
        t->byte[c] = bpe_find(t->bpe, name, 6);
    }
    const char *unknown = text_at(m, "unk_token");
    const json_t *id = unknown ? json_object_get(json_object_get(m, "vocab"), unknown) : NULL;
    if (unknown && !id)
        return err_set(r->e, EXIT_DATA, r->path, "", "the unknown token \"%.60s\" is not in the vocabulary", unknown);
    if (id)
        t->unknown = (int)json_integer_value(id);
    return true;
}

bool build_json(BpeText *t, const json_t *root, const char *path, Err *e)
{
    Reader r = { t, path, e, false };
    const json_t *m = json_object_get(root, "model"), *added = json_object_get(root, "added_tokens");
    size_t i;
    json_t *k;
    t->bytes = has_byte_level(json_object_get(root, "pre_tokenizer"), 0);
    if (!model_fits(&r, m) || !normalizer(&r, json_object_get(root, "normalizer"), 0) || !pretokenizer(&r, json_object_get(root, "pre_tokenizer"), 0) ||
        !model(&r, m, added))
        return false;
    json_array_foreach(added, i, k) {
        const json_t *id = json_object_get(k, "id");
        if (!build_added_json(t, k, json_is_integer(id) ? json_integer_value(id) : -1, path, e))
            return false;
    }
    bpe_ready(t->bpe, true_at(m, "ignore_merges", false));
    return true;
}
