/*
 * verbs.h -- what `asvr VERB` calls; one file per verb
 *
 * MPI is initialised, the configuration loaded, checked and equal on all ranks.  Every function is collective
 * over all ranks and returns the program's exit code, the same on each.  But for those that get words: they are one process
 * without MPI.
 */
#pragma once
#include "launch/config/config.h"

#define VERSION "0.1.0"

/* What was typed: the verb, its configuration or path, the values of --set in argv's own memory, its flags; of a verb that reads
   several paths all of them, the first is `path`; of a flag "--out=FILE" what was typed for FILE, NULL where it was not. */
enum { WORDS_FLAGS = 16 };
typedef struct {
    const struct Verb *verb;
    const char *path; char **sets; int n_sets; unsigned flags; char **paths; int n_paths; const char *values[WORDS_FLAGS];
} Words;

int pack_main(const Config *c);
int train_main(const Config *c);
int eval_main(const Config *c);
int chat_main(const Config *c);
int serve_main(const Config *c);
int bench_main(const Config *c);
int scaling_main(const Config *c);      /* without MPI: plan_main, too */
int plan_main(const Config *c);
int spectrum_main(const Config *c);
int import_main(const Config *c);
int export_main(const Config *c);
int verify_main(const char *path);
int init_main(const Words *w, const Config *none);
int report_main(const Words *w, const Config *none);
int status_main(const Words *w, const Config *none);
int submit_main(const Words *w, const Config *c);
