/*
 * manpage.h -- asvr(1) in troff's man macros, from the table of verbs and the table of options
 *
 * A verb's page (`asvr help VERB`) is read as what it looks like:
 *
 *     lines from the first column                    text
 *     "  keys      data.*", "  contrast    ..."      an item; what is indented deeper goes on with it
 *     "  example   asvr ..."                         what to type, line by line
 *     any other indented line                        as it stands
 *
 * The page has no date: one program gives one page.
 * Local.  Tests: tests/launch/install.sh
 */
#pragma once
#include "launch/words.h"

/* exits: the exit codes in two columns, as `asvr help` prints them. */
void manpage_print(FILE *f, const Verb *verbs, int n, const char *exits);
