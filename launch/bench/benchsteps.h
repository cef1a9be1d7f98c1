/*
 * benchsteps.h -- RUN/steps.json: what the steps of a benchmark took, repetition by repetition and part by part, over ranks
 *
 * Parts are seconds a step of the main thread; messages are in none of the first four, and all of them together are the step:
 *
 *     forward, backward, sums, optimizer      computing; sums: gradients of replicas and micro-batches added up after backward
 *     tp, dp, world                           inside of collectives over that axis, waiting included: what computing does not hide
 *     rest                                    the step less all that
 *
 * Rates for the plan are in RUN/bench.json (rates.h).  Tests: tests/launch/scaling.sh
 */
#pragma once
#include "dist/stats.h"
#include "launch/bench/bench.h"

enum { TIME_FORWARD, TIME_BACKWARD, TIME_SUMS, TIME_OPTIMIZER, TIME_TP, TIME_DP, TIME_WORLD, TIME_REST, TIME_STEP, TIMES };
enum { REPEATS = 64 };                         /* scaling.repeat and bench.repeat at most */
extern const char *const TIME_NAME[TIMES];

typedef struct {
    char   machine[128];
    bool   debug;
    int    ranks, dp, tp, threads, nodes;
    int    cores;                  /* that the ranks may run on, of all nodes */
    double shared;                 /* threads / cores of the node that has most to share; above 1 they take turns */
    int    zero, micro_batch, global_batch;
    int    steps, repeats;         /* of a repetition; how many */
    double flops;                  /* of a step, all ranks */
    double sgemm;                  /* flops per second of a rank, as in bench.json */
    double peak_mib;
    double loader;                 /* samples per second of all ranks with nothing beside it; 0: not measured */
    double ckpt, ckpt_stopped, ckpt_bytes;     /* seconds of a save, those of them in which training stops, bytes; 0: not measured */
    Stat   part[TIMES];            /* over ranks; of a rank, the mean of all repetitions */
    double repeat[REPEATS][TIMES]; /* mean over ranks; of the step, the slowest rank's */
} Steps;

/* Takes a repetition of so many steps to the others.  Collective over world. */
void   steps_add(const Run *r, const Times *t, int steps, Steps *s);
/* What is left when all repetitions are there: part, from the sum of their times, and where the ranks run.  Collective over world. */
void   steps_end(const Run *r, const Times *all, Steps *s);
/* Seconds of a step, of the slowest rank, over repetitions.  Local. */
double steps_median(const Steps *s, int part);
void   steps_spread(const Steps *s, int part, double *least, double *most);

/* With bench.ckpt: saves a checkpoint below run.dir, fills s->ckpt..., and removes it.  Collective over world, agreed. */
bool   bench_ckpt(Run *r, Steps *s, Err *e);

/* RUN/steps.json.  Local. */
bool   steps_write(const Steps *s, const char *run, Err *e);
bool   steps_read(Steps *s, const char *run, Err *e);
