/*
 * watchjudge.h -- from what all ranks have said: does anybody move, who is the cause, who is slow
 *
 * Private to watch.c and watchjudge.c.  Pure: times are given, nothing is sent or printed.  All functions are Local.
 * Tests: tests/dist/test_watch.c
 */
#pragma once
#include "dist/comm.h"
#include "dist/watch.h"

/* What is compared with the median of all ranks, in seconds: of a step, outside collectives; from a word to its answer. */
enum { WATCH_BUSY, WATCH_TRIP, WATCH_COSTS };

/* What a rank says of itself. */
typedef struct {
    uint64_t moves, inside;         /* changes of what follows; the collective, packed (comm.h), or 0 */
    int64_t  step;
    int32_t  phase, steps;          /* steps: ended in this life */
    double   longest;               /* of them, seconds */
    double   cost[WATCH_COSTS];     /* averages of the latest window */
    int64_t  window[WATCH_COSTS];   /* windows so far */
} WatchState;

typedef struct {
    WatchState state;
    bool   spoke;
    double heard, moved;            /* when: the last word; the last that differed */
    int    over[WATCH_COSTS];       /* windows in a row in which it was slow, */
    int64_t judged[WATCH_COSTS];    /* up to this one */
} WatchPeer;

typedef struct {
    int        size, tp;            /* ranks; of a tensor-parallel group */
    WatchPeer *peer;                /* (size) */
    char     (*host)[WATCH_HOST];   /* (size) */
} WatchTable;

typedef struct { char what[384], got[256]; } WatchVerdict;

/* Seconds that a rank in this state may stand still. */
double watch_limit(double timeout, const WatchState *s);
/* A word of rank r has come. */
void   watch_heard(WatchTable *t, int r, const WatchState *s, double at);
/* Has nobody moved for as long as the state of any allows? */
bool   watch_hangs(const WatchTable *t, double timeout, double at);
/* Names the cause.  silent: seconds without a word from which on a rank is taken for mute. */
void   watch_verdict(const WatchTable *t, double at, double silent, WatchVerdict *v);
/* Rank `me` alone, which has had no word from rank 0 whose last was *zero (spoke: if there was any). */
void   watch_alone(const WatchTable *t, int me, double at, WatchVerdict *v);
/* The slowest, by that cost, of those that were slow twice in a row; -1: none.  room: (size) scratch. */
int    watch_slowest(WatchTable *t, int cost, double *room, double *seconds);
/* The collective that a rank is in, "allreduce", or "". */
const char *watch_inside(const WatchState *s);
