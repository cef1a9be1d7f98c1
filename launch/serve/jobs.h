/*
 * jobs.h -- what clients have asked and is not yet answered: between the connections' thread and the one that computes
 *
 * DESIGN
 * Why     the model and all its threads work for one call at a time, in the main thread, which MPI and the picture decoders want, too; and
 *         sockets must be served while it computes.
 * Who     connections' thread (libmicrohttpd's one): reads requests, makes a Job, adds it, writes what the job says.
 *         main thread: takes jobs in the order in which they came, makes text, ends them; waits in jobs_wait.
 * Owns    a job has two owners, its connection and the main thread, and goes with the last.  asked does not change; told, out and what follows are
 *         the connection's; all else is written under the lock.
 * Wakes   a connection that has nothing to write sleeps: `asleep` is its handle, set under the lock in which it found nothing, so no word is lost
 *         between looking and sleeping.  Who gives it news wakes it (http_wake) under the same lock.  The main thread is woken by an eventfd, to
 *         which signal handlers may write.
 * Gone    a connection that sleeps hears nothing of its client, so jobs_wait looks at its socket.  What nobody waits for is ended.
 * Order   one job's text is whole and in order; jobs are begun in the order in which they were added.
 *
 * Tests   tests/launch/serve.sh
 */
#pragma once
#include <pthread.h>

#include "launch/serve/chatrequest.h"

typedef enum { JOB_WAITS, JOB_RUNS, JOB_ENDED } JobState;

typedef struct Job {
    struct Job *next, *after;      /* of those that wait; of all */
    ChatRequest    asked;
    char     id[48];
    int64_t  created, number;
    size_t   held;                 /* bytes of its pictures */
    /* under the lock */
    JobState state;
    char    *text;                 /* (n) of the answer, NUL behind it */
    size_t   n, cap;
    Refusal  why;                  /* ended and status not 0: it was not answered, or not to its end */
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
    Job    *first, *all;           /* of those that wait; of all whose connection is there */
    int     waits, runs, most;     /* most: that may wait */
    size_t  held, most_held;       /* bytes of bodies and pictures in memory */
    int     event;                 /* an eventfd */
    bool    stopping;
    int64_t number;
} Jobs;

void jobs_open(Jobs *q, int most, size_t most_held);
void jobs_close(Jobs *q);
/* Wakes jobs_wait.  In a signal handler, too. */
void jobs_ring(const Jobs *q);

/* ---- of the connections' thread ---- */
/* n more (less) bytes are held; false where that would be too many, and then they are not. */
bool jobs_hold(Jobs *q, size_t n);
void jobs_let_go(Jobs *q, size_t n);
/* Takes what was asked over and puts connection, which must be one that can sleep, to sleep.  NULL: *why says why not. */
Job *jobs_add(Jobs *q, ChatRequest *a, void *connection, int fd, Refusal *why);
/* The connection has no more use for it. */
void job_forget(Jobs *q, Job *j);

/* ---- of the main thread ---- */
/* Until somebody rings, a client goes, or so many milliseconds have passed (-1: ever). */
void jobs_wait(Jobs *q, int milliseconds);
/* The next to be answered, or NULL. */
Job *jobs_next(Jobs *q);
bool job_gone(Jobs *q, Job *j);
void job_say(Jobs *q, Job *j, const char *text, size_t n);
/* why: NULL where it is answered.  The main thread has no more use for it. */
void job_end(Jobs *q, Job *j, const Refusal *why, bool length, int prompt, int made);
/* From now on nothing is added; those that wait are refused. */
void jobs_stop(Jobs *q);
/* Connections that have not yet written their answers. */
int  jobs_left(Jobs *q);
