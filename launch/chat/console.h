/*
 * console.h -- who asks: lines of a pipe, or somebody at a terminal
 *
 * At a terminal there is a sign to type behind, answers appear as they come, and Ctrl-C is a question of its own: it stops the answer under way; at the
 * sign, and once more, it ends the program, as Ctrl-D does.  Rank 0 alone.  Tests: tests/launch/chat.sh
 */
#pragma once
#include "io/base/err.h"

typedef enum { LINE_END, LINE_READ, LINE_LONG, LINE_STOPPED } Line;

/* Is somebody there? */
bool console_terminal(void);
/* Ctrl-C is caught from here on. */
void console_open(void);
/* Shows the sign where `terminal`, and reads a line without its end; LONG: it has more than cap - 1 bytes, and is passed over; STOPPED: Ctrl-C. */
Line console_line(char *line, int cap, bool terminal);
/* Was Ctrl-C typed since the last line was read? */
bool console_stopped(void);
/* What is new of an answer that was shown up to *shown; control characters, which a terminal obeys, as "?". */
void console_show(const char *text, size_t *shown);
