/*
 * kinds.h -- the benchmarks that `asvr eval` knows: how each is asked, how long an answer may be, what it is called by whom
 *
 * The kind of a table is told from its file's name (MMBench_DEV_EN.tsv, POPE.tsv), else from its columns; eval.kind says it outright.
 * Questions are put as the paper and LLaVA put them (Table 5): the sentence at the end is the kind's.  Local.
 * Source  ASVR, Table 5;  VLMEvalKit, vlmeval/vlm/llava/llava.py (build_prompt);  lmms-eval, lmms_eval/tasks/
 * Tests   tests/launch/kits.sh
 */
#pragma once
#include "io/base/err.h"

/* The words of eval.kind (launch/config/options.c), in their order. */
typedef enum {
    KIND_TEXTVQA, KIND_DOCVQA, KIND_OCRBENCH, KIND_CHARTQA, KIND_MMBENCH, KIND_MME, KIND_SEED, KIND_GQA, KIND_MMMU, KIND_AI2D,
    KIND_REALWORLDQA, KIND_MMVP, KIND_HALLUSION, KIND_POPE,          /* the paper's table, in its order */
    KIND_MMSTAR, KIND_CHOICE, KIND_YESNO, KIND_WORD, KINDS           /* beside it; any multiple choice, yes or no, word */
} Kind;
enum { PAPER = KIND_POPE + 1 };         /* columns of its table */

typedef struct {
    const char *name;                   /* in eval.kind */
    const char *column;                 /* in the table */
    const char *file;                   /* what names of files begin with, lower case */
    const char *task;                   /* lmms-eval's */
    const char *ask;                    /* behind the question, on a line of its own; NULL: by its options */
    const char *open;                   /* the same where a question has no options; NULL: none */
    const char *score;                  /* what the score is */
    int         max_new;                /* tokens */
} KindInfo;
extern const KindInfo kinds[KINDS];

/* By the name of a file; KINDS: unknown. */
Kind kind_of_file(const char *path);
/* The name of a file without folders and ".tsv". */
void kind_stem(const char *path, char out[128]);
