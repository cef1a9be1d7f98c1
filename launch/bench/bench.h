/*
 * bench.h -- what the parts of `asvr bench` tell each other: the times of steps, and the rates that follow
 *
 * Tests: tests/launch/plan.sh
 */
#pragma once
#include "dist/comm.h"
#include "launch/plan/rates.h"
#include "launch/step.h"

/* Of a phase: seconds, flops, and what of the time went into messages. */
typedef struct { double seconds, flops, messages; } Phase;
typedef struct { Phase step, forward, backward, reduce, optim; CommCount sent[AXES]; } Times;

/* "AMD EPYC, 2 cores".  Local. */
void bench_machine(char out[], size_t cap);
/* Flops per second of all ranks' sgemm at once, best of five.  Collective. */
double bench_sgemm(const Run *r);
/* Fills `out`, which has sgemm and the time of a step already, from the times t of so many steps and from what it measures itself; writes it to
   run.dir where that is set.  exposed: seconds that the reduction adds to a step.  Collective. */
bool bench_rates(Run *r, const Times *t, int steps, double exposed, Rates *out, Err *e);
/* Prompts of a picture and text, up to bench.prompts of them at once, and their answers, beside this machine's own rates: a table.  Opens
   the model, for generation.  Collective. */
bool bench_answers(Run *r, Err *e);
