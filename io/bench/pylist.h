/*
 * pylist.h -- a list as Python writes it: ['nokia', "l'eau", 'a\nb', 3]
 *
 * So pandas leaves lists in a table: the pictures of a question, its right answers.  Strings in either quotes with Python's escapes; what has
 * no quotes is taken as it stands up to the next comma.  Local.  Tests: tests/io/bench/test_tsv.c
 */
#pragma once
#include "core/base.h"

/* Does it begin with [ and end with ], as those that are lists do? */
bool pylist_is(const char *text, size_t n);
/* text (n, and a NUL) is overwritten: the items lie in it, ended by NULs.  *item is to be freed.  Their number, or -1: it is no such list. */
int  pylist_read(char *text, size_t n, char ***item);
