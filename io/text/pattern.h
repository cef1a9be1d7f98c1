/*
 * pattern.h -- regular expressions written for Oniguruma or Rust, matched by PCRE2
 *
 * Oniguruma (tokenizer.json): ^ and $ are ends of lines.  Rust (files of ranks): ends of the text.  \s in both is White_Space; PCRE2's
 * would also take U+180E.  Refused, because the three read it differently or PCRE2 takes it for something else: \w \W \b \B \h \H
 * \R \X \K \Q \G \C, && in a class, an interval with + behind it (Oniguruma), \S in a class.
 * A Pattern does not change once it is made: threads may share it, each with its own Match.
 *
 * Tests   tests/io/text/test_bpe.c
 */
#pragma once
#include "io/base/err.h"

enum Grammar { GRAMMAR_LITERAL, GRAMMAR_ONIGURUMA, GRAMMAR_RUST };

typedef struct Pattern Pattern;
typedef struct Match   Match;

/* NULL: EXIT_DATA, `where` empty: it is refused, or no pattern. */
Pattern *pattern_new(enum Grammar grammar, const char *s, size_t n, Err *e);
void     pattern_free(Pattern *p);

/* Room for one match at a time, of any pattern. */
Match   *match_new(void);
void     match_free(Match *m);
/* The first match in text (UTF-8, n bytes) that begins at `from` or behind it: 1 and its ends, 0: none, -1: given up. */
int      pattern_find(const Pattern *p, Match *m, const uint8_t *text, size_t n, size_t from, size_t *begin, size_t *end);
