/*
 * life.h -- one life of a job: which process on which machine, and of which Slurm job the which start
 *
 * A process is named by the boot of its machine, its number and its time of start, so that a number that was given
 * again is not taken for it; its namespace of numbers says whether we see the same ones.  A Slurm job that is put back
 * into the queue keeps its id and counts its restarts: a later life of it follows the earlier one.
 *
 * As text it is one JSON object of always the same length for the same life, so that what changes (held, saved) can be
 * written over in place.
 *
 * Local.  Tests: tests/io/base/test_lease.c
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { LIFE_TEXT = 2560, LIFE_WHO = 448 };

typedef struct {
    char    token[17];              /* random: names this life */
    char    host[128], boot[40], pids[40];
    int64_t process, started;       /* ticks after boot */
    char    cluster[64], job[64];   /* "" outside Slurm; "991_3" in an array */
    int64_t restart;
    bool    held;                   /* false: it has ended, and says so */
    int64_t saved;                  /* the step of the run's newest checkpoint; -1: there was none yet */
} Life;

/* This process, held, nothing saved; a token that nobody else has. */
void life_self(Life *l);
/* Bytes of the text. */
int  life_text(const Life *l, char out[LIFE_TEXT]);
/* False where it is no such text. */
bool life_parse(Life *l, const char *text);
/* "host n7, process 4242, job 991_3, restart 1" */
const char *life_who(const Life *l, char out[LIFE_WHO]);

/* The same Slurm job, started again later. */
bool life_follows(const Life *later, const Life *earlier);
bool life_same_boot(const Life *a, const Life *b);
/* Whether its process lives; UNKNOWN where it is on another machine, or has numbers that we do not see. */
enum { LIFE_DEAD, LIFE_ALIVE, LIFE_UNKNOWN };
int  life_state(const Life *l, const Life *self);
