/*
 * owntasks.h -- the tasks of questions of one's own (asked.h): their names, and each one's most frequent training answer
 *
 * Each rank says what its share of the records holds; then all know all.  Tasks are in the order of bytes.  Answers are counted as
 * texts are compared (launch/eval/judge.h), of choices the letter; of as frequent ones the first in the order of bytes; those longer than
 * OWN_ANSWER bytes do not count.  The same for any number of ranks.
 *
 * Tests   tests/launch/own.sh
 */
#pragma once
#include <mpi.h>

#include "io/set/shard.h"

enum { OWN_ANSWER = 200 };

typedef struct { char *text; int64_t n; } OwnLine;       /* "TASK\tANSWER", or "TASK\t" of one that is asked for */
typedef struct { OwnLine *line; int64_t lines, cap; char **name; int names; } OwnTasks;

/* A held-out question; a training record's answer.  Local. */
void owntasks_ask(OwnTasks *t, const char *task);
void owntasks_learn(OwnTasks *t, const char *task, const char *answer);
/* Names and answers as ShardMeta has them.  Collective over comm; EXIT_DATA, on all ranks alike, where the names have no room. */
bool owntasks_all(OwnTasks *t, MPI_Comm comm, char tasks[SHARD_TASKS], char baseline[SHARD_BASELINE], Err *e);
/* After it: the number of a task; -1: nobody asks for it.  Local. */
int  owntasks_number(const OwnTasks *t, const char *task);
void owntasks_free(OwnTasks *t);
