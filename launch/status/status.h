/*
 * status.h -- all that is known of a run, from its files, and the pages that say it
 *
 * Private to status.c, report and the room.  Local.  Tests: tests/launch/{status,report}.sh
 */
#pragma once
#include <stdio.h>

#include "launch/status/evals.h"
#include "launch/status/slurmjob.h"
#include "launch/status/story.h"
#include "launch/status/units.h"

/* What the run is doing. */
enum { STATE_STARTING, STATE_RUNNING, STATE_STANDS /* it lives, but no step comes */, STATE_ENDED /* and said so */, STATE_KILLED, STATE_UNKNOWN };
extern const char *const STATE_NAME[];

typedef struct { int64_t step, bytes, bad; double time; bool there; } StatusCkpt;       /* bad: newer ones that are not whole */

typedef struct {
    const char *dir;
    char      stage[16];            /* "" where config.cfg does not say */
    int64_t   steps, step, every;   /* of the run, 0: not known; done; between evaluations, 0: none */
    StepFile   log;
    Story     story;
    SlurmJob  job;
    double    asked;                /* when the job was asked for */
    int       state;
    bool      held;                 /* somebody has the lease and lives */
    bool      still;                /* its process is there, but its heart does not beat */
    double    beat;                 /* wall clock: the lease was last touched; 0: there is none */
    StatusCkpt ckpt;
    Evals     evals;
    double    now;
} Status;

/* In launch/status.c.  Opens a run's folder: whether it is one (EXIT_DATA, EXIT_IO), and what its configuration says; *s is zero but for
   log.each.  Then, as often as wanted, all that is known by now.  s->asked = INFINITY: squeue is not asked. */
bool status_open(Status *s, const char *dir, Err *e);
bool status_gather(Status *s, Err *e);
void status_free(Status *s);

/* The life that is looked at: the last one; NULL: none left a record or a line. */
const StoryLife *status_last(const Status *s);
/* Seconds to go at the present pace; NaN: not known. */
double status_left(const Status *s);
/* "running, its heart beats", "ended with 78: ...": without a full stop. */
void status_sentence(const Status *s, char *out, size_t cap);

/* A life's row of a table; lost: steps to do again. */
typedef struct { char began[UNIT_WORD], ended[UNIT_WORD], steps[48], lost[24], job[96], nodes[16], why[1100]; } LifeWords;
void status_life(const Status *s, const StoryLife *l, LifeWords *w);

/* For a terminal; columns, 0: no limit. */
void status_page(const Status *s, FILE *f, int columns);
/* One line that says what has changed. */
void status_line(const Status *s, FILE *f);
/* The same figures as one JSON object. */
void status_json(const Status *s, FILE *f);
