/*
 * jsonpull.h -- the values of a JSON text that comes as a stream, one after the other: nothing but the one in hand is kept
 *
 *     pull_open -> pull_peek '{' -> pull_enter -> while (pull_member(p, key)) pull_peek '[' -> pull_enter -> while (pull_element) pull_value
 *
 * For files that cannot be read at their place, as packed ones are, or that are no list of records (COCO).  Strings, escapes and
 * matching brackets, no more, as jsonscan.h; a value is kept up to JSON_BYTES, with a blank for each line break between its words.
 *
 * A text that is no JSON, or is cut off: EXIT_DATA with the byte of the unpacked text; p->broken, and so is every later call.  Local.
 * Tests: tests/io/source/test_sources.c
 */
#pragma once
#include "io/source/bytes.h"

enum { PULL_KEY = 128, PULL_BLOCK = 1 << 16, PULL_MOST = 16 << 20 };

typedef struct {
    Bytes   *in;
    Err      broken;
    char    *text;                 /* (len) the last value, NUL behind it */
    int64_t  len, cap, start;      /* the byte at which it begins */
    char     path[400];
    uint8_t  block[PULL_BLOCK];
    int64_t  at, have, base;
} JsonPull;

bool pull_open(JsonPull *p, const char *path, Err *e);
void pull_close(JsonPull *p);
int64_t pull_tell(const JsonPull *p);

/* The next byte that is no blank, or -1 at the end. */
int  pull_peek(JsonPull *p);
/* Goes into the object or list that it stands at. */
void pull_enter(JsonPull *p);
/* Stands behind what comes before: is there another member, whose key it then reads (cut at PULL_KEY), or element?  False at the
   closing bracket, which it goes over, or where it is broken.  first: nothing came before. */
bool pull_member(JsonPull *p, bool first, char key[PULL_KEY]);
bool pull_element(JsonPull *p, bool first);
/* Goes over the value: 1, and it lies in text; 0 it is longer than PULL_MOST; -1 broken. */
int  pull_value(JsonPull *p);
/* Fills e: FILE: byte N. */
bool pull_fail(const JsonPull *p, int64_t byte, Err *e, const char *what, const char *hint);
