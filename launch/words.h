/*
 * words.h -- the command line: what a verb is, and what was typed behind it
 *
 * Local, before MPI is up.  Tests: tests/launch/help.sh
 */
#pragma once
#include "io/base/home.h"
#include "launch/verbs.h"

typedef struct Verb {
    const char *name;
    int       (*with_config)(const Config *c);
    int       (*with_path)(const char *path);
    const char *line, *page;
    bool        alone;          /* one process and no MPI, whatever started it */
    bool        tells;          /* what it prints is what was asked for: not to be lost in silence */
    bool        stops;          /* looks at requests to stop; in others a signal ends the process */
    int       (*with_words)(const Words *w, const Config *c);   /* alone, and told what was typed; c is NULL where flags are not */
    const char *flags;          /* of one that reads a PATH: "--watch --json" are bits 0 and 1 of Words.flags; "PATH..." it reads several;
                                   "--out=FILE", typed --out=X or --out X, is bit 1 and sets Words.values[1]; "[PATH...]": it may read none */
} Verb;

/* "asvr train CONFIG [--set KEY=VALUE]..." */
enum { WORDS_SYNOPSIS = 192 };
void words_synopsis(const Verb *v, char out[WORDS_SYNOPSIS]);
/* Prints its page. */
void words_help(const Verb *v);
bool words_help_is(const char *word);               /* help, --help, -h */
/* It reads a PATH, not a CONFIG. */
bool words_path(const Verb *v);
/* The file that is meant: path, or where it is not here its namesake among the program's own files (io/base/home.h), and stderr says so. */
const char *words_file(char own[PATH_ROOM], const char *path);
/* Who speaks for all ranks: before MPI is up only the launcher's environment tells. */
bool words_speak(void);
/* Complains once; EXIT_USAGE. */
int  words_usage(const char *hint, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Fills w from what follows the verb; false after a complaint or a page of help, *code is then what to exit with. */
bool words_parse(Words *w, const Verb *verb, int n, char **args, int *code);
