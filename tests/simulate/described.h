/*
 * described.h -- one rank of a training step and the machine it is on, as plain data: describe writes it, simulate reads it
 *
 * describe is linked with launch/ and the real MPI, simulate with SimGrid's; this file of bytes is all that goes between.
 * Local.  Tests: tests/simulate/check.sh
 */
#pragma once
#include "core/asvr.h"
#include "dist/bucket.h"
#include "dist/optim.h"

enum { PARTS_ROOM = 1024 };

typedef struct {
    ModelConf  conf;               /* trainable points nowhere: */
    char       trainable[PARTS_ROOM];
    BucketConf buckets;
    OptimSetup optim;
    int        ranks, tp, leaves, each, bundle;   /* leaves: Tp's; each: ranks a node; bundle: so many exchanges of dp travel together (meter.h) */
    bool       sequence;
    int64_t    total;              /* bytes of a rank's gradient */
    int64_t    tally, losses;      /* doubles and words of the two sums over all ranks (launch/step.h) */
    double     rate, memory;       /* of a rank: flops and bytes a second */
    double     overhead;           /* seconds that a rank's processor spends on a message of dp, at each end */
    struct { int64_t calls, bytes; } plan[AXES];   /* what plan_places says */
} Described;
