/*
 * rates.h -- RUN/bench.json: what a machine gives, measured by `asvr bench` and read by `asvr plan`
 *
 * Rates are those of one rank while all ranks of the run did the same.  What a run could not measure is 0: there is no rate of
 * an axis with one rank.
 *
 * Local.  Tests: tests/launch/plan.sh
 */
#pragma once
#include "io/base/err.h"

enum { TP_SIZES = 3 };

typedef struct {
    char   machine[128];           /* processor, cores */
    bool   debug;                  /* a debug build: slower, and it checks each collective */
    int    ranks, dp, tp, threads;
    double sgemm;                  /* flops per second of sgemm 512 x 512 x 512 */
    double forward, backward;      /* share of it that the two passes reach, without their messages */
    double memory;                 /* bytes per second of AdamW, 28 an element */
    double dp_bytes;               /* bytes per second of the gradients' reduction with nothing beside it */
    double dp_hidden;              /* share of its time that backward hides */
    double tp_size[TP_SIZES], tp_seconds[TP_SIZES];     /* a sum of so many bytes over tp takes so long */
    double tp_wait;                /* how many times longer sums take in a step, where ranks wait for each other; below 1 where they hide */
    double rest;                   /* how many times longer a step took than all of this says: small operations, waiting for each other */
    double base_mib, peak_mib;     /* resident before there is a model; in the end, of the largest rank */
    double step, samples;          /* seconds of a step of the slowest rank, samples per second */
} Rates;

/* Makes RUN where it does not exist. */
bool rates_write(const Rates *r, const char *run, Err *e);
/* EXIT_IO where there is no file, EXIT_DATA where it is not one of these. */
bool rates_read(Rates *r, const char *run, Err *e);
