/*
 * added.h -- added tokens: strings that are one id where they stand in a text, found before any word is cut
 *
 *     Of the strings that begin at a place the longest is taken, from left to right.  A token of whole words is passed by where a letter, a
 *     mark, a number or a connector is beside it; one that strips takes the white space beside it.
 *
 * Two kinds are looked for one after the other: in the text as it is, and in the normalised text (their own content normalised).
 * Ordinary text knows only those that are blanks alone (tokenizers for code have runs of blanks): what a user wrote stays text.
 * An Added does not change once it is made: threads may share it.
 *
 * Source  tokenizers' documentation of AddedToken
 * Tests   tests/io/text/test_bpe.c, tests/peers/tokenizers_ids.py
 */
#pragma once
#include "io/text/wordcut.h"

typedef struct Added Added;

typedef struct {
    Span content;
    int  id;
    bool special, single_word, lstrip, rstrip, normalized;
} AddedToken;

Added *added_new(void);
void   added_free(Added *a);
/* normal: the tokenizer's normalizers, for those that are normalized. */
bool   added_put(Added *a, const AddedToken *t, const Words *normal, Err *e);
/* The id of a token by its content, or -1. */
int    added_find(const Added *a, const char *content, size_t n);

/* The first token in s at or behind `from`, of those that are looked for: its id and range; -1: none. */
int    added_next(const Added *a, bool normalized, bool marked, const char *s, size_t n, size_t from, size_t *begin, size_t *end);
