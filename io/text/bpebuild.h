/*
 * bpebuild.h -- files -> BpeText, for bpetext_open only: one function a kind of file
 *
 *     build_json      tokenizer.json, a BPE model in it
 *     build_vocab     vocab.json (what `root` holds) with merges.txt beside it; tokenizer_config.json beside it says the class, and with
 *                     added_tokens.json the added tokens
 *     build_ranks     tiktoken's: a piece in base64 and its rank on each line.  The file says no pattern: its name or the number
 *                     of its ranks is one of a table
 *     build_tekken    Mistral's tekken.json
 *
 * Each fills what bpetext_open made, and adds to t->hash what else decides ids.  EXIT_DATA at `path`; what is asked for and is not
 * here is refused by its name.  Nothing in a file is trusted.
 *
 * Tests   tests/io/text/test_bpe.c, tests/fuzz/fuzz_tokenizer.c
 */
#pragma once
#include <jansson.h>

#include "io/text/bpetext.h"

/* Of the folder that a file lies in. */
typedef struct {
    json_t *config;               /* tokenizer_config.json, or NULL */
    json_t *added;                /* added_tokens.json, or NULL */
    char   *merges;               /* merges.txt, or NULL */
    size_t  merges_n;
    int     bos_id, eos_id;       /* generation_config.json's; -1 */
    json_t *map;                  /* special_tokens_map.json, or NULL */
} Beside;

bool build_json(BpeText *t, const json_t *root, const char *path, Err *e);
bool build_vocab(BpeText *t, const json_t *root, const Beside *b, const char *path, Err *e);
bool build_ranks(BpeText *t, const char *bytes, size_t n, const char *path, Err *e);
bool build_tekken(BpeText *t, const json_t *root, const char *path, Err *e);

/* Shared by them.  The bytes that a piece of a vocabulary stands for in the byte-level alphabet; false: it has other characters. */
bool  build_bytes(const char *s, size_t n, uint8_t *out, size_t *out_n);
/* vocabulary: piece -> id.  special: contents whose ids are no words, of `added`, an array of tokenizer.json's. */
bool  build_pieces(BpeText *t, const json_t *vocab, const json_t *added, const char *path, Err *e);
/* One merge of two pieces as the vocabulary writes them. */
bool  build_merge(BpeText *t, Span left, Span right, int64_t rank, const char *path, Err *e);
bool  build_added(BpeText *t, const AddedToken *a, const char *path, Err *e);
bool  build_added_json(BpeText *t, const json_t *a, json_int_t id, const char *path, Err *e);
/* Base64 -> bytes, in place of out (3 bytes for 4 characters); -1: it is none. */
int64_t build_base64(const char *s, size_t n, uint8_t *out);
bool  build_cut(BpeText *t, enum Grammar grammar, const char *pattern, Err *e);

const char *text_at(const json_t *o, const char *key);        /* NULL where it is no string */
bool        true_at(const json_t *o, const char *key, bool missing);
extern const char GPT2_PATTERN[], QWEN_PATTERN[];
