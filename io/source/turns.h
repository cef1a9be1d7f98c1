/*
 * turns.h -- who says what in a record, in any of the forms that people have
 *
 *     a list of turns    under conversations, conversation, messages or texts, or a text that holds this list as JSON
 *                        {"from": WHO, "value": TEXT}  {"role": WHO, "content": TEXT}  {"user": TEXT, "assistant": TEXT}
 *     a pair             question + answer,  prompt + response | completion | answer,  query + response | answer,
 *                        instruction [+ input] + output | response | answer;  before it, "history": [[question, answer], ...]
 *     a caption          caption | text, of a record with pictures: the answer to an empty question
 *
 *     WHO     human, user | gpt, assistant, bot, model | system, in any case
 *     TEXT    a text, a number, or of a turn a list of parts: "a text", {"type": "text", "text": ...}, {"type": "image", ...}
 *
 * A part that is a picture becomes "<image>" at its place in the text, on a line of its own where no blank follows; its path, if
 * it has one, joins the record's pictures.  System is the first turn or the key "system".  Then questions and answers take turns; an
 * answer in front of all questions is left out, as LLaVA does, and counted (answer_first).  The last question may have no answer.
 *
 * Local.  Tests: tests/io/source/test_turns.c, tests/launch/llava.sh
 */
#pragma once
#include "io/source/media.h"
#include "io/text/prompt.h"

typedef struct {
    Turn       *turn;                   /* (n) n >= 1 */
    int         n, cap;
    const char *system;                 /* NULL: none */
    bool        answer_first, caption;
    int         at;                     /* of the list: the turn that an error is about; -1: none */
} Turns;

/* Is this key read here?  As JsonReads. */
bool turns_key(const char *key, int64_t n);
/* Texts are record's or m->kept's; pictures that are parts go to m.  EXIT_DATA, e->where is the caller's. */
bool turns_read(Turns *t, const struct json_t *record, Media *m, Err *e);
void turns_free(Turns *t);
