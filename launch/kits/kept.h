/*
 * kept.h -- the answers of a table as they come: whoever is killed goes on where it was, on any number of ranks
 *
 *     RUN/eval/NAME/answers.jsonl      {"asvr-answers": 1, "of": "9f2c..."}      what the answers are of: weights, table, prompts
 *                                      {"row": 12, "prediction": "a red car"}    a row of the table, counted from 0
 *     RUN/eval/NAME/answers-3.jsonl    the same, of replica 3, while it works
 *
 * Rank 0 reads them all when it begins, makes one file of them and says which rows are answered; each replica then writes its own.  A line that a
 * kill cut short is no answer.  Answers of other weights, another table or other prompts are not taken.  Synced every two seconds.
 *
 * Collective over all ranks: kept_open, kept_all.  EXIT_IO.  Tests  tests/launch/kits.sh
 */
#pragma once
#include "io/base/append.h"
#include "launch/kits/pytext.h"
#include "launch/run.h"

typedef struct {
    char     dir[PATH_ROOM], of[17];
    int64_t  rows, had, lost, other;    /* rows of the table; on rank 0: answers found, lines that are none, answers of something else */
    uint8_t *answered;                  /* (rows) */
    char   **said;                      /* (rows), on rank 0: NULL: not answered */
    Pad      pad;
    Append  *out;
    double   synced;
} Kept;

bool kept_open(Kept *k, const Run *r, const char *dir, uint64_t of, int64_t rows, Err *e);
/* One more; on the first rank of a replica. */
void kept_add(Kept *k, int64_t row, const char *said);
/* Rank 0 has what all ranks have, in one file. */
bool kept_all(Kept *k, const Run *r, Err *e);
void kept_close(Kept *k);
