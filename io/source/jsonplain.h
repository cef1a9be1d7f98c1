/*
 * jsonplain.h -- the JSON that people write -> JSON that jansson takes
 *
 *     what is read            17, -2.5e400, 123456789012345678901234567890 -> "17", ... : a number is its text
 *                             NaN, Infinity, -Infinity -> null (Python writes NaN where a value is missing)
 *     what nobody reads       strings and numbers -> "0", "1", "2", ...: brackets and commas still have to be right, and nothing
 *                             else can be wrong: bad Unicode, a key twice, a number without end.  The record's own keys keep
 *                             their names behind it: "3 width"
 *
 * Read is the value of a key of the record itself, where `reads` says so, with all that it holds; a key written with escapes is;
 * and so is a record that is no object.  What is no JSON stays so, for jansson to refuse.
 *
 * Local.  Tests: tests/io/source/test_plain.c, tests/fuzz/fuzz_record.c
 */
#pragma once
#include <string.h>

#include "core/base.h"

typedef struct {
    char   *text;                  /* (n) */
    int64_t n, cap, depth;         /* depth: brackets open at most */
} JsonPlain;

/* The name behind the number. */
static inline const char *json_plain_key(const char *key)
{
    const size_t n = strspn(key, "0123456789");
    return n && key[n] == ' ' ? key + n + 1 : key;
}

typedef bool JsonReads(const char *key, int64_t n);

void    json_plain(JsonPlain *out, const char *text, int64_t n, JsonReads *reads);
/* The byte of text that byte `at` of out came from. */
int64_t json_plain_source(const char *text, int64_t n, JsonReads *reads, int64_t at);
void    json_plain_free(JsonPlain *p);
