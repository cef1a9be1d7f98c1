/*
 * judge.h -- is an answer right?  The rules for questions of one's own
 *
 * What is right lies in /answers of an evaluation shard, and its first byte says how:
 *
 *     a text                                                       the one right answer, compared byte by byte (scenes)
 *     {"right": ["A"], "choices": {"A": "a cat", "B": "a dog"}}    one of several; without choices any text
 *
 *     texts      equal once blanks around them, one final period and case (Unicode's folding) are gone and blanks inside are one;
 *                or both are decimal numbers of the same value: 3 and 3.0, 1,000 and 1000
 *     choices    the letter that is chosen is right: alone ("b", "B.", "(B)", "B)"), in front of more ("B. a dog", "(B) a dog"), behind
 *                "answer", "answer is", "option" or "choice" ("The answer is B."); else the letter whose text, as texts are compared, is
 *                the whole answer.  The first in this order counts.
 *
 * Benchmarks have rules of their own.  Local.  Tests: tests/launch/own.sh with tests/launch/judged.c
 */
#pragma once
#include "core/base.h"

/* /answers of n right answers, all texts UTF-8; letters (choices) names the choices, none: choices = 0.  To be freed. */
char *judge_key(const char *const *right, int n, const char *letters, const char *const *choice, int choices);
bool  judge_right(const char *key, const char *said);
/* The first right answer, for a table; of choices its letter and text. */
void  judge_show(const char *key, char *out, size_t cap);
/* A text as texts are compared.  To be freed. */
char *judge_normal(const char *text);
