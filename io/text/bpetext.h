/*
 * bpetext.h -- text <-> ids by byte pair merges: added tokens, normalizers, words, merges, in this order
 *
 *     byte level          a word begins as its bytes; the vocabulary writes them in an alphabet of its own ("Ġ" for a space)
 *     characters          a word begins as its characters, those that are no piece as bytes "<0xE6>" (SentencePiece's models as
 *                         tokenizer.json has them)
 *
 * text.h says what its functions mean; those here are the same.  A byte that the vocabulary lacks (SmolLM2's has no 0x04) becomes its
 * unknown token, or nothing where it names none, as in tokenizers.
 *
 * Tests   tests/io/text/test_bpe.c, tests/peers/tokenizers_ids.py
 */
#pragma once
#include "io/text/added.h"
#include "io/text/bpe.h"

typedef struct {
    Bpe     *bpe;
    Words   *words;
    Added   *added;
    bool     bytes;               /* byte level */
    bool     fallback;            /* characters -> "<0xE6>" */
    bool     fuse;                /* neighbouring unknown characters are one */
    bool     lead;                /* a space is put in front of a text: decode takes it away */
    bool     first;               /* in front of the first piece only, not behind each added token */
    int      unknown;             /* -1: dropped */
    int      byte[256];           /* of "<0x00>"...; -1 */
    int      bos, eos;
    uint64_t hash;
} BpeText;

/* Whether this file is one of ours: JSON, or ranks in base64. */
bool     bpetext_is(const char *bytes, size_t n);
/* bytes: the file at path, NUL-terminated.  NULL: EXIT_DATA; EXIT_IO: a file beside it cannot be read. */
BpeText *bpetext_open(const char *path, const char *bytes, size_t n, Err *e);
void     bpetext_close(BpeText *t);

int      bpetext_symbol(const BpeText *t, const char *piece);
/* more: it follows other text.  marked: added tokens are found in it. */
int      bpetext_encode(const BpeText *t, const char *s, size_t n, bool more, bool marked, int32_t *ids, int cap, Err *e);
int      bpetext_decode(const BpeText *t, const int32_t *ids, int n, char *out, int cap);
