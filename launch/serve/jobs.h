/*
 * jobs.h -- what clients have asked and is not yet answered: between the connections' thread and the one that computes
 *
 * DESIGN
 * Why     the model and all its threads work for one call at a time, in the main thread, which MPI wants, too; sockets must be served while it
 *         computes, and neither they nor answers under way may wait for a body of many megabytes that is parsed, or a picture that is decoded.
 * Who     connections' thread (libmicrohttpd's one): receives bodies, makes a Job of each, adds it, writes what the job says.
 *         two threads of reading.h: one parses bodies, one decodes pictures, a job at a time each; so pictures keep no text waiting.
 *         main thread: takes jobs that are ready, makes text, ends them; waits in jobs_wait.
 * Owns    a job has two owners, its connection and who answers it (the list, then the main thread), and a third while one of reading.h has it; it goes
 *         with the last.  asked and pixels are written once, under the lock, before the state that says so; told, out and what follows are the
 *         connection's; all else is written under the lock.  A job that ends while it is read is let go when its reader looks next.
 * Wakes   a connection that has nothing to write sleeps: `asleep` is its handle, set under the lock in which it found nothing, so no word is lost
 *         between looking and sleeping.  Who gives it news wakes it (http_wake) under the same lock.  The main thread is woken by an eventfd, to
 *         which signal handlers may write; readers by a condition.
 * Gone    a connection that sleeps hears nothing of its client, so jobs_wait looks at its socket.  What nobody waits for is ended.
 * Memory  bodies, and what pictures were sent as, count as held.  Decoded are no more jobs than `ahead` before the first of them is begun.
 * Order   one job's text is whole and in order; jobs are begun in the order in which they were added, but that texts overtake pictures that are
 *         being decoded.
 *
 * Tests   tests/launch/test_jobs.c (its connections are counters), tests/launch/serve.sh
 */
#pragma once
#include <pthread.h>

#include "launch/serve/chatrequest.h"

/* The body is to be parsed, its pictures decoded; it is to be answered; it is. */
typedef enum { JOB_CAME, JOB_SHOWS, JOB_WAITS, JOB_RUNS, JOB_ENDED } JobState;

typedef struct Job {
    struct Job *next, *after;      /* of those that wait; of all */
    char     id[48];
    int64_t  created, number;
    char    *body;                 /* (body_n) until it is read */
    size_t   body_n;
    ChatRequest asked;             /* from then on; pictures' bytes until they are decoded */
    uint8_t *pixels;               /* (images, size, size, 3) from then on, until they are in the model */
    /* under the lock */
    JobState state;
    size_t   held;                 /* bytes of its body, or of its pictures as they were sent */
    char    *text;                 /* (n) of the answer, NUL behind it */
    size_t   n, cap;
    Refusal  why;                  /* status not 0: its pictures are none; ended: it was not answered, or not to its end */
    bool     length;               /* ended by max_new, or by max_len */
    int      prompt, made;         /* rows of the prompt, tokens of the answer */
    bool     gone;                 /* its client */
    void    *asleep;               /* NULL: the connection is awake */
    int      fd, owners;
    /* the connection's */
    size_t   told;                 /* bytes of the text */
    char    *out;                  /* (out_n) what is to be written next, from out_at on */
    size_t   out_n, out_at;
    bool     begun, finished;
} Job;

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t  more;          /* for readers: jobs, room for pixels, or the end */
    Job    *first, *all;           /* of those that wait; of all whose connection is there */
    int     waits, runs, most;     /* most: that may wait */
    int     ahead;                 /* that may wait with decoded pictures */
    size_t  held, most_held;       /* bytes of bodies and pictures in memory */
    int     event;                 /* an eventfd */
    bool    stopping;
    int64_t number;
} Jobs;

void jobs_open(Jobs *q, int most, int ahead, size_t most_held);
void jobs_close(Jobs *q);
/* Wakes jobs_wait.  In a signal handler, too. */
void jobs_ring(const Jobs *q);

/* ---- of the connections' thread ---- */
/* n more (less) bytes are held; false where that would be too many, and then they are not. */
bool jobs_hold(Jobs *q, size_t n);
void jobs_let_go(Jobs *q, size_t n);
/* Takes a body over, with `held` bytes that jobs_hold has counted, and puts connection, which must be one that can sleep, to sleep.  NULL: *why says
   why not. */
Job *jobs_add(Jobs *q, char *body, size_t n, size_t held, void *connection, int fd, Refusal *why);
/* The connection has no more use for it. */
void job_forget(Jobs *q, Job *j);

/* ---- of reading.h ---- */
/* The first job in this state, for the one thread that takes such; sleeps until there is one.  NULL: there will be none. */
Job *jobs_take(Jobs *q, JobState state);
/* It goes on to its next state, or is refused.  a is taken over. */
void job_read(Jobs *q, Job *j, ChatRequest *a, const Refusal *why);
/* pixels are taken over; a refusal is told when the job is begun. */
void job_shown(Jobs *q, Job *j, uint8_t *pixels, const Refusal *why);

/* ---- of the main thread ---- */
/* Until somebody rings, a client goes, or so many milliseconds have passed (-1: ever). */
void jobs_wait(Jobs *q, int milliseconds);
/* The next to be answered, or NULL. */
Job *jobs_next(Jobs *q);
/* Does nobody wait for it any more?  Of reading.h, too. */
bool job_gone(Jobs *q, Job *j);
void job_say(Jobs *q, Job *j, const char *text, size_t n);
/* why: NULL where it is answered.  The main thread has no more use for it. */
void job_end(Jobs *q, Job *j, const Refusal *why, bool length, int prompt, int made);
/* From now on nothing is added; those that wait are refused. */
void jobs_stop(Jobs *q);
/* Connections that have not yet written their answers. */
int  jobs_left(Jobs *q);
