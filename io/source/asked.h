/*
 * asked.h -- a question of one's own: the keys that say what is right, so that a record can be marked
 *
 *     answer     a text, or a list of texts that are all right
 *     choices    [ "cat", "dog" ], or { "A": "cat", "B": "dog" }: then the answer is a letter or a choice's text
 *     task       a text: questions of one task share a line of the table; default ASKED_TASK
 *
 * They stand at the top of the record, beside conversations, messages or question; of several turns they mean the last question.
 * With choices that question gets them as lines, and LLaVA's words behind them:
 *
 *     What is it?  ->  What is it?\nA. cat\nB. dog\nAnswer with the option's letter from the given choices directly.
 *
 * and its answer becomes the letter; a question that shows them all already ("A. cat", "A) cat" or "(A) cat") stays as it is.  A last
 * question that nobody answers gets the first right answer.  Without `answer` there is no question: choices are then not read, and a task
 * that is no task's name is none.
 *
 * Local.  EXIT_DATA, e->where is the caller's.  Tests: tests/io/source/test_asked.c, tests/launch/own.sh
 */
#pragma once
#include "io/source/turns.h"

enum { ASKED_RIGHT = 64, ASKED_CHOICES = 26, ASKED_TASK_BYTES = 48 };
#define ASKED_TASK "questions"

typedef struct {
    const char *right[ASKED_RIGHT];     /* (n) with choices letters; n = 0: nothing is asked */
    int         n;
    const char *choice[ASKED_CHOICES];  /* (choices) */
    char        letter[ASKED_CHOICES];  /* (choices) capital */
    int         choices;
    const char *task;                   /* NULL: none said */
} Asked;

/* Is this key read here?  As JsonReads. */
bool asked_key(const char *key, int64_t n);
/* Before turns_read, which is left with an answer that is a text.  Texts are the record's or kept's. */
bool asked_read(Asked *a, struct json_t *record, struct json_t *kept, Err *e);
/* After it: the last turn as it is put and learned. */
void asked_put(const Asked *a, Turns *t, struct json_t *kept);
/* What the object says under these keys, as members of another: ",\"answer\":\"cat\",..."; "" for nothing.  To be freed. */
char *asked_members(const struct json_t *object);
