/*
 * json.h -- JSON files that we write: built with jansson, so that every name is escaped, and replaced as a whole
 *
 *     json_write        one key a line
 *     json_write_rows   what the top level holds, and each of its lists and objects element by element:
 *
 *         {"step": 6, "stage": "instruct",
 *          "weights": [
 *           {"name": "decoder.0.attn.wq", "rows": 64},
 *           {"name": "decoder.0.attn.wk", "rows": 64}],
 *          "features": []}
 *
 * Keys stay in the order in which they were set.  Both take root over, and print reals with so many significant digits.
 * Local.  EXIT_IO.  Tests: tests/io/base/test_json.c
 */
#pragma once
#include <jansson.h>

#include "io/base/err.h"

/* A number; null where it is not finite, for which JSON has no word. */
json_t *json_or_null(double x);
/* A text; a byte that is no UTF-8 becomes "?". */
json_t *json_text(const char *s);
/* Sets a key that may be any text, as a task's name. */
void    json_set(json_t *object, const char *key, json_t *value);

bool    json_write(const char *path, json_t *root, int digits, Err *e);
bool    json_write_rows(const char *path, json_t *root, int digits, Err *e);
