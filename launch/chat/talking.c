#include "launch/chat/talking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char mark[] = "<image>";

void talking_open(Talking *t, size_t picture, int room)
{
    *t = (Talking){ .picture = picture, .room = room, .pixels = malloc((size_t)room * picture), .given = malloc((size_t)room * picture) };
    CHECK(t->pixels && t->given, "no memory for %d pictures of %zu bytes", room, picture);
}

void talking_close(Talking *t)
{
    for (int i = 0; i < t->n; i++) {
        free(t->said[i].human);
        free(t->said[i].answer);
    }
    free(t->said);
    free(t->turn);
    free(t->marked);
    free(t->pixels);
    free(t->given);
    free(t->system);
    *t = (Talking){ 0 };
}

static char *copy(const char *text)
{
    char *s = strdup(text);
    CHECK(s, "no memory for a talk");
    return s;
}

uint8_t *talking_picture(Talking *t)
{
    if (t->images == t->room)
        return NULL;
    t->waiting++;
    return t->pixels + (size_t)t->images++ * t->picture;
}

void talking_unpicture(Talking *t)
{
    t->images--;
    t->waiting--;
}

void talking_give(Talking *t)
{
    t->given_n = t->images;
    memcpy(t->given, t->pixels, (size_t)t->images * t->picture);
}

void talking_anew(Talking *t)
{
    for (; t->n > 0; t->n--) {
        free(t->said[t->n - 1].human);
        free(t->said[t->n - 1].answer);
    }
    t->images = t->waiting = t->given_n;
    memcpy(t->pixels, t->given, (size_t)t->given_n * t->picture);
}

void talking_system(Talking *t, const char *text)
{
    free(t->system);
    t->system = *text ? copy(text) : NULL;
}

void talking_ask(Talking *t, const char *question)
{
    if (t->n == t->cap) {
        t->cap    = 2 * t->cap + 8;
        t->said   = realloc(t->said, (size_t)t->cap * sizeof *t->said);
        t->turn   = realloc(t->turn, (size_t)t->cap * sizeof *t->turn);
        t->marked = realloc(t->marked, (size_t)t->cap * sizeof *t->marked);
        CHECK(t->said && t->turn && t->marked, "no memory for a talk of %d turns", t->cap);
    }
    t->said[t->n++] = (Exchange){ copy(question), NULL, t->waiting };
    t->waiting = 0;
}

void talking_take_back(Talking *t)
{
    const Exchange *x = &t->said[--t->n];
    t->waiting += x->images;
    free(x->human);
    free(x->answer);
}

void talking_answer(Talking *t, const char *text) { t->said[t->n - 1].answer = copy(text); }

bool talking_forget(Talking *t)
{
    const Exchange x = t->said[0];
    if (t->n < 2)
        return false;
    free(x.human);
    free(x.answer);
    t->n--;
    t->images -= x.images;
    memmove(t->said, t->said + 1, (size_t)t->n * sizeof *t->said);
    memmove(t->pixels, t->pixels + (size_t)x.images * t->picture, (size_t)t->images * t->picture);
    return true;
}

/* The question with a mark for each of its pictures in front, where it names no place. */
static char *with_marks(const Exchange *x)
{
    const int marks = strstr(x->human, mark) ? 0 : x->images;
    const size_t each = sizeof mark;                /* a line break each */
    char *s = malloc((size_t)marks * each + strlen(x->human) + 1);
    CHECK(s, "no memory for a question");
    for (int i = 0; i < marks; i++)
        memcpy(s + (size_t)i * each, "<image>\n", each);
    strcpy(s + (size_t)marks * each, x->human);
    return s;
}

bool talking_prompt(Talking *t, Prompt *p, const Text *text, int template_, const char *system, Err *e)
{
    const Talk talk = { t->turn, t->n, t->images - t->waiting, t->system ? t->system : system };
    for (int i = 0; i < t->n; i++) {
        t->marked[i] = with_marks(&t->said[i]);
        t->turn[i] = (Turn){ t->marked[i], t->said[i].answer };
    }
    const bool ok = prompt_build(p, text, template_, &talk, e);
    for (int i = 0; i < t->n; i++)
        free(t->marked[i]);
    return ok;
}
