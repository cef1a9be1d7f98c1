#include "launch/hf/spjson.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

int spjson_tokens(const SpPieces *s, HfToken *token, char **texts)
{
    size_t room = 1;
    int n = 0;
    for (int i = 0; i < s->pieces; i++)
        room += (size_t)s->piece[i].size + 1;
    char *at = *texts = malloc(room);
    CHECK(at, "no memory for the words of %d tokens", s->pieces);
    for (int i = 0; i < s->pieces; i++) {
        const SpPiece *p = &s->piece[i];
        if (p->kind != SP_UNKNOWN && p->kind != SP_CONTROL && p->kind != SP_USER)
            continue;
        memcpy(at, p->text, (size_t)p->size);
        at[p->size] = 0;
        token[n++] = (HfToken){ at, i, p->kind != SP_USER };
        at += p->size + 1;
    }
    return n;
}

/* ---- merges ---- */

typedef struct {
    const SpPieces *s;
    int            *by_text;        /* (pieces) ids, sorted by text */
} Lookup;

static int order(const char *a, int n, const char *b, int m)
{
    const int x = memcmp(a, b, (size_t)(n < m ? n : m));
    return x ? x : n - m;
}

static int by_text(const void *a, const void *b, void *pieces)
{
    const SpPiece *p = pieces, *x = &p[*(const int *)a], *y = &p[*(const int *)b];
    return order(x->text, x->size, y->text, y->size);
}

/* A piece that texts are cut into, or -1. */
static int find(const Lookup *l, const char *text, int n)
{
    int from = 0, to = l->s->pieces;
    while (from < to) {
        const int at = (from + to) / 2, id = l->by_text[at];
        const int x = order(l->s->piece[id].text, l->s->piece[id].size, text, n);
        if (x == 0)
            return l->s->piece[id].kind == SP_NORMAL ? id : -1;
        *(x < 0 ? &from : &to) = x < 0 ? at + 1 : at;
    }
    return -1;
}

typedef struct { float score; int left, right, chars; } Merge;        /* chars: of the left one */
typedef struct { Merge *m; int n, room; const SpPieces *s; } Merges;

static int by_rank(const void *a, const void *b, void *pieces)
{
    const Merge *x = a, *y = b;
    const SpPiece *p = pieces;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->chars != y->chars)
        return x->chars - y->chars;
    const int n = p[x->right].size - p[y->right].size;
    return n ? n : x->left != y->left ? x->left - y->left : x->right - y->right;
}

/* All ways to make this piece of two. */
static void add_merges(Merges *m, const Lookup *l, const SpPiece *p)
{
    int chars = 0;
    for (int k = 1; k < p->size; k++) {
        if (((unsigned char)p->text[k] & 0xC0) == 0x80)
            continue;
        chars++;
        const int left = find(l, p->text, k), right = find(l, p->text + k, p->size - k);
        if (left < 0 || right < 0)
            continue;
        if (m->n == m->room) {
            m->room = m->room ? 2 * m->room : 4096;
            m->m = realloc(m->m, (size_t)m->room * sizeof *m->m);
            CHECK(m->m, "no memory for %d merges", m->room);
        }
        m->m[m->n++] = (Merge){ p->score, left, right, chars };
    }
}

static json_t *merges(const SpPieces *s)
{
    Merges m = { .s = s };
    Lookup l = { s, malloc(((size_t)s->pieces + 1) * sizeof(int)) };
    CHECK(l.by_text, "no memory for %d pieces", s->pieces);
    for (int i = 0; i < s->pieces; i++)
        l.by_text[i] = i;
    qsort_r(l.by_text, (size_t)s->pieces, sizeof(int), by_text, s->piece);
    for (int i = 0; i < s->pieces; i++)
        if (s->piece[i].kind == SP_NORMAL)
            add_merges(&m, &l, &s->piece[i]);
    if (m.n)
        qsort_r(m.m, (size_t)m.n, sizeof *m.m, by_rank, s->piece);
    json_t *list = json_array();
    for (int i = 0; i < m.n; i++) {
        const SpPiece *a = &s->piece[m.m[i].left], *b = &s->piece[m.m[i].right];
        json_t *pair = json_array();
        json_array_append_new(pair, json_stringn(a->text, (size_t)a->size));
        json_array_append_new(pair, json_stringn(b->text, (size_t)b->size));
        json_array_append_new(list, pair);
    }
    free(l.by_text);
    free(m.m);
    return list;
}

/* ---- the file ---- */

static const char *unknown(const SpPieces *s)
{
    static char text[256];
    for (int i = 0; i < s->pieces; i++)
        if (s->piece[i].kind == SP_UNKNOWN && s->piece[i].size < (int)sizeof text) {
            snprintf(text, sizeof text, "%.*s", s->piece[i].size, s->piece[i].text);
            return text;
        }
    return NULL;
}

/* NULL: a piece is not UTF-8, or there twice. */
static json_t *model(const SpPieces *s, const char *unk)
{
    json_t *vocab = s->kind == SP_BPE ? json_object() : json_array();
    for (int i = 0; i < s->pieces; i++) {
        const SpPiece *p = &s->piece[i];
        char *name = strndup(p->text, (size_t)p->size);
        CHECK(name, "no memory for a piece of %d bytes", p->size);
        if (s->kind == SP_BPE)
            json_object_set_new(vocab, name, json_integer(i));
        else
            json_array_append_new(vocab, json_pack("[s, f]", name, (double)p->score));
        free(name);
    }
    if ((int)(s->kind == SP_BPE ? json_object_size(vocab) : json_array_size(vocab)) != s->pieces) {
        json_decref(vocab);
        return NULL;
    }
    if (s->kind == SP_BPE) {
        json_t *j = json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b}", "type", "BPE", "dropout", "unk_token", unk ? json_string(unk) : json_null(),
                              "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 1, "byte_fallback", s->bytes, "ignore_merges", 0);
        json_object_set_new(j, "vocab", vocab);
        json_object_set_new(j, "merges", merges(s));
        return j;
    }
    int id = 0;
    while (id < s->pieces - 1 && s->piece[id].kind != SP_UNKNOWN)
        id++;
    return json_pack("{s:s, s:i, s:o, s:b}", "type", "Unigram", "unk_id", id, "vocab", vocab, "byte_fallback", s->bytes);
}

static json_t *added(const HfTokens *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->tokens; i++)
        json_array_append_new(list, json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", t->token[i].id, "content", t->token[i].text,
                                              "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized",
                                              t->bos && !strcmp(t->token[i].text, t->bos), "special", t->token[i].special));
    return list;
}

#define LINE "\xE2\x96\x81"      /* U+2581, a blank */

/* "<s>" -> "<s>(?=[\s\S])", each of its characters as itself; [\s\S] is what may follow. */
static json_t *behind(const char *bos, const char *before)
{
    char pattern[256], content[128];
    size_t n = 0;
    for (const char *c = bos; *c && n < sizeof pattern - 32; c++) {
        if (strchr("\\^$.|?*+()[]{}", *c))
            pattern[n++] = '\\';
        pattern[n++] = *c;
    }
    snprintf(pattern + n, sizeof pattern - n, "(?=%s)", before);
    snprintf(content, sizeof content, "%.100s" LINE, bos);
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "Regex", pattern, "content", content);
}

static json_t *with_bos(const HfTokens *t)
{
    int id = 0;
    for (int i = 0; i < t->tokens; i++)
        id = strcmp(t->token[i].text, t->bos) ? id : t->token[i].id;
    return json_pack("{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}], "
                     "s:{s:{s:s, s:[i], s:[s]}}}", "type", "TemplateProcessing",
                     "single", "SpecialToken", "id", t->bos, "type_id", 0, "Sequence", "id", "A", "type_id", 0,
                     "pair", "SpecialToken", "id", t->bos, "type_id", 0, "Sequence", "id", "A", "type_id", 0,
                     "SpecialToken", "id", t->bos, "type_id", 1, "Sequence", "id", "B", "type_id", 1,
                     "special_tokens", t->bos, "id", t->bos, "ids", id, "tokens", t->bos);
}

static json_t *decoder(bool prefix)
{
    json_t *list = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String", "\xE2\x96\x81", "content", " ",
                             "type", "ByteFallback", "type", "Fuse");
    if (prefix)
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", list);
}

char *spjson_text(const SpPieces *s, const HfTokens *t, const char **why)
{
    *why = !s->plain ? "it replaces characters" : s->collapse ? "it joins blanks"
         : s->kind != SP_BPE && s->kind != SP_UNIGRAM ? "it is neither BPE nor unigram" : NULL;
    if (*why)
        return NULL;
    const char *unk = unknown(s);
    json_t *root = json_pack("{s:s, s:n, s:n}", "version", "1.0", "truncation", "padding");
    json_object_set_new(root, "added_tokens", added(t));
    json_object_set_new(root, "normalizer", t->bos && s->prefix ? behind(t->bos, "[\\s\\S]") : json_null());
    json_object_set_new(root, "pre_tokenizer", json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", "\xE2\x96\x81",
                                                         "prepend_scheme", s->prefix ? "first" : "never", "split", 0));
    json_object_set_new(root, "post_processor", t->add_bos ? with_bos(t) : json_null());
    json_object_set_new(root, "decoder", decoder(s->prefix));
    const bool whole = json_object_set_new(root, "model", model(s, unk)) == 0;
    char *text = whole ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text)
        *why = "a piece is not UTF-8, or there twice";
    return text;
}

/* ---- a tokenizer.json of somebody else's ---- */

static bool is(const json_t *o, const char *type)
{
    const char *said = json_string_value(json_object_get(o, "type"));
    return said && !strcmp(said, type);
}

/* Metaspace that puts a blank in front; its key says how in either of two ways. */
static bool leads(const json_t *o)
{
    const char *scheme = json_string_value(json_object_get(o, "prepend_scheme"));
    return is(o, "Metaspace") && (scheme ? strcmp(scheme, "never") != 0 : !json_is_false(json_object_get(o, "add_prefix_space")));
}

bool spjson_begins(json_t *root, const char *bos)
{
    json_t *pre = json_object_get(root, "pre_tokenizer"), *normal = json_object_get(root, "normalizer"), *steps = json_object_get(normal, "normalizers"), *t;
    const bool prepend = (!pre || json_is_null(pre)) && json_array_size(steps) == 2 && is(json_array_get(steps, 0), "Prepend") && is(json_array_get(steps, 1), "Replace");
    size_t i;
    if (!prepend && !leads(pre))
        return false;
    if (prepend) {                              /* Llama's of transformers 4.4x */
        pre = json_pack("{s:s, s:s, s:b}", "type", "Metaspace", "replacement", LINE, "split", 0);
        json_object_set_new(root, "pre_tokenizer", pre);
        normal = NULL;
    }
    json_object_set_new(pre, "prepend_scheme", json_string("first"));
    json_object_del(pre, "add_prefix_space");
    json_t *list = json_array();
    if (normal && !json_is_null(normal))
        json_array_append(list, normal);
    if (bos)
        json_array_append_new(list, behind(bos, prepend ? "[\\s\\S]" : "[^ " LINE "]"));
    json_object_set_new(root, "normalizer", json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", list));
    json_array_foreach(json_object_get(root, "added_tokens"), i, t) {
        const char *content = json_string_value(json_object_get(t, "content"));      /* text.model may be another file of the folder */
        if (bos && content && !strcmp(content, bos))
            json_object_set_new(t, "normalized", json_true());
    }
    return true;
}
