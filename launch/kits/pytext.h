/*
 * pytext.h -- what the kits do to texts, as Python does it: lower, strip, split, float, regular expressions
 *
 * Texts are UTF-8 and end with a NUL.  White space, letters, digits and lower case are Unicode's, as in Python's str.  What is made
 * lies in a Pad until that is cleared.
 *
 * Not as in Python: a final sigma in lower case, digits of other scripts in numbers.  Local.
 * Tests   tests/launch/kits.sh, tests/peers/check_kits.py
 */
#pragma once
#include "core/base.h"

typedef struct PadPart PadPart;
typedef struct { PadPart *last; } Pad;
char *pad_room(Pad *p, size_t bytes);
char *pad_text(Pad *p, const char *s, size_t n);        /* a copy */
char *pad_print(Pad *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void  pad_clear(Pad *p);

char *py_lower(Pad *p, const char *s);
char *py_strip(Pad *p, const char *s);                  /* white space at the ends */
char *py_strip_of(Pad *p, const char *s, const char *ascii);       /* any of these at the ends */
char *py_rstrip_of(Pad *p, const char *s, const char *ascii);
char *py_replace(Pad *p, const char *s, const char *from, const char *to);
char *py_without(Pad *p, const char *s, const char *ascii);        /* none of these */
/* Words between white space; *word lies in the pad. */
int   py_split(Pad *p, const char *s, char ***word);
char *py_join(Pad *p, char **word, int n);              /* with spaces */
int   py_len(const char *s);                            /* characters */
int   py_upper_len(const char *s);                      /* characters of s in upper case */
bool  py_alpha(const char *s);                          /* is the character at s a letter? */
bool  py_digit(const char *s);
const char *py_next(const char *s);                     /* the character behind the one at s; s at its end */
const char *py_before(const char *begin, const char *s);           /* the character in front of s; NULL: there is none */
const char *py_rfind(const char *s, const char *what);  /* NULL: it is not there */
/* float(s): false where Python raises ValueError. */
bool  py_float(const char *s, double *x);
double py_round2(double x);                             /* round(x, 2) */
/* re.search from `from` on: where the group begins and ends; false: no match.  A pattern is compiled once, so it must be a literal. */
bool  py_search(const char *pattern, const char *s, size_t from, int group, size_t *begin, size_t *end);
