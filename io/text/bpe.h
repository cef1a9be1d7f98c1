/*
 * bpe.h -- byte pair merges: pieces with their ids, pairs with their ranks, symbols -> ids
 *
 *     A word begins as one symbol a byte (or character).  Of all neighbours that have a rank the pair of the lowest is replaced by
 *     the piece that it makes, the leftmost first where ranks are equal; and again until no pair has a rank.
 *
 * Few symbols are merged by search, many with a heap: n symbols take n log n.  A word that is a piece and that its own bytes merge
 * to (almost every word of a text) is one look-up: bpe_ready marks those pieces.  So nothing is remembered between calls, and
 * threads may share what is ready.
 *
 * Source  Sennrich, Haddow, Birch, arXiv:1508.07909;  ids as Hugging Face's tokenizers and tiktoken give them
 * Tests   tests/io/text/test_bpe.c
 */
#pragma once
#include "io/base/err.h"

typedef struct Bpe Bpe;

/* What an id is: a WORD comes of merges; LITERAL text comes of added tokens alone; a SPECIAL one is no text. */
enum { PIECE_NONE, PIECE_WORD, PIECE_LITERAL, PIECE_SPECIAL };
enum { BPE_IDS = 1 << 22, BPE_NONE = -1 };

Bpe *bpe_new(void);
void bpe_free(Bpe *b);

/* Names an id (0 <= id < BPE_IDS).  Of two WORDs of the same bytes the first is found. */
void bpe_piece(Bpe *b, int id, const void *bytes, size_t n, int kind);
/* left right -> id, a later rank of the same pair in place of the earlier. */
void bpe_pair(Bpe *b, int left, int right, uint32_t rank, int id);
/* All pairs of WORDs that make a WORD, its id the rank: what a file of ranks means. */
void bpe_pairs_of_ranks(Bpe *b);
/* Finds the WORDs of single bytes, and marks what is its own merge; every piece that is a word at once: all of them. */
void bpe_ready(Bpe *b, bool all);

int            bpe_size(const Bpe *b);                                 /* highest id + 1 */
int            bpe_kind(const Bpe *b, int id);                         /* PIECE_NONE outside */
const uint8_t *bpe_bytes(const Bpe *b, int id, size_t *n);             /* of an id that is a piece; valid until the next bpe_piece */
int            bpe_find(const Bpe *b, const void *bytes, size_t n);    /* the WORD of these bytes, or BPE_NONE */
int            bpe_byte(const Bpe *b, int byte);                       /* after bpe_ready; BPE_NONE where the vocabulary lacks it */
/* The id of a word that is one at once, or BPE_NONE. */
int            bpe_whole(const Bpe *b, const void *bytes, size_t n);
/* Merges n symbols in place; returns how many are left. */
int64_t        bpe_merge(const Bpe *b, int32_t *symbol, int64_t n);
