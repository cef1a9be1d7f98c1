/*
 * flow.h -- an answer while it is being made, and texts that end it: how much of it is certain
 *
 * Of the text so far (generate_text: whole characters, no blanks around it) what may be the beginning of a stop text is held back.  What
 * was given stays given, and all of it together is the answer: a stop text, what follows it and blanks in front of it are none of it.
 *
 * Local.  Tests: tests/fuzz/fuzz_chatrequest.c (in pieces = at once), tests/launch/serve.sh
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *const *stop;             /* (stops) none empty; NULL: none */
    int    stops;
    size_t given;                  /* bytes */
    bool   stopped;                /* by a stop text: no more is given */
} Flow;

/* The bytes of text that are given now: *from, and how many.  ended: there will be no more text. */
size_t flow_take(Flow *f, const char *text, bool ended, const char **from);
