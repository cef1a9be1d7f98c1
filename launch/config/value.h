/*
 * value.h -- one value of a configuration: from libconfig or from text into its member, and back to text
 *
 * Text form: 12, 0.5, true, a word, any string, [0.9, 0.95].  An integer will do for a float; nothing else is
 * converted.  What is printed reads back as the same bits.
 * Local.  Tests: tests/launch/config.sh
 */
#pragma once
#include "launch/config/options.h"

enum { OPTION_FLOATS = 2, OPTION_TEXT = 4 * CONFIG_STRING + 8 };

/* A value as it was found, before it is known what the option wants. */
typedef struct {
    enum { V_INTEGER, V_NUMBER, V_LIST, V_BOOL, V_TEXT, V_GROUP } kind;
    int64_t     integer;
    double      number[OPTION_FLOATS];      /* also of an integer */
    int         n;                          /* length of a list of numbers; -1: too long, or of other things */
    bool        yes;
    const char *text;
} Value;

/* What libconfig found. */
struct config_setting_t;
Value value_of(struct config_setting_t *s);
/* Writes the member of o if the value fits type and range; else false, and *e says what was expected and got. */
bool option_set(const Option *o, Config *c, const Value *v, const char *where, Err *e);
/* The same from text form. */
bool option_parse(const Option *o, Config *c, const char *text, const char *where, Err *e);
/* The member as libconfig writes it. */
void option_print(const Option *o, const Config *c, char out[OPTION_TEXT]);
/* "1 .. 64", ">= 1", "cosine | constant", "true | false", "any". */
void option_range(const Option *o, char *out, size_t size);
