#include <stdlib.h>
#include <string.h>

#include "io/text/bpebuild.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define REST         "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define NO_WORD      "[^\\r\\n\\p{L}\\p{N}]?"

const char QWEN_PATTERN[] = CONTRACTIONS "|" NO_WORD "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" REST;
static const char QWEN35_PATTERN[] = CONTRACTIONS "|" NO_WORD "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" REST;
static const char CL100K_PATTERN[] = CONTRACTIONS "|" NO_WORD "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" REST;
static const char O200K_PATTERN[] = NO_WORD UPPER "*" LOWER "+" CONTRACTIONS "?|" NO_WORD UPPER "+" LOWER "*" CONTRACTIONS "?|\\p{N}{1,3}"
                                    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" REST;

/* Special tokens of a family: `n` from `id` on, their names numbered from `from` where the name has a %d. */
typedef struct { int id; const char *name; int n, from; } Special;
enum { SPECIALS = 24, PIECE_BYTES = 1024 /* of a piece in base64; every cut of a piece is looked up */ };
typedef struct {
    const char *name;             /* the stem of the file's name */
    int         ranks;
    bool        nfc;
    const char *pattern, *bos, *eos;
    Special     special[SPECIALS];
} Family;

static const Family families[] = {
    { "qwen", 151643, true, QWEN_PATTERN, NULL, "<|endoftext|>",
      { { 151643, "<|endoftext|>", 1, 0 }, { 151644, "<|im_start|>", 1, 0 }, { 151645, "<|im_end|>", 1, 0 }, { 151646, "<|extra_%d|>", 205, 0 } } },
    { "qwen3_6", 248044, true, QWEN35_PATTERN, NULL, "<|endoftext|>",
      { { 248044, "<|endoftext|>", 1, 0 }, { 248045, "<|im_start|>", 1, 0 }, { 248046, "<|im_end|>", 1, 0 } } },
    { "cl100k_base", 100256, false, CL100K_PATTERN, NULL, "<|endoftext|>",
      { { 100257, "<|endoftext|>", 1, 0 }, { 100258, "<|fim_prefix|>", 1, 0 }, { 100259, "<|fim_middle|>", 1, 0 },
        { 100260, "<|fim_suffix|>", 1, 0 }, { 100276, "<|endofprompt|>", 1, 0 } } },
    { "o200k_base", 199998, false, O200K_PATTERN, NULL, "<|endoftext|>", { { 199999, "<|endoftext|>", 1, 0 }, { 200018, "<|endofprompt|>", 1, 0 } } },
    { "r50k_base", 50256, false, GPT2_PATTERN, NULL, "<|endoftext|>", { { 50256, "<|endoftext|>", 1, 0 } } },
    { "p50k_base", 50280, false, GPT2_PATTERN, NULL, "<|endoftext|>", { { 50256, "<|endoftext|>", 1, 0 } } },
    { "llama3", 128000, false, CL100K_PATTERN, "<|begin_of_text|>", "<|end_of_text|>",
      { { 128000, "<|begin_of_text|>", 1, 0 }, { 128001, "<|end_of_text|>", 1, 0 }, { 128002, "<|reserved_special_token_%d|>", 2, 0 },
        { 128004, "<|finetune_right_pad_id|>", 1, 0 }, { 128005, "<|reserved_special_token_%d|>", 1, 2 },
        { 128006, "<|start_header_id|>", 1, 0 }, { 128007, "<|end_header_id|>", 1, 0 }, { 128008, "<|eom_id|>", 1, 0 },
        { 128009, "<|eot_id|>", 1, 0 }, { 128010, "<|python_tag|>", 1, 0 }, { 128011, "<|reserved_special_token_%d|>", 245, 3 } } },
};
enum { FAMILIES = sizeof families / sizeof *families };

static const Family *family_of(const char *path, int ranks)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (int i = 0; i < FAMILIES; i++)
        if (families[i].ranks == ranks)
            return families + i;
    for (int i = 0; i < FAMILIES; i++) {
        const size_t n = strlen(families[i].name);
        if (strncmp(name, families[i].name, n) == 0 && name[n] == '.')
            return families + i;
    }
    return NULL;
}

static bool put_special(BpeText *t, int id, const char *name, bool special, const char *path, Err *e)
{
    return build_added(t, &(AddedToken){ .content = { name, strlen(name) }, .id = id, .special = special }, path, e);
}

static bool put_specials(BpeText *t, const Family *f, const char *path, Err *e)
{
    const int shift = bpe_size(t->bpe) - f->ranks;      /* a small file of a family's name has its tokens behind its own ranks */
    for (int i = 0; i < SPECIALS && f->special[i].name; i++)
        for (int k = 0; k < f->special[i].n; k++) {
            const Special *s = f->special + i;
            const int id = s->id + k;
            char name[64];
            const char *mark = strstr(s->name, "%d");
            if (mark)
                snprintf(name, sizeof name, "%.*s%d%s", (int)(mark - s->name), s->name, s->from + k, mark + 2);
            else
                snprintf(name, sizeof name, "%s", s->name);
            if (!put_special(t, shift < 0 ? id + shift : id, name, true, path, e))
                return false;
        }
    t->bos = f->bos ? added_find(t->added, f->bos, strlen(f->bos)) : -1;
    t->eos = added_find(t->added, f->eos, strlen(f->eos));
    return true;
}

/* One piece of a file of ranks; false where the id is impossible or taken. */
static bool put_rank(BpeText *t, int64_t id, const char *code, size_t n, const char *path, int64_t number, Err *e)
{
    uint8_t bytes[PIECE_BYTES];
    const int64_t m = n <= PIECE_BYTES ? build_base64(code, n, bytes) : -1;
    const bool ok = m > 0 && id >= 0 && id < BPE_IDS && bpe_kind(t->bpe, (int)id) == PIECE_NONE;
    if (ok)
        bpe_piece(t->bpe, (int)id, bytes, (size_t)m, PIECE_WORD);
    return ok || err_set(e, EXIT_DATA, path, "", "the piece %lld has no base64 and rank of its own (%lld)", (long long)number, (long long)id);
}

bool build_ranks(BpeText *t, const char *bytes, size_t n, const char *path, Err *e)
{
    int64_t number = 0;
    for (const char *s = bytes, *end = bytes + n; s < end;) {
        const char *line = memchr(s, '\n', (size_t)(end - s));
        line = line ? line : end;
        const char *gap = memchr(s, ' ', (size_t)(line - s));
        if (gap) {
            char *after;
            const long long rank = strtoll(gap + 1, &after, 10);
            while (after < line && *after == '\r')
                after++;
            if (after != line || !put_rank(t, rank, s, (size_t)(gap - s), path, number++, e))
                return err_set(e, EXIT_DATA, path, "", "the line of the piece %lld is no base64 and rank", (long long)number);
        } else if (line > s && *s != '\r')
            return err_set(e, EXIT_DATA, path, "", "the line behind %lld pieces is no base64 and rank", (long long)number);
        s = line + (line < end);
    }
    const Family *f = family_of(path, (int)number);
    if (!f) {
        err_got(e, "%lld ranks", (long long)number);
        return err_set(e, EXIT_DATA, path, "take the model's tokenizer.json, which says it all",
                       "a file of ranks says no pattern, and neither its name nor its size is one that asvr knows");
    }
    t->bytes = true;
    bpe_pairs_of_ranks(t->bpe);
    bpe_ready(t->bpe, true);
    return (!f->nfc || words_normal(t->words, NORMAL_NFC, GRAMMAR_LITERAL, (Span){ 0 }, (Span){ 0 }, e)) &&
           build_cut(t, GRAMMAR_RUST, f->pattern, e) && put_specials(t, f, path, e);
}

/* ---- tekken ---- */

/* Files of versions without a list of their own have these, at their ids from 0. */
static const char *const tekken_specials[] = {
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
    "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]",
};

static bool tekken_special(BpeText *t, const json_t *list, int specials, const char *path, Err *e)
{
    const int known = sizeof tekken_specials / sizeof *tekken_specials;
    const char **name = calloc((size_t)specials + 1, sizeof *name);
    size_t i;
    json_t *k;
    bool ok = true;
    CHECK(name, "no memory for a tokenizer");
    for (int id = 0; !json_is_array(list) && id < known && id < specials; id++)
        name[id] = tekken_specials[id];
    json_array_foreach(list, i, k) {
        const json_int_t rank = json_integer_value(json_object_get(k, "rank"));
        if (!text_at(k, "token_str") || rank < 0 || rank >= specials || name[rank])
            ok = err_set(e, EXIT_DATA, path, "", "the special token %zu has no name and rank of its own", i);
        else
            name[rank] = text_at(k, "token_str");
    }
    for (int id = 0; ok && id < specials; id++) {
        char other[32];
        snprintf(other, sizeof other, "<SPECIAL_%d>", id);
        ok = put_special(t, id, name[id] ? name[id] : other, true, path, e);
    }
    free(name);
    t->bos = added_find(t->added, "<s>", 3);
    t->eos = added_find(t->added, "</s>", 4);
    return ok;
}

bool build_tekken(BpeText *t, const json_t *root, const char *path, Err *e)
{
    const json_t *config = json_object_get(root, "config"), *vocab = json_object_get(root, "vocab");
    const json_int_t size = json_integer_value(json_object_get(config, "default_vocab_size")),
                     specials = json_integer_value(json_object_get(config, "default_num_special_tokens"));
    const char *pattern = text_at(config, "pattern");
    size_t i;
    json_t *k;
    err_expected(e, "a pattern, and 0 < default_num_special_tokens < default_vocab_size <= %d", BPE_IDS);
    err_got(e, "%lld, %lld", (long long)specials, (long long)size);
    if (!pattern || specials < 1 || specials >= size || size > BPE_IDS)
        return err_set(e, EXIT_DATA, path, "", "this tekken.json's config is impossible");
    e->expected[0] = e->got[0] = 0;
    json_array_foreach(vocab, i, k) {
        const json_t *rank = json_object_get(k, "rank"), *code = json_object_get(k, "token_bytes");
        if ((json_int_t)i >= size - specials)
            break;
        const int64_t id = json_is_integer(rank) ? json_integer_value(rank) : -1;
        if (id < 0 || id >= size - specials || !json_is_string(code) ||
            !put_rank(t, id + specials, json_string_value(code), json_string_length(code), path, (int64_t)i, e))
            return err_set(e, EXIT_DATA, path, "", "the piece %zu has no token_bytes and rank of its own", i);
    }
    t->bytes = true;
    bpe_pairs_of_ranks(t->bpe);
    bpe_ready(t->bpe, true);
    return build_cut(t, GRAMMAR_RUST, pattern, e) && tekken_special(t, json_object_get(root, "special_tokens"), (int)specials, path, e);
}
