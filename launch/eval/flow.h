/*
 * flow.h -- an answer while it is being made: how much of it will stay as it is
 *
 * Of the text so far (generate_text) these may still change or go, and are held back: a character whose bytes are not all there (or that
 * the text model writes as U+FFFD until they are), blanks at the end, and what may be the beginning of a stop text.  What was given
 * stays given, and all of it together is the answer: blanks at both ends are cut, a stop text and what follows it, too.
 *
 * Local.  Tests: tests/launch/flow.c
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *const *stop;             /* (stops) or NULL */
    int    stops;
    size_t given;                  /* bytes, from the first that is no blank on */
    bool   stopped;                /* by a stop text: no more is given */
} Flow;

/* The bytes of text that are given now: *from (returned many).  ended: there will be no more text. */
size_t flow_take(Flow *f, const char *text, bool ended, const char **from);
