#include "launch/bench/waterfall.h"

#include <string.h>

#include "core/ops.h"
#include "core/opspans.h"
#include "core/opsums.h"
#include "dist/comm.h"
#include "launch/bench/falltable.h"

static struct {
    FallPhase phase[2][FALL_PHASES];   /* with all threads, with one */
    int       at, alone;
    double    since;
    CommCount comm[AXES];              /* as they were */
    OnGrad    door;
} fall = { .at = FALL_NONE };

bool waterfall_wanted(const Run *r) { return r->c->bench.waterfall; }

int waterfall_phase(int phase)
{
    const int before = fall.at;
    if (before == FALL_NONE)
        return before;
    const double t = now();
    FallPhase *p = &fall.phase[fall.alone][before];
    p->seconds += t - fall.since;
    for (int k = 0; k < AXES; k++) {
        p->sent[k].calls += comm_count[k].calls - fall.comm[k].calls;
        p->sent[k].bytes += comm_count[k].bytes - fall.comm[k].bytes;
        p->sent[k].seconds += comm_count[k].seconds - fall.comm[k].seconds;
    }
    memcpy(fall.comm, comm_count, sizeof fall.comm);
    fall.since = t;
    fall.at = phase;
    ops_phase = (int)max64(phase, 0) + fall.alone * FALL_PHASES;
    return before;
}

void waterfall_begin(bool alone)
{
    if (alone)
        ops_threads(1);
    ops_shapes = true;
    ops_watch(OPS_SUMS);
    memcpy(fall.comm, comm_count, sizeof fall.comm);
    fall.alone = alone;
    fall.at = FALL_BEGIN;
    ops_phase = FALL_BEGIN + alone * FALL_PHASES;
    fall.since = now();
}

void waterfall_end(const Run *r)
{
    waterfall_phase(FALL_NONE);
    ops_watch(0);
    ops_shapes = false;
    ops_phase = 0;
    if (fall.alone)
        ops_threads(r->threads);
}

static void final(void *ctx, int first, int last)
{
    (void)ctx;
    const int before = waterfall_phase(FALL_SUMS);
    fall.door.final(fall.door.ctx, first, last);
    waterfall_phase(before);
}

OnGrad waterfall_door(OnGrad door)
{
    if (fall.at == FALL_NONE)
        return door;
    fall.door = door;
    return (OnGrad){ final, NULL };
}

bool waterfall_write(const Run *r, int steps, Err *e)
{
    int n;
    const OpSum *sums = opsums(&n);
    Fall *f = fall_open(r, sums, n, fall.phase[0], fall.phase[1], steps);
    comm_barrier(r->grid.world);
    fall_limits(f);
    if (r->grid.rank == 0) {
        fall_print(f);
        if (r->c->run.dir[0])
            fall_write(f, r->c->run.dir, e);
    }
    fall_close(f);
    opsums_clear();
    return run_agree(r, e);
}
