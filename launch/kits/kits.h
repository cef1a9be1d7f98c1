/*
 * kits.h -- `asvr eval` over tables of the evaluation kits: eval.tsv, a file or a folder of them
 *
 *     table_open      each table, once (table.h)               kept_open    what was answered before (kept.h)
 *     kits_ask        questions to the model, many at once     kept_all     answers of all ranks
 *     score_table     (score.h)                                kits_write   RUN/eval/NAME/..., RUN/eval.json, RUN/benchmarks.jsonl
 *
 * With eval.predictions nothing is asked: a table of predictions is scored, without a model.
 *
 * Collective over all ranks.  The same answers on any number of ranks, where products do not depend on it (parallel.blocks).
 * Tests  tests/launch/kits.sh, tests/launch/kitsresume.sh, tests/peers/check_kits.py
 */
#pragma once
#include "launch/eval/generate.h"
#include "launch/kits/kept.h"
#include "launch/kits/score.h"

enum { KITS_ANSWER = 1 << 17 };         /* bytes of an answer */

typedef struct {
    Run       r;
    Generator g;
    Prompt    prompt;
    Pad       pad;
    uint8_t  *pixels; int room;         /* (room, size, size, 3) */
    char     *said;                     /* (KITS_ANSWER) an answer */
    int64_t  *slot_row;                 /* (slots) whose answer is under way */
    int64_t   step, too_long, done;     /* done: questions answered by this replica now */
    double    seconds;
    uint64_t  weights;
    Table    *table; int tables;
    Score    *score;                    /* (tables) */
    bool      folder;
} Kits;

int kits_main(const Config *c);
/* Every row that is not answered yet, of those that fall to this replica. */
bool kits_ask(Kits *k, const Table *t, Kept *kept, Err *e);

/* Rank 0.  RUN/eval/NAME: prediction.tsv, the log for lmms-eval, scores.json. */
bool kits_write(const Kits *k, const Table *t, char *const *said, const Score *s, Err *e);
/* scores.json alone. */
bool kits_write_scores(const Kits *k, const Table *t, const Score *s, Err *e);
/* RUN/eval.json: its group "benchmarks"; a line of RUN/benchmarks.jsonl; with run.tensorboard its events. */
bool kits_write_json(const Kits *k, Err *e);
/* The table on stdout. */
void kits_print(const Kits *k);
/* Rank 0: the predictions of a table out of another one, by index; said (rows). */
bool kits_read_predictions(const Table *t, const char *path, char **said, Pad *pad, Err *e);
