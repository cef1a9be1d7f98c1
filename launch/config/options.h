/*
 * options.h -- the one table of configuration keys: type, range, default and a sentence for each
 *
 * Everything about a key is one line of the table in options.c; the member's place and its C type come from
 * the key itself (`LONG(train.steps, ...)` is the key "train.steps" and the member c->train.steps, checked by
 * the compiler).  The reader, --set, the printed configuration, its hash and the help all read this table.
 *
 * Local.  Tests: tests/launch/{config,help}.sh
 */
#pragma once
#include "launch/config/config.h"

typedef enum { INT, LONG, FLOAT, FLOATS, BOOL, STRING, ENUM } OptionType;

typedef struct {
    const char *key;            /* "train.lr" */
    OptionType  type;
    size_t      at;             /* offset in Config */
    double      min, max;       /* of numbers, both included */
    const char *words;          /* "cosine|constant": values 0, 1, ... of an ENUM */
    const char *def;            /* in text form */
    const char *help;
} Option;

extern const Option options[];
extern const int    n_options;

/* The bound of what has no other; and the room for a key. */
enum { MANY = INT32_MAX, OPTION_KEY = 64 };

const Option *option_find(const char *key);                 /* NULL if there is none */
bool option_is_group(const char *key);                      /* some key begins with "key." */
/* The key (or group) that was most likely meant, by edit distance. */
void option_nearest(char out[OPTION_KEY], const char *key, bool group);

/* Edit distance (insert, delete, replace one character). */
int text_distance(const char *a, const char *b);

/* "key = default" and, apart, "type range". */
void option_describe(const Option *o, char *left, size_t size, char *right, size_t right_size);
/* Every key, for a terminal of 80 columns, or as docs/OPTIONS.md. */
void options_help(FILE *f);
void options_markdown(FILE *f);
