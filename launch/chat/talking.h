/*
 * talking.h -- a talk of several turns, with pictures, that grows: what the model is shown each time it is to answer
 *
 * A picture waits for the next question and belongs to it from then on.  A question that names as many places ("<image>") as it has
 * pictures has them there; one that names none has them in front.  Local.  Tests: tests/launch/chat.sh
 */
#pragma once
#include "io/image/image.h"
#include "io/text/prompt.h"

typedef struct { char *human, *answer; int images; } Exchange;

typedef struct {
    Exchange *said;                /* (n) the last one has no answer while it is being asked */
    Turn     *turn;                /* (cap) for the prompt */
    char    **marked;              /* (cap) questions with their marks */
    int       n, cap;
    uint8_t  *pixels, *given;      /* (images, picture) in order; (given_n, picture) what a talk begins with */
    size_t    picture;             /* bytes of one */
    int       images, given_n, waiting, room;      /* waiting: of the last ones; room: that a prompt may have */
    char     *system;              /* NULL: none was said */
} Talking;

/* picture: bytes of one; room: pictures at most. */
void talking_open(Talking *t, size_t picture, int room);
void talking_close(Talking *t);
/* One more waits: its place, to be filled, or NULL: there is no room. */
uint8_t *talking_picture(Talking *t);
void talking_unpicture(Talking *t);                /* the last one was none */
void talking_give(Talking *t);                     /* those that wait now are those that each talk begins with */
void talking_anew(Talking *t);                     /* forgets all but the system prompt */
void talking_system(Talking *t, const char *text); /* "": none was said */
void talking_ask(Talking *t, const char *question);
void talking_take_back(Talking *t);                /* the last question; its pictures wait again */
void talking_answer(Talking *t, const char *text);
/* The first exchange goes, and its pictures; false: the last question is alone. */
bool talking_forget(Talking *t);
/* system: where none was said.  prompt_build's errors. */
bool talking_prompt(Talking *t, Prompt *p, const Text *text, int template_, const char *system, Err *e);
