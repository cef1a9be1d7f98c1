#include "launch/chat/console.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupts;

static void on_interrupt(int signal_)
{
    (void)signal_;
    interrupts++;
}

bool console_terminal(void) { return isatty(STDIN_FILENO); }

void console_open(void)
{
    const struct sigaction catch = { .sa_handler = on_interrupt };         /* a read under way ends, too */
    sigaction(SIGINT, &catch, NULL);
}

bool console_stopped(void) { return interrupts > 0; }

Line console_line(char *line, int cap, bool terminal)
{
    int n = 0, c;
    if (interrupts > 1)                     /* the second one came while an answer was being stopped */
        return LINE_END;
    if (terminal) {
        printf("> ");
        fflush(stdout);
    }
    const int before = interrupts;
    while ((c = fgetc(stdin)) != EOF && c != '\n')
        if (n < cap)
            line[n++] = (char)c;
    if (c == EOF && interrupts > before && (ferror(stdin) || errno == EINTR)) {
        clearerr(stdin);
        printf("\n");
        return before > 0 || interrupts > 1 ? LINE_END : LINE_STOPPED;
    }
    if (c == EOF && n == 0 && terminal)
        printf("\n");
    interrupts = 0;
    const bool fits = n < cap;
    line[fits ? n : 0] = '\0';
    return n == 0 && c == EOF ? LINE_END : fits ? LINE_READ : LINE_LONG;
}

void console_show(const char *text, size_t *shown)
{
    for (const char *s = text + *shown; *s; s++)
        putchar(((unsigned char)*s < ' ' && *s != '\n' && *s != '\t') || *s == 127 ? '?' : *s);
    *shown = strlen(text);
    fflush(stdout);
}
