/*
 * completion.h -- what a shell must know to complete `asvr ...`, from the table of verbs and the table of options
 *
 * Verbs; files (*.cfg, those that came with the program, too); --set and its keys; behind KEY= the words of an enum, true and false, files
 * where a key takes text.  Nothing is asked of the program while somebody types.
 * Local.  Tests: tests/launch/install.sh
 */
#pragma once
#include "launch/words.h"

/* False, and nothing is written, where shell is neither "bash" nor "zsh". */
bool completion_print(FILE *f, const char *shell, const Verb *verbs, int n);
