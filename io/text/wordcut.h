/*
 * wordcut.h -- text -> words: what a tokenizer does to text before any merge
 *
 *     normalizers   NFC NFD NFKC NFKD, lower case, literal or pattern -> text, text put in front
 *     cuts          a pattern and what becomes of its matches, one cut inside the pieces of the cut before; spaces written otherwise
 *
 * Patterns are Perl's, by PCRE2, with Unicode classes.  They were written for Oniguruma (tokenizer.json) or Rust's regex (files of
 * ranks): \s is Unicode's White_Space, as there; what those read otherwise than Perl is refused by name (words_cut).
 * Bytes that are no UTF-8 pass by: a run of them is a word of its own, normalised by nothing.
 * A Words does not change once it is made: threads may share it.
 *
 * Source  tokenizers' documentation of normalizers and pre-tokenizers
 * Tests   tests/io/text/test_bpe.c, tests/peers/tokenizers_ids.py
 */
#pragma once
#include "io/text/pattern.h"

typedef struct Words Words;

enum Normal { NORMAL_NFC, NORMAL_NFD, NORMAL_NFKC, NORMAL_NFKD, NORMAL_LOWER, NORMAL_REPLACE, NORMAL_PREPEND };
/* What becomes of a match: a piece; nothing; joined with matches beside it, with the text in front, with the text behind. */
enum Cut { CUT_ISOLATED, CUT_REMOVED, CUT_CONTIGUOUS, CUT_WITH_PREVIOUS, CUT_WITH_NEXT };

typedef struct { const char *s; size_t n; } Span;

Words *words_new(void);
void   words_free(Words *w);

/* Each adds one step behind those there are; at most 16 of each kind.  EXIT_DATA, `where` left empty: the pattern is refused. */
bool words_normal(Words *w, enum Normal what, enum Grammar grammar, Span pattern, Span content, Err *e);
bool words_cut(Words *w, enum Grammar grammar, Span pattern, enum Cut cut, bool invert, Err *e);
/* Each space is written `as` something; front: one of them in front of each piece that has none, but of text that goes on (`more`). */
bool words_space(Words *w, Span as, bool front, Err *e);

/* What a word is given to. */
typedef void WordSink(void *ctx, const uint8_t *word, size_t n);

/* Text that is one piece for the normalizers: a whole text, or what lies between added tokens.  more: it follows other text.
   EXIT_DATA: a pattern gave up (its steps are limited). */
bool words_of(const Words *w, const char *s, size_t n, bool more, WordSink *sink, void *ctx, Err *e);
/* The two halves of it: the normalised text, to be freed, NULL where it is the text itself; and its words. */
bool words_normalise(const Words *w, const char *s, size_t n, bool more, char **out, size_t *out_n, Err *e);
bool words_split(const Words *w, const char *s, size_t n, bool more, WordSink *sink, void *ctx, Err *e);

/* Bytes at s that are UTF-8 (no surrogates, nothing longer than needed), up to the first that is not. */
size_t utf8_run(const uint8_t *s, size_t n);
/* Bytes of the character at s: 1 to 4, of text that is UTF-8. */
static inline size_t utf8_length(uint8_t c) { return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4; }
