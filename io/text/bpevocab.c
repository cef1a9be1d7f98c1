#include <stdlib.h>
#include <string.h>

#include "io/text/bpebuild.h"

/* What a tokenizer of this class does before the merges: the files do not say it. */
typedef struct { const char *name, *pattern; bool nfc; } Class;
static const Class classes[] = {
    { "GPT2Tokenizer", GPT2_PATTERN, false },
    { "Qwen2Tokenizer", QWEN_PATTERN, true },
};

static const Class *class_of(const char *name)
{
    for (int i = 0; name && i < (int)(sizeof classes / sizeof *classes); i++) {
        const size_t n = strlen(classes[i].name);
        if (strncmp(name, classes[i].name, n) == 0 && (!name[n] || strcmp(name + n, "Fast") == 0))
            return classes + i;
    }
    return NULL;
}

static bool merges(BpeText *t, const char *s, size_t n, const char *path, Err *e)
{
    int64_t rank = 0;
    for (const char *end = s + n; s < end;) {
        const char *line = memchr(s, '\n', (size_t)(end - s)), *next = line ? line + 1 : end;
        line = line ? line : end;
        while (line > s && line[-1] == '\r')
            line--;
        const char *gap = memchr(s, ' ', (size_t)(line - s));
        const bool version = line - s >= 8 && memcmp(s, "#version", 8) == 0;
        if (line > s && !version) {
            if (!gap)
                return err_set(e, EXIT_DATA, path, "", "merges.txt: the merge %lld is no pair of pieces", (long long)rank);
            if (!build_merge(t, (Span){ s, (size_t)(gap - s) }, (Span){ gap + 1, (size_t)(line - gap - 1) }, rank++, path, e))
                return false;
        }
        s = next;
    }
    return true;
}

/* added_tokens_decoder: id -> token, in tokenizer_config.json; added_tokens.json: content -> id. */
static bool added(BpeText *t, const Beside *b, const char *path, Err *e)
{
    const char *key;
    json_t *k;
    const json_t *decoder = json_object_get(b->config, "added_tokens_decoder");
    json_object_foreach((json_t *)decoder, key, k)
        if (!build_added_json(t, k, atoll(key), path, e))
            return false;
    json_object_foreach((json_t *)b->added, key, k) {
        const double id = json_is_number(k) ? json_number_value(k) : -1;
        if (added_find(t->added, key, strlen(key)) < 0 &&
            (!(id >= 0) || id >= BPE_IDS ? !err_set(e, EXIT_DATA, path, "", "added_tokens.json: an impossible id of \"%.60s\"", key)
                                     : !build_added(t, &(AddedToken){ .content = { key, strlen(key) }, .id = (int)id, .special = true }, path, e)))
            return false;
    }
    return true;
}

bool build_vocab(BpeText *t, const json_t *root, const Beside *b, const char *path, Err *e)
{
    const char *name = text_at(b->config, "tokenizer_class");
    const Class *c = class_of(name);
    if (!b->merges)
        return err_set(e, EXIT_DATA, path, "take tokenizer.json, or put merges.txt beside", "there is no merges.txt beside this vocab.json");
    if (!c) {
        err_expected(e, "tokenizer_config.json beside it, with \"tokenizer_class\": GPT2Tokenizer or Qwen2Tokenizer");
        err_got(e, "%s", name ? name : "none");
        return err_set(e, EXIT_DATA, path, "take tokenizer.json, which says it all", "vocab.json and merges.txt do not say how text is cut into words");
    }
    t->bytes = true;
    if (true_at(b->config, "add_prefix_space", false)) {
        t->lead = true;
        if (!words_space(t->words, (Span){ " ", 1 }, true, e))
            return false;
    }
    json_t *list = json_array(), *k;
    const char *key;
    json_object_foreach(json_object_get(b->config, "added_tokens_decoder"), key, k)
        json_array_append(list, k);
    const bool pieces = build_pieces(t, root, list, path, e);
    json_decref(list);
    if (!pieces || !merges(t, b->merges, b->merges_n, path, e) ||
        (c->nfc && !words_normal(t->words, NORMAL_NFC, GRAMMAR_LITERAL, (Span){ 0 }, (Span){ 0 }, e)) ||
        !build_cut(t, GRAMMAR_ONIGURUMA, c->pattern, e) || !added(t, b, path, e))
        return false;
    bpe_ready(t->bpe, false);
    return true;
}
