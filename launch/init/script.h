/*
 * script.h -- in which writing a text is: its letters counted by Unicode script, the nearest that can be told of a language without a model
 *
 * Letters alone count (general category L; ideographs are letters), by the blocks of the scripts that people train on.  Local.
 * Source  Unicode 15, Blocks.txt        Tests  tests/launch/init.sh
 */
#pragma once
#include "core/base.h"

enum { SCRIPTS = 22, SCRIPT_OTHER = SCRIPTS - 1, SCRIPT_CHARS = 0x110000 };

typedef struct {
    int64_t chars, letters, of[SCRIPTS];
    int     distinct;                          /* characters */
    uint8_t seen[SCRIPT_CHARS / 8];
} ScriptCount;

const char *script_name(int script);
/* Counts what UTF-8 text of n bytes holds; returns its characters. */
int64_t script_count(ScriptCount *c, const char *text, size_t n);
