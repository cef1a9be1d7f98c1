/*
 * jsonscan.h -- where the values of a long JSON array (or of JSON Lines) begin and end, without holding the file
 *
 *     array     [ , ]
 *     lines     a value is a line that is not blank, whatever stands in it: a line that is no JSON harms no other
 *     values    one behind the other, over several lines each: where the first one is
 *
 * Of an array and of values the scanner knows strings, escapes and matching brackets, no more; whoever parses a value finds the
 * rest.  It recurses nowhere and keeps a value only up to JSON_DEPTH (not of lines) and JSON_BYTES, but finds the end of any.
 *
 * A file that cannot be read, an array or values that are cut off or whose brackets do not match are `broken`: it is said once
 * in s->broken (EXIT_DATA or EXIT_IO, "FILE: record 12, byte 3456") and stays so.  Local.
 *
 * Tests   tests/io/source/{test_llava,test_slices}.c
 */
#pragma once
#include "io/base/err.h"

enum { JSON_DEPTH = 64, JSON_BYTES = 16 << 20 };

typedef struct {
    int64_t  records;           /* scanned so far; the number of the next one */
    char    *text;              /* (len) the last value, or its beginning */
    int64_t  len, cap;
    Err      broken;

    bool     array, lines;      /* neither: values */
    bool     done;              /* the end was seen */
    bool     found;             /* stands at a value */
    int64_t  first, size;       /* the byte at which the first value begins; the file's size */
    int      fd, at, have;      /* the window: at <= have bytes, from `base` in the file */
    int64_t  base;
    uint8_t *window;
    char     name[256];
} JsonScan;

/* False, with e filled: no such file, no value in it, or what it begins with is no JSON. */
bool    json_scan_open(JsonScan *s, const char *path, Err *e);
void    json_scan_close(JsonScan *s);

/* Goes to byte `at`, where value number `record` is known to begin; what was broken elsewhere is forgotten. */
void    json_scan_seek(JsonScan *s, int64_t at, int64_t record);
int     json_scan_find(JsonScan *s);                  /* goes to the next value: 1 there is one, 0 the end, -1 broken */
int64_t json_scan_tell(const JsonScan *s);            /* the byte it stands at */
/* Goes over the value; it then lies in text.  1: done, 0: done, but too deep or too long to be kept, -1 broken. */
int     json_scan_value(JsonScan *s);

/* Fills e for `record` at `byte`; returns -1. */
int     json_scan_fail(const JsonScan *s, int64_t record, int64_t byte, Err *e, const char *what, const char *hint);
